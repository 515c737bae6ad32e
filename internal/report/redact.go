package report

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// redactor takes secrets out of values and texts: the known ones wherever they
// stand, and what its name or form gives away as one.
type redactor struct {
	whole map[string]bool
	known *strings.Replacer
	// final looks once more through what was made of all this, for secrets that
	// cannot be words of the report itself.
	final *strings.Replacer
}

const (
	// shortest is the length from which a secret is looked for inside texts: a
	// shorter one would be found everywhere.
	shortest = 4
	// shortestPart is that of a line of a secret, and of a piece of base64.
	shortestPart = 12
	// shortestFinal is that from which the finished text is looked through.
	shortestFinal = 8
)

func newRedactor(secrets []string) *redactor {
	r := &redactor{whole: map[string]bool{}}
	forms := map[string]bool{}
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		if secret == "" || secret == Hidden {
			continue
		}
		r.whole[secret] = true
		if len(secret) < shortest {
			continue
		}
		for _, form := range formsOf(secret) {
			forms[form] = true
		}
		if !strings.Contains(secret, "\n") {
			continue
		}
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); len(line) >= shortestPart && !strings.HasPrefix(line, "-----") {
				forms[line] = true
			}
		}
	}
	if len(forms) == 0 {
		return r
	}
	list := make([]string, 0, len(forms))
	for form := range forms {
		list = append(list, form)
	}
	// The longest first: one secret may begin with another.
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs, long []string
	for _, form := range list {
		pairs = append(pairs, form, Hidden)
		if len(form) >= shortestFinal {
			long = append(long, form, Hidden)
		}
	}
	r.known, r.final = strings.NewReplacer(pairs...), strings.NewReplacer(long...)
	return r
}

// scan looks through a finished text.
func (r *redactor) scan(text string) string {
	if r == nil || r.final == nil {
		return text
	}
	return r.final.Replace(text)
}

// scanMarkdown looks through a finished piece of Markdown. Should a secret be
// there and hold part of the structure, the piece is given up.
func (r *redactor) scanMarkdown(text string) string {
	clean := r.scan(text)
	if clean == text {
		return text
	}
	for _, mark := range []string{"|", "<", ">", "\n", "`", "(", ")"} {
		if strings.Count(clean, mark) != strings.Count(text, mark) {
			return ""
		}
	}
	return clean
}

// document looks through a whole document.
func (r *redactor) document(d *document) *document {
	if r == nil || r.final == nil {
		return d
	}
	if d.title = r.scanMarkdown(d.title); d.title == "" {
		d.title = "## " + Hidden
	}
	for i := range d.lead {
		d.lead[i] = r.scanMarkdown(d.lead[i])
	}
	for i := range d.sections {
		s := &d.sections[i]
		s.heading, s.lead = r.scanMarkdown(s.heading), r.scanMarkdown(s.lead)
		for j := range s.pieces {
			s.pieces[j].text = r.scanMarkdown(s.pieces[j].text)
		}
	}
	d.foot = r.scanMarkdown(d.foot)
	return d
}

// formsOf are the ways in which a secret stands in other texts.
func formsOf(secret string) []string {
	forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret)}
	quoted := strconv.Quote(secret)
	for _, text := range []string{quoted, strconv.Quote(quoted[1 : len(quoted)-1]), jsonText(secret, true), jsonText(secret, false)} {
		forms = append(forms, text[1:len(text)-1])
	}
	forms = append(forms, escapeInline(secret), escapeCode(secret))
	// In base64 a text looks different at each of three offsets; its ends depend on
	// its neighbours, and are left off.
	for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, coding.EncodeToString([]byte(secret)))
		for offset := range 3 {
			text := coding.EncodeToString(append(make([]byte, offset), secret...))
			from := (offset*8 + 5) / 6
			to := (offset + len(secret)) * 8 / 6
			if to-from >= shortestPart {
				forms = append(forms, text[from:to])
			}
		}
	}
	return slices.DeleteFunc(forms, func(s string) bool { return len(s) < shortest })
}

// jsonText is a text as JSON writes it.
func jsonText(text string, forHTML bool) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(forHTML)
	if err := encoder.Encode(text); err != nil {
		return `""`
	}
	return strings.TrimSpace(b.String())
}

// text takes secrets out of a text.
func (r *redactor) text(s string) string {
	if r.whole[s] || r.whole[strings.TrimSpace(s)] {
		return Hidden
	}
	if r.known != nil {
		s = r.known.Replace(s)
	}
	if strings.Contains(s, "-----BEGIN") {
		s = privateKey.ReplaceAllString(s, Hidden)
	}
	return s
}

var privateKey = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)

// secretName are names of fields whose text is a secret.
var secretName = regexp.MustCompile(
	`(?i)(password|passwd|passphrase|secretkey|secret_key|secretaccesskey|apikey|api_key|api-key|privatekey|private_key|` +
		`licensekey|license_key|accesstoken|access_token|authtoken|auth_token|bearertoken|clientsecret|client_secret|token|credentials?)$`)

// The engine's signature of a secret in a value.
const secretSignature = "4dabf18193072939515e22adb298388d"

// value takes secrets out of a value. What it changes, it copies.
func (r *redactor) value(v any) any {
	switch v := v.(type) {
	case string:
		return known(r.text(v))
	case []any:
		if v == nil {
			return nil
		}
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = r.value(item)
		}
		return list
	case map[string]any:
		if v == nil {
			return nil
		}
		if _, secret := v[secretSignature]; secret {
			return Hidden
		}
		m := make(map[string]any, len(v))
		kubernetesSecret := v["kind"] == "Secret"
		for key, item := range v {
			switch {
			case kubernetesSecret && (key == "data" || key == "stringData"):
				item = cloak(item)
			case hides(key, item), key == "value" && hidesNamed(v):
				item = Hidden
			}
			m[r.text(key)] = r.value(item)
		}
		return m
	case nil:
		return nil
	}
	if text := scalar(v); len(text) >= shortest && r.whole[text] {
		return Hidden
	}
	return v
}

// cloak hides the values of a map, and keeps its keys.
func cloak(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return Hidden
	}
	hidden := make(map[string]any, len(m))
	for key := range m {
		hidden[key] = Hidden
	}
	return hidden
}

// hides tells whether a field's name says that its text is a secret.
func hides(key string, value any) bool {
	text, ok := value.(string)
	return ok && text != "" && !IsUnknown(text) && secretName.MatchString(key)
}

// hidesNamed tells whether a name beside a value says so, as in a container's
// environment.
func hidesNamed(m map[string]any) bool {
	name, _ := m["name"].(string)
	return hides(name, m["value"])
}

// field takes secrets out of one field of a diff, which stands alone.
func (r *redactor) field(f FieldChange, kubernetesSecret bool) FieldChange {
	parts := split(f.Path)
	last := ""
	if len(parts) > 0 {
		last = parts[len(parts)-1]
	}
	if kubernetesSecret && len(parts) > 0 && (parts[0] == "data" || parts[0] == "stringData") {
		if len(parts) == 1 {
			f.Old, f.New = cloakSome(f.Old), cloakSome(f.New)
		} else {
			f.Old, f.New = hideSome(f.Old), hideSome(f.New)
		}
	}
	// containers[api].env[DB_PASSWORD].value says it in the part before.
	if last == "value" && len(parts) > 1 {
		last = parts[len(parts)-2]
	}
	if hides(last, f.Old) {
		f.Old = Hidden
	}
	if hides(last, f.New) {
		f.New = Hidden
	}
	f.Path = r.text(f.Path)
	f.Old, f.New = r.value(f.Old), r.value(f.New)
	return f
}

func hideSome(v any) any {
	if v == nil {
		return nil
	}
	return Hidden
}

func cloakSome(v any) any {
	if v == nil {
		return nil
	}
	return cloak(v)
}

// unknowns are the engine's placeholders for what a preview cannot know, by
// the kind of the value.
var unknowns = []string{
	unknown,                                // a text
	"1c4a061d-8072-4f0a-a4cb-0ff528b18fe7", // a boolean
	"3eeb2bf0-c639-47a8-9e75-3b44932eb421", // a number
	"6a19a0b0-7e62-4c92-b797-7f8e31da9cc2", // a list
	"030794c1-ac77-496b-92df-f27374a8bd58", // an asset
	"e48ece36-62e2-4504-bad9-02848725956a", // an archive
	"dd056dcd-154b-4c76-9bd3-c8f88648b5ff", // an object
}

var unknownReplacer = func() *strings.Replacer {
	pairs := make([]string, 0, 2*len(unknowns))
	for _, u := range unknowns {
		pairs = append(pairs, u, Unknown)
	}
	return strings.NewReplacer(pairs...)
}()

// IsUnknown tells whether a text stands for what a preview cannot know.
func IsUnknown(text string) bool { return text == Unknown || slices.Contains(unknowns, text) }

// known puts words in the place of the engine's placeholders.
func known(text string) string {
	// All are UUIDs of version 4; most texts are no UUID.
	if len(text) < 36 || !strings.Contains(text, "-4") {
		return text
	}
	return unknownReplacer.Replace(text)
}
