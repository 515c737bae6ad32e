package rules

var networkRules []Rule
