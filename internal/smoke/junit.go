package smoke

import (
	"encoding/xml"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
	Skipped *junitSkip    `xml:"skipped,omitempty"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitSkip struct {
	Message string `xml:"message,attr"`
}

// WriteJUnit writes the report as CI systems read it: a test case for each check.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := junitSuite{Name: "deepgram smoke test " + r.Target, Tests: len(r.Checks), Stamp: r.Started.UTC().Format(time.RFC3339)}
	var total float64
	for _, c := range r.Checks {
		total += c.Seconds
		j := junitCase{Name: c.Name, Class: "deepgram-ops.smoke-test", Time: fmt.Sprintf("%.3f", c.Seconds)}
		switch c.Outcome {
		case Fail:
			s.Failures++
			j.Failure = &junitFailure{Type: c.Failure.Kind, Message: c.Failure.Message, Text: c.Failure.Do}
		case Skip:
			s.Skipped++
			j.Skipped = &junitSkip{c.Message}
		case Pass:
			j.Out = c.Message
		}
		s.Cases = append(s.Cases, j)
	}
	s.Time = fmt.Sprintf("%.3f", total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// WriteText writes the report for people: a line for each check, and below each
// failure what to do.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, c := range r.Checks {
		word := map[Outcome]string{Pass: "PASS", Fail: "FAIL", Skip: "SKIP"}[c.Outcome]
		fmt.Fprintf(t, "%s\t%s\t%s\n", word, c.Name, c.Message)
		if c.Failure != nil {
			fmt.Fprintf(t, "\t\tdo: %s\n", c.Failure.Do)
		}
	}
	return t.Flush()
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// WriteText writes the report for people.
func (r *LoadReport) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "STREAMS\tHELD\tP50\tP90\tP99\tWHY NOT")
	for _, s := range r.Steps {
		held := "yes"
		if !s.Held {
			held = "no"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", s.Streams, held, duration(s.Latency.P50), duration(s.Latency.P90), duration(s.Latency.P99), s.Why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, line := range r.Warnings {
		fmt.Fprintln(w, "warning:", line)
	}
	if r.Streams == 0 {
		return nil
	}
	fmt.Fprintf(w, "\n%s on %s: p99 %s holds%s.\n", count(r.Streams, "stream"), count(r.Engines, "engine"), duration(r.TargetP99), map[string]string{
		LimitLatency: "; more are slower", LimitCapacity: "; more are refused", LimitErrors: "; more fail", LimitClient: "; more are too many for this machine",
		LimitMaxStreams: "; more were not tried (--max-streams)", LimitInterrupted: "; it was interrupted before it was known what more do",
	}[r.Limit])
	_, err := fmt.Fprintf(w, "Set scaling.engine.streamsPerPod: %d (the chart's scaling.auto.engine.metrics.speechToText.streaming.requestsPerPod).\n", r.StreamsPerPod)
	return err
}
