package rules

var billingRules []Rule
