package config

import (
	"math/big"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // time zones are checked on machines that have no such files

	"github.com/blang/semver"
)

// format is a form that a text must have.
type format struct {
	valid   func(string) bool
	allowed string
	// pattern is for the JSON schema; empty where a pattern cannot say it.
	pattern string
}

// pattern makes a format of a regular expression.
func pattern(expression, allowed string) format {
	return format{valid: regexp.MustCompile(expression).MatchString, allowed: allowed, pattern: expression}
}

const (
	dnsSubdomain = `^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`

	nameForm   = "lower-case letters, digits and hyphens, beginning with a letter, at most 63 characters"
	regionForm = `[a-z]+-[a-z]+[0-9]+`
)

// formats are the forms that the tag `format` of a field may name.
var formats = map[string]format{
	"project":      pattern(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`, "a project id: 6 to 30 lower-case letters, digits and hyphens, beginning with a letter"),
	"region":       pattern(`^`+regionForm+`$`, "a region such as us-central1"),
	"zone":         pattern(`^`+regionForm+`-[a-z]$`, "a zone such as us-central1-a"),
	"location":     pattern(`^(`+regionForm+`(-[a-z])?|us|europe|asia)$`, "a region such as us-central1, or a multi-region: us, europe, asia"),
	"name":         pattern(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`, nameForm),
	"dns-label":    pattern(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`, "lower-case letters, digits and hyphens, beginning and ending with a letter or digit, at most 63 characters"),
	"repository":   pattern(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`, nameForm),
	"image-tag":    pattern(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`, "an image tag such as release-250331: letters, digits, points, hyphens and underscores, at most 128 characters"),
	"sha256":       pattern(`^[0-9a-fA-F]{64}$`, "64 hex digits"),
	"filename":     pattern(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,254}$`, "a file name without folders: letters, digits, points, hyphens, plus signs and underscores"),
	"path":         pattern(`^/[!-~]*$`, "a path that begins with /"),
	"host":         pattern(`^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`, "a full DNS name in lower case, such as dg.example.com"),
	"machine-type": pattern(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`, "a machine type such as g2-standard-12"),
	"image-type":   pattern(`^[A-Z][A-Z0-9_]*$`, "a node image type such as COS_CONTAINERD"),
	"accelerator":  pattern(`^[a-z0-9]+(-[a-z0-9]+)*$`, "an accelerator type such as nvidia-l4"),
	"bucket":       pattern(`^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$`, "3 to 63 lower-case letters, digits, hyphens, underscores and points"),
	"image":        pattern(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$`, "registry/path:tag or registry/path@sha256:digest, such as registry.example.com/deepgram/deepgram-ops:v1.0.0"),
	"image-prefix": pattern(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`, "registry/path without https:// and tag, such as registry.example.com/deepgram"),

	"class-name": pattern(dnsSubdomain, "the name of a StorageClass, such as standard-rwx, efs-sc or gp3"),
	"claim-name": pattern(dnsSubdomain, "the name of a PersistentVolumeClaim"),
	"folder":     pattern(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`, "a folder such as journals/prod, without / at its ends"),
	"https-url":  pattern(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$`, "an address such as https://s3.example.com:9000"),
	"s3-region":  pattern(`^[a-z0-9][a-z0-9-]{0,62}$`, "a region such as us-west-2"),
	"role-arn":   pattern(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`, "such as arn:aws:iam::123456789012:role/journals"),
	"server":     pattern(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`, "a host name or IPv4 address"),

	"quantity":         {valid: func(s string) bool { _, ok := parseQuantity(s); return ok }, allowed: "a quantity above 0, such as 2, 500m or 4Gi", pattern: quantityForm},
	"semver":           {valid: func(s string) bool { _, err := semver.Parse(s); return err == nil }, allowed: "a version such as 0.42.0"},
	"chart-repository": {valid: validChartRepository, allowed: "https://host/path or oci://host/path", pattern: `^(https|oci)://`},
	"ip":               {valid: validPrivateIP, allowed: "a private IPv4 address such as 10.128.0.50"},
	"cidr":             {valid: func(s string) bool { _, problem := parseCIDR(s); return problem == "" }, allowed: "an IPv4 range such as 10.8.0.0/14"},
	"pem":              {valid: func(s string) bool { return true }, allowed: "PEM"}, // certificates have rules of their own
	"time":             {valid: func(s string) bool { _, err := time.Parse(time.RFC3339, s); return err == nil }, allowed: "a time such as 2026-12-20T00:00:00Z"},
	"date":             {valid: func(s string) bool { _, err := time.Parse(time.DateOnly, s); return err == nil }, allowed: "a day such as 2026-12-01", pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`},
	"cron":             {valid: validCron, allowed: "minute, hour, day, month and day of the week, such as 0 2 * * *"},
	"timezone":         {valid: validTimeZone, allowed: "a time zone such as Etc/UTC or Europe/Berlin"},
	"rrule":            {valid: validRecurrence, allowed: "an RFC 5545 rule such as FREQ=WEEKLY;BYDAY=SA,SU"},
}

var (
	labelKey   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	labelValue = regexp.MustCompile(`^[a-z0-9_-]{0,63}$`)
)

const quantityForm = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$`

var quantityExpression = regexp.MustCompile(quantityForm)

// parseQuantity reads a Kubernetes quantity above 0.
func parseQuantity(s string) (*big.Rat, bool) {
	parts := quantityExpression.FindStringSubmatch(s)
	if parts == nil || len(s) > 30 {
		return nil, false
	}
	value, ok := new(big.Rat).SetString(strings.TrimSuffix(parts[1], "."))
	if !ok || value.Sign() <= 0 {
		return nil, false
	}
	factor := new(big.Rat).SetInt64(1)
	switch unit := parts[len(parts)-1]; {
	case unit == "m":
		factor.SetFrac64(1, 1000)
	case strings.HasSuffix(unit, "i"):
		factor.SetInt64(1 << (10 * (1 + strings.Index("KMGTP", unit[:1]))))
	case unit != "":
		for range 1 + strings.Index("kMGTP", unit) {
			factor.Mul(factor, big.NewRat(1000, 1))
		}
	}
	return value.Mul(value, factor), true
}

func validChartRepository(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "oci") && u.Host != "" && u.User == nil
}

// privateRanges are those that a VPC network may use for its own: RFC 1918 and
// the shared range of RFC 6598.
var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"),
}

func validPrivateIP(s string) bool {
	address, err := netip.ParseAddr(s)
	return err == nil && isPrivate(netip.PrefixFrom(address, 32))
}

func isPrivate(p netip.Prefix) bool {
	for _, private := range privateRanges {
		if p.Addr().Is4() && private.Contains(p.Addr()) && private.Bits() <= p.Bits() {
			return true
		}
	}
	return false
}

// parseCIDR reads an IPv4 range that begins at its network address.
func parseCIDR(s string) (p netip.Prefix, problem string) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, "is not an IPv4 range"
	}
	if p.Masked() != p {
		return netip.Prefix{}, "does not begin at its network address " + p.Masked().String()
	}
	return p, ""
}

func validTimeZone(s string) bool {
	_, err := time.LoadLocation(s)
	return err == nil && s != "Local"
}

var cronFields = []struct {
	low, high int
	names     string
}{{0, 59, ""}, {0, 23, ""}, {1, 31, ""}, {1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"}, {0, 7, "sun mon tue wed thu fri sat"}}

// validCron tells whether Kubernetes would take the schedule.
func validCron(s string) bool {
	switch s {
	case "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly":
		return true
	}
	parts := strings.Fields(s)
	if len(parts) != len(cronFields) {
		return false
	}
	for i, part := range parts {
		for item := range strings.SplitSeq(part, ",") {
			if !validCronItem(item, i) {
				return false
			}
		}
	}
	return true
}

func validCronItem(item string, field int) bool {
	rule := cronFields[field]
	body, step, hasStep := strings.Cut(item, "/")
	if hasStep {
		if n, err := strconv.Atoi(step); err != nil || n < 1 {
			return false
		}
	}
	if body == "*" || body == "?" && field != 0 && field != 1 && field != 3 {
		return true
	}
	low, high, isRange := strings.Cut(body, "-")
	first, ok := cronNumber(low, rule.names, field)
	last := first
	if ok && isRange {
		last, ok = cronNumber(high, rule.names, field)
	}
	return ok && first >= rule.low && last <= rule.high && first <= last
}

func cronNumber(s, names string, field int) (int, bool) {
	for i, name := range strings.Fields(names) {
		if strings.EqualFold(s, name) {
			return i + cronFields[field].low, true
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// validRecurrence tells whether a rule is one that GKE can take: its parts are
// known and FREQ is among them.
func validRecurrence(s string) bool {
	days := regexp.MustCompile(`^([+-]?[0-9]+)?(MO|TU|WE|TH|FR|SA|SU)$`)
	parts := recurrenceParts(s)
	for key, value := range parts {
		switch key {
		case "FREQ":
			if value != "DAILY" && value != "WEEKLY" && value != "MONTHLY" && value != "YEARLY" {
				return false
			}
		case "BYDAY":
			for day := range strings.SplitSeq(value, ",") {
				if !days.MatchString(day) {
					return false
				}
			}
		case "INTERVAL", "COUNT":
			if n, err := strconv.Atoi(value); err != nil || n < 1 {
				return false
			}
		case "BYMONTH", "BYMONTHDAY", "BYSETPOS", "BYHOUR", "BYMINUTE", "UNTIL", "WKST":
		default:
			return false
		}
	}
	return parts["FREQ"] != ""
}

func recurrenceParts(s string) map[string]string {
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "RRULE:"), ";") {
		key, value, _ := strings.Cut(part, "=")
		parts[key] = value
	}
	return parts
}
