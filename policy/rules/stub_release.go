package rules

var releaseRules []Rule
