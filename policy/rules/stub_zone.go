package rules

var zoneRules []Rule
