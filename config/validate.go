package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

// Validate tells whether the configuration is coherent: nil, or an *Error with all
// problems. A secret that is encrypted or a reference counts as given, and is not
// looked at. Complete must have been called.
func (c *Config) Validate() error { return newError(c.Problems()) }

// Problems is Validate as a list, sorted by key.
func (c *Config) Problems() []Problem { return c.problemsAt(now()) }

// problemsAt is Problems at a given time.
func (c *Config) problemsAt(at time.Time) []Problem {
	v := &validator{c: c, now: at}
	for _, part := range []struct {
		prefix string
		value  any
	}{{gcpNamespace + ":", c.GCP}, {Namespace + ":", *c}} {
		v.fields(part.prefix, reflect.ValueOf(part.value))
	}
	v.required()
	v.places()
	v.ranges()
	v.certificates()
	v.release()
	v.cluster()
	v.models()
	v.scaling()
	v.billing()
	v.operation()
	v.policy()
	v.capacity()
	return sortProblems(v.problems)
}

// Missing are the problems that only say that a secret, or what belongs to one, was
// not given.
func (c *Config) Missing() []Problem {
	return slices.DeleteFunc(c.Problems(), func(p Problem) bool { return !p.MissingSecret })
}

func (v *validator) add(p Problem) { v.problems = append(v.problems, p) }

// problem adds a problem of a key of the project's namespace.
func (v *validator) problem(path, value, message, allowed, fix string) {
	v.add(Problem{Key: Namespace + ":" + path, Value: value, Message: message, Allowed: allowed, Fix: fix})
}

// excludes adds a problem where two keys that exclude each other are given.
func (v *validator) excludes(given bool, path, other string) {
	if given {
		v.problem(path, "", "excludes "+other, "one of the two", "remove one")
	}
}

// has tells whether a key has a problem already.
func (v *validator) has(path string) bool {
	return slices.ContainsFunc(v.problems, func(p Problem) bool { return p.Key == Namespace+":"+path || p.Key == path })
}

// fields checks the tags of a struct's fields: required, enum, min, max, maxlen
// and format. prefix ends in a colon or point.
func (v *validator) fields(prefix string, s reflect.Value) {
	for i := range s.NumField() {
		field := s.Type().Field(i)
		if !field.IsExported() || keyOf(field) == "" {
			continue
		}
		v.field(prefix+keyOf(field), s.Field(i), field)
	}
}

func (v *validator) field(path string, x reflect.Value, field reflect.StructField) {
	switch {
	case x.Type() == secretType:
		if field.Tag.Get("required") != "" && x.Interface().(Secret).IsZero() {
			v.add(Problem{Key: path, Message: "is missing", Fix: setSecretCommand(path), MissingSecret: true})
		}
	case x.Kind() == reflect.Pointer:
		if !x.IsNil() {
			v.field(path, x.Elem(), field)
		}
	case x.Kind() == reflect.Struct:
		v.fields(path+".", x)
	case x.Kind() == reflect.Slice:
		for i := range x.Len() {
			v.field(fmt.Sprintf("%s[%d]", path, i), x.Index(i), field)
		}
	case x.Kind() == reflect.Map:
		if field.Tag.Get("format") == "labels" {
			v.labels(path, x.Interface().(map[string]string))
		}
		if x.Type().Elem().Kind() == reflect.Struct {
			for _, key := range x.MapKeys() {
				v.field(path+"."+key.String(), x.MapIndex(key), reflect.StructField{})
			}
		}
	case x.Kind() == reflect.String:
		v.text(path, x.String(), field)
	case x.Kind() == reflect.Int:
		v.number(path, float64(x.Int()), field)
	case x.Kind() == reflect.Float64:
		v.number(path, x.Float(), field)
	}
}

func (v *validator) text(path, value string, field reflect.StructField) {
	tag := field.Tag
	if enum, ok := tag.Lookup("enum"); ok {
		if choices := strings.Split(enum, ","); !slices.Contains(choices, value) {
			choices = slices.DeleteFunc(choices, func(s string) bool { return s == "" })
			fix := ""
			if near := nearest(value, choices); near != "" {
				fix = fmt.Sprintf("did you mean %s?", near)
			}
			v.add(Problem{Key: path, Value: quote(value), Message: "is not known", Allowed: strings.Join(choices, ", "), Fix: fix})
		}
		return
	}
	if value == "" {
		if tag.Get("required") != "" {
			v.add(Problem{Key: path, Message: "is missing", Allowed: formats[tag.Get("format")].allowed, Fix: setCommand(path)})
		}
		return
	}
	if v.repeats(path, value, tag) {
		return
	}
	fix := ""
	if strings.HasPrefix(tag.Get("derived"), "<") && strings.HasPrefix(value, v.c.Environment.NamePrefix+"-") {
		fix = "set it, or another environment.namePrefix"
	}
	if strings.HasSuffix(path, ":environment.namePrefix") && value == v.c.Stack+"-deepgram" {
		fix = "it comes from the name of the stack: set it with pulumi config set --path 'deepgram-stack:environment.namePrefix' <prefix>"
	}
	if limit, err := strconv.Atoi(tag.Get("maxlen")); err == nil && len(value) > limit {
		v.add(Problem{
			Key: path, Value: quote(value), Message: fmt.Sprintf("is %d characters long", len(value)),
			Allowed: fmt.Sprintf("at most %d", limit), Fix: fix,
		})
		return
	}
	form, ok := formats[tag.Get("format")]
	if !ok || form.valid(value) {
		return
	}
	message := "is not valid"
	if tag.Get("format") == "cidr" {
		_, message = parseCIDR(value)
	}
	v.add(Problem{Key: path, Value: quote(value), Message: message, Allowed: allowedWords(field), Fix: fix})
}

// repeats tells that a derived value is wrong only because what it comes from is,
// which is told already.
func (v *validator) repeats(path, value string, tag reflect.StructTag) bool {
	if tag.Get("derived") == "" || strings.HasSuffix(path, ":environment.namePrefix") {
		return false
	}
	gcp := v.c.GCP
	for source, text := range map[string]string{
		"gcp:project": gcp.Project, "gcp:region": gcp.Region, "gcp:zone": gcp.Zone, "environment.namePrefix": v.c.Environment.NamePrefix,
	} {
		if v.has(source) && text != "" && strings.Contains(value, text) {
			return true
		}
	}
	return false
}

func (v *validator) number(path string, value float64, field reflect.StructField) {
	low, lowErr := strconv.ParseFloat(field.Tag.Get("min"), 64)
	high, highErr := strconv.ParseFloat(field.Tag.Get("max"), 64)
	if (lowErr != nil || value >= low) && (highErr != nil || value <= high) {
		return
	}
	allowed := fmt.Sprintf("%s to %s", field.Tag.Get("min"), field.Tag.Get("max"))
	if highErr != nil {
		allowed = field.Tag.Get("min") + " or more"
	}
	v.add(Problem{Key: path, Value: strconv.FormatFloat(value, 'f', -1, 64), Message: "is out of range", Allowed: allowed})
}

func (v *validator) labels(path string, labels map[string]string) {
	for _, key := range sortedKeys(labels) {
		if !labelKey.MatchString(key) || strings.HasPrefix(key, "goog") {
			v.add(Problem{
				Key: path + "." + key, Message: "is not a valid label key",
				Allowed: "1 to 63 lower-case letters, digits, hyphens and underscores, beginning with a letter, and not with goog",
			})
		}
		if !labelValue.MatchString(labels[key]) {
			v.add(Problem{
				Key: path + "." + key, Value: quote(labels[key]), Message: "is not a valid label value",
				Allowed: "at most 63 lower-case letters, digits, hyphens and underscores",
			})
		}
	}
	if len(labels) > 50 { // Google allows 64, and GKE adds some of its own
		v.add(Problem{Key: path, Value: fmt.Sprint(len(labels)), Message: "labels are too many", Allowed: "at most 50"})
	}
}

// setCommand is how to set a key.
func setCommand(path string) string {
	if strings.HasPrefix(path, gcpNamespace+":") {
		return fmt.Sprintf("set it with pulumi config set %s <value>", path)
	}
	return fmt.Sprintf("set it with pulumi config set --path '%s' <value>", path)
}

// required checks what is needed because of other keys.
func (v *validator) required() {
	c := v.c
	need := func(needed bool, path, value string) {
		if needed && value == "" {
			field := Namespace + ":" + path
			v.add(Problem{Key: field, Message: "is missing", Fix: setCommand(field)})
		}
	}
	needSecret := func(needed bool, path string, given bool) {
		if needed && !given {
			key := Namespace + ":" + path
			v.add(Problem{Key: key, Message: "is missing", Fix: setSecretCommand(key), MissingSecret: true})
		}
	}
	need(c.Ingress.Enabled, "ingress.host", c.Ingress.Host)
	need(c.Grafana.Enabled, "grafana.host", c.Grafana.Host)
	need(c.Cluster.Private.Enabled && c.Cluster.Existing == "", "cluster.private.controlPlaneCidr", c.Cluster.Private.ControlPlaneCidr)
	needSecret(!c.Billing.Enabled, "release.apiKey", !c.Release.APIKey.IsZero())
	needSecret(c.Grafana.Enabled, "grafana.adminPassword", !c.Grafana.AdminPassword.IsZero())
	needSecret(c.Billing.Enabled, "billing.licenseKey", !c.Billing.LicenseKey.IsZero())
	needSecret(c.Billing.Enabled, "billing.licenseFile", !c.Billing.LicenseFile.IsZero())
	s3 := c.Billing.Enabled && c.Billing.Backup.Enabled && c.Billing.Backup.Target == "s3" && c.Billing.Backup.S3.RoleARN == ""
	needSecret(s3, "billing.backup.s3.accessKeyId", !c.Billing.Backup.S3.AccessKeyID.IsZero())
	needSecret(s3, "billing.backup.s3.secretAccessKey", !c.Billing.Backup.S3.SecretAccessKey.IsZero())
	quay := c.needsDistribution()
	if quay && c.Registry.Distribution.Username == "" {
		// The user name belongs to the password: a rehearsal goes without either.
		key := Namespace + ":registry.distribution.username"
		v.add(Problem{Key: key, Message: "is missing", Fix: setCommand(key), MissingSecret: true})
	}
	needSecret(quay, "registry.distribution.password", !c.Registry.Distribution.Password.IsZero())
}

// needsDistribution tells that images come from quay.io with the distribution
// credentials.
func (c *Config) needsDistribution() bool {
	return c.Registry.Mode != "existing" || strings.HasPrefix(c.Registry.URL, "quay.io/")
}
