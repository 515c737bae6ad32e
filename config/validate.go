package config

import "time"

// maxName is the longest name of most Google Cloud objects (RFC 1035).
const maxName = 63

// now is the time against which days and certificates are judged.
func now() time.Time { return time.Now().UTC() }

// validator collects the problems of one configuration.
type validator struct {
	c        *Config
	now      time.Time
	problems []Problem
}

func (v *validator) add(p Problem) { v.problems = append(v.problems, p) }

// Validate tells whether the configuration is coherent: nil, or an *Error with all
// problems. A secret that is encrypted or a reference counts as given, and is not
// looked at. Complete must have been called.
func (c *Config) Validate() error { return newError(c.Problems()) }

// Problems is Validate as a list, sorted by key.
func (c *Config) Problems() []Problem {
	v := &validator{c: c, now: now()}
	v.certificates()
	return sortProblems(v.problems)
}

// Missing are the problems that only say that a secret, or what belongs to one, was
// not given.
func (c *Config) Missing() []Problem {
	var out []Problem
	for _, p := range c.Problems() {
		if p.MissingSecret {
			out = append(out, p)
		}
	}
	return out
}

func (v *validator) certificates() {}
