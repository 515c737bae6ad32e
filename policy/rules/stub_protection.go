package rules

var protectionRules []Rule
