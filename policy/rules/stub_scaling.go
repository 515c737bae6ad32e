package rules

var scalingRules []Rule
