package rules

var identityRules []Rule
