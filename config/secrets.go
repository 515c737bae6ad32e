package config

import (
	"fmt"
	"reflect"
)

// The kinds of secrets, which say what a value looks like.
const (
	// KindText is a password or key without further form.
	KindText = "text"
	// KindPEMKey is a private key in PEM.
	KindPEMKey = "pem-key"
	// KindURL is a model file's address.
	KindURL = "url"
	// KindLicenseFile is the text of a .dg licence file.
	KindLicenseFile = "license-file"
	// KindLicenseKey is a licence key.
	KindLicenseKey = "license-key"
	// KindAPIKey is a self-hosted API key.
	KindAPIKey = "api-key"
)

// SecretField is one place in a configuration that holds a secret.
type SecretField struct {
	// Path is the path inside the namespace, such as "release.apiKey" or
	// "models.files[0].url".
	Path string
	// Secret is the field itself: what is put there is in the configuration.
	Secret *Secret
	// Required tells that the configuration as it stands needs it.
	Required bool
	// Kind says what the secret looks like.
	Kind string
}

// Secrets are all places that hold secrets, given or not. Fields inside a list
// belong to the elements that are there. A set of models is a copy in its map:
// its files' urls are shared with it all the same.
func (c *Config) Secrets() []SecretField {
	var out []SecretField
	c.eachSecret(reflect.ValueOf(c).Elem(), "", &out)
	return out
}

func (c *Config) eachSecret(v reflect.Value, path string, out *[]SecretField) {
	switch {
	case v.Type() == secretType:
		kind, required := c.secretNeed(path)
		*out = append(*out, SecretField{Path: path, Secret: v.Addr().Interface().(*Secret), Required: required, Kind: kind})
	case v.Kind() == reflect.Pointer && !v.IsNil():
		c.eachSecret(v.Elem(), path, out)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || keyOf(field) == "" {
				continue
			}
			at := keyOf(field)
			if path != "" {
				at = path + "." + at
			}
			c.eachSecret(v.Field(i), at, out)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			c.eachSecret(v.Index(i), fmt.Sprintf("%s[%d]", path, i), out)
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		for _, key := range v.MapKeys() {
			// Elements of a map cannot be addressed; their lists can.
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(key))
			c.eachSecret(element, path+"."+key.String(), out)
		}
	}
}

// secretNeed gives the kind of the secret at a path and whether it is needed.
func (c *Config) secretNeed(path string) (kind string, required bool) {
	switch path {
	case "release.apiKey":
		return KindAPIKey, !c.Billing.Enabled
	case "registry.distribution.password":
		return KindText, c.Registry.Mode != "existing"
	case "ingress.certificate.key":
		cert := c.Ingress.Certificate
		return KindPEMKey, c.Ingress.Enabled && cert.Existing == "" && cert.KeyFile == ""
	case "ingress.previousCertificate.key":
		cert := c.Ingress.PreviousCertificate
		return KindPEMKey, c.Ingress.Enabled && cert.Existing == "" && cert.KeyFile == ""
	case "grafana.adminPassword":
		return KindText, c.Grafana.Enabled
	case "billing.licenseKey":
		return KindLicenseKey, c.Billing.Enabled
	case "billing.licenseFile":
		return KindLicenseFile, c.Billing.Enabled
	case "billing.backup.s3.accessKeyId", "billing.backup.s3.secretAccessKey":
		b := c.Billing.Backup
		return KindText, c.Billing.Enabled && b.Enabled && b.Target == "s3" && b.S3.RoleARN == ""
	default:
		return KindURL, true // model files are the only secrets in lists
	}
}
