package report

type redactor struct{}
