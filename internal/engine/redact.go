package engine

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// Hidden stands where a secret was.
const Hidden = "[secret]"

// Revealed are the values of a configuration that must not be seen in any text.
func Revealed(cfg *config.Config) []string {
	var values []string
	for _, field := range cfg.Secrets() {
		if text := field.Secret.Reveal(); text != "" {
			values = append(values, text)
		}
	}
	return values
}

// Redactor hides the given values wherever they appear in a text: as they are,
// as JSON, as base64, and of a text of several lines each longer line. Values
// shorter than 6 characters are not looked for.
func Redactor(values []string) func(string) string {
	var all []string
	for _, value := range values {
		all = append(all, forms(value)...)
	}
	// A value may begin with another: the longer one goes first.
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, form := range slices.Compact(all) {
		pairs = append(pairs, form, Hidden)
	}
	return strings.NewReplacer(pairs...).Replace
}

func forms(value string) []string {
	if len(value) < 6 {
		return nil
	}
	list := []string{value, base64.StdEncoding.EncodeToString([]byte(value))}
	if quoted, err := json.Marshal(value); err == nil && len(quoted) > 2 {
		if inner := string(quoted[1 : len(quoted)-1]); inner != value {
			list = append(list, inner)
		}
	}
	if strings.Contains(value, "\n") {
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= 20 && !strings.HasPrefix(line, "-----") {
				list = append(list, line)
			}
		}
	}
	return list
}

// RedactAll applies redact to every text inside a decoded value, in a copy.
func RedactAll(redact func(string) string, value any) any {
	switch v := value.(type) {
	case string:
		return redact(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, element := range v {
			out[key] = RedactAll(redact, element)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = RedactAll(redact, element)
		}
		return out
	}
	return value
}
