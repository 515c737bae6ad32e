package postrender

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"strconv"

	"github.com/BurntSushi/toml"
)

// proxyURL is where the proxy of that configuration answers, as the chart itself
// writes it. billing is the host that the proxy has to ask.
func proxyURL(host, billing, text string) (string, error) {
	var c struct {
		License struct {
			ServerURL any `toml:"server_url"`
		}
		Server struct {
			Port    int
			BaseURL string `toml:"base_url"`
		}
	}
	if _, err := toml.Decode(text, &c); err != nil {
		return "", fmt.Errorf("license-proxy.toml: %w", err)
	}
	if c.Server.Port == 0 {
		return "", errors.New("license-proxy.toml: has no server.port")
	}
	asked := addresses(c.License.ServerURL)
	if len(asked) == 0 {
		return "", errors.New("license-proxy.toml: has no license.server_url: the licence proxy would ask " + upstream + ", and not billing")
	}
	for _, a := range asked {
		u, err := url.Parse(a)
		if err != nil || u.Hostname() != billing {
			return "", fmt.Errorf("license-proxy.toml: license.server_url is %q: the licence proxy has to ask billing at %s, and nobody else", a, billing)
		}
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(c.Server.Port)) + c.Server.BaseURL, nil
}

// addresses are those of a server_url, which may be a text or a list.
func addresses(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, x := range v {
			s, _ := x.(string)
			list = append(list, s)
		}
	}
	return list
}

var (
	// licenseTable is the table [license] up to the next table.
	licenseTable = regexp.MustCompile(`(?ms)^[ \t]*\[license\][ \t]*(#[^\n]*)?$.*?(^[ \t]*\[|\z)`)
	// serverURL is its entry, a text or a list that may go over several lines. No
	// address holds a bracket or a quote.
	serverURL = regexp.MustCompile(`(?m)^([ \t]*server_url[ \t]*=[ \t]*)("[^"\n]*"|'[^'\n]*'|\[[^\]]*\])`)
)

// route makes the configuration of an API or Engine ask proxy and nobody else. The
// text stays as it is but for that address; where it is right already, entirely.
func route(text, proxy string) (string, error) {
	var before map[string]any
	if _, err := toml.Decode(text, &before); err != nil {
		return "", err
	}
	license, _ := before["license"].(map[string]any)
	if license == nil || len(addresses(license["server_url"])) == 0 {
		return "", errors.New("has no license.server_url, by which it could be told to ask the licence proxy")
	}
	if a := addresses(license["server_url"]); len(a) == 1 && a[0] == proxy {
		return text, nil
	}
	routed := text
	if at := licenseTable.FindStringIndex(text); at != nil {
		table := serverURL.ReplaceAllString(text[at[0]:at[1]], fmt.Sprintf(`${1}[%q]`, proxy))
		routed = text[:at[0]] + table + text[at[1]:]
	}
	// The change was made in the text, to keep the rest; what it means is checked.
	var after map[string]any
	if _, err := toml.Decode(routed, &after); err != nil {
		return "", fmt.Errorf("cannot change license.server_url: %w", err)
	}
	license["server_url"] = []any{proxy}
	if !reflect.DeepEqual(before, after) {
		return "", errors.New("cannot change license.server_url: it is written in an unknown way")
	}
	return routed, nil
}

func fingerprint(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:16]
}
