package rules

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	ingressType       = "kubernetes:networking.k8s.io/v1:Ingress"
	serviceType       = "kubernetes:core/v1:Service"
	backendConfigType = "kubernetes:cloud.google.com/v1:BackendConfig"
	backendPolicyType = "kubernetes:networking.gke.io/v1:GCPBackendPolicy"
	firewallType      = "gcp:compute/firewall:Firewall"
)

var certificateTypes = []string{
	"gcp:compute/regionSslCertificate:RegionSslCertificate", "gcp:compute/sSLCertificate:SSLCertificate",
}

// defaultStreamSeconds is the load balancer's timeout where none is given; it
// is also the longest life of a stream.
const defaultStreamSeconds = 30

const (
	warnDays   = 30
	refuseDays = 7
)

var networkRules = []Rule{
	{
		Name: "ingress-has-tls", Step: "G-IV.2", Level: Mandatory,
		Summary: "Every ingress must have a certificate and refuse plain HTTP",
		Advice:  `Set a certificate (pre-shared-cert, managed-certificates or spec.tls) and the annotation kubernetes.io/ingress.allow-http: "false".`,
		Example: `Ingress "api": it has no certificate; needed: a certificate (guide G-IV.2). Set a certificate (pre-shared-cert, managed-certificates or spec.tls) and the annotation kubernetes.io/ingress.allow-http: "false".`,
		Types:   []string{ingressType},
		Resource: func(j *Judge) {
			notes := j.In().Get("metadata", "annotations")
			certified := len(j.In().Get("spec", "tls").List()) > 0
			for _, key := range []string{"ingress.gcp.kubernetes.io/pre-shared-cert", "networking.gke.io/managed-certificates"} {
				certified = certified || notes.Get(key).Text() != ""
			}
			if !certified {
				j.Violate(Finding{Found: "it has no certificate", Need: "a certificate"})
			}
			if strings.HasPrefix(ingressClass(j.In()), "gce") && notes.Get("kubernetes.io/ingress.allow-http").Text() != "false" {
				j.Violate(Finding{Found: "it also answers plain HTTP", Need: `kubernetes.io/ingress.allow-http: "false"`})
			}
		},
	},
	{
		Name: "api-ingress-is-internal", Step: "G-III", Level: Mandatory,
		Summary: "The API has no authentication of its own and must not be public: its ingress is of class gce-internal",
		Advice:  "Set the annotation kubernetes.io/ingress.class to gce-internal.",
		Example: `Ingress "api": its class is gce, and it leads to the API; needed: gce-internal (guide G-III). Set the annotation kubernetes.io/ingress.class to gce-internal.`,
		Stack: func(j *Judge) {
			Each(j, j.All(ingressType), func(r Resource) Resource { return r }, func(r Resource) {
				class := ingressClass(j.Of(r))
				if class != "gce" && class != "" || !j.leadsToAPI(r) {
					return
				}
				if class == "" {
					class = "GKE's default, gce"
				}
				j.Violate(Finding{On: r, Found: fmt.Sprintf("its class is %s, and it leads to the API", class), Need: "gce-internal"})
			})
		},
	},
	{
		Name: "stream-timeout-is-long", Step: "G-III", Level: Mandatory,
		Summary: "The load balancer's timeout must be longer than its default of 30 s: it cuts every longer stream",
		Advice:  "Set timeoutSec of the API's backend to the longest stream, for example 86400.",
		Example: `BackendConfig "api": its timeout is 30 s; needed: more than 30 s (guide G-III). Set timeoutSec of the API's backend to the longest stream, for example 86400.`,
		Settings: []Setting{{
			Name: "moreThanSeconds", Default: float64(defaultStreamSeconds), Min: bound(defaultStreamSeconds), Max: bound(2147483646),
			Help: "The timeout must be longer than this, in seconds.",
		}},
		Stack: streamTimeouts,
	},
	{
		Name: "firewall-is-not-open", Step: "G-III.2", Level: Mandatory,
		Summary: "A firewall rule must not let the whole Internet in",
		Advice:  "Set sourceRanges to the proxy-only subnet's range and the health checks' (35.191.0.0/16, 130.211.0.0/22).",
		Example: `Firewall "proxies": it lets 0.0.0.0/0 in; needed: the ranges that have to come in (guide G-III.2). Set sourceRanges to the proxy-only subnet's range and the health checks' (35.191.0.0/16, 130.211.0.0/22).`,
		Types:   []string{firewallType},
		Resource: func(j *Judge) {
			in := j.In()
			if strings.EqualFold(in.Get("direction").Text(), "EGRESS") || in.Get("disabled").Flag(false) {
				return
			}
			if !in.Get("allows").Present() {
				return
			}
			ranges := texts(in.Get("sourceRanges"))
			for _, r := range ranges {
				if open(r) {
					j.Violate(Finding{Found: fmt.Sprintf("it lets %s in", r), Need: "the ranges that have to come in"})
				}
			}
			if len(ranges) == 0 && len(texts(in.Get("sourceTags"))) == 0 && len(texts(in.Get("sourceServiceAccounts"))) == 0 {
				j.Violate(Finding{Found: "it names no source, so it lets everybody in", Need: "the ranges that have to come in"})
			}
		},
	},
	{
		Name: "load-balancer-has-source-ranges", Step: "G-III.2", Level: Mandatory,
		Summary: "A Service of type LoadBalancer is public unless it is internal or names who may come",
		Advice:  "Use ClusterIP with an internal ingress, or set loadBalancerSourceRanges.",
		Example: `release "deepgram": api.service.type is LoadBalancer without loadBalancerSourceRanges; needed: source ranges (guide G-III.2). Use ClusterIP with an internal ingress, or set loadBalancerSourceRanges.`,
		Types:   append([]string{serviceType}, releaseTypes...),
		Resource: func(j *Judge) {
			if j.Resource.Type == serviceType {
				spec := j.In().Get("spec")
				publicService(j, describe(j.Resource), "it is", spec.Get("type"), spec.Get("loadBalancerSourceRanges"),
					j.In().Get("metadata", "annotations"))
				return
			}
			deepgram(func(j *Judge, r release) {
				for _, key := range []string{"api", "engine"} {
					publicService(j, r.what, key+".service.type is", r.v(key+".service.type"), r.v(key+".service.loadBalancerSourceRanges"), r.v(key+".service.annotations"))
				}
			})(j)
		},
	},
	{
		Name: "certificate-is-not-about-to-expire", Step: "G-M.cert", Level: Mandatory,
		Summary: "A certificate must be valid for at least seven more days",
		Advice:  "Renew it now: give the new one as ingress.certificate and the old one as ingress.previousCertificate.",
		Example: `RegionSslCertificate "api": it expires on 2026-06-20, in 4 days; needed: 7 days (guide G-M.cert). Renew it now: give the new one as ingress.certificate and the old one as ingress.previousCertificate.`,
		Settings: []Setting{{
			Name: "minDays", Default: float64(refuseDays), Min: bound(0), Max: bound(3650),
			Help: "Least number of days that a certificate must still be valid.",
		}},
		Stack: certificates(func(j *Judge, left time.Duration) (need float64, speak bool) {
			return j.Number("minDays"), left <= days(j.Number("minDays"))
		}),
	},
	{
		Name: "certificate-is-fresh", Step: "G-M.cert", Level: Advisory,
		Summary: "A certificate should be renewed 30 days before it expires",
		Advice:  "Renew it: give the new one as ingress.certificate and the old one as ingress.previousCertificate.",
		Example: `RegionSslCertificate "api": it expires on 2026-06-30, in 14 days; needed: 30 days (guide G-M.cert). Renew it: give the new one as ingress.certificate and the old one as ingress.previousCertificate.`,
		Settings: []Setting{{
			Name: "warnDays", Default: float64(warnDays), Min: bound(1), Max: bound(3650),
			Help: "Number of days before the end at which the warning begins.",
		}},
		Stack: certificates(func(j *Judge, left time.Duration) (need float64, speak bool) {
			return j.Number("warnDays"), left <= days(j.Number("warnDays")) && left > days(refuseDays)
		}),
	},
	{
		Name: "grafana-has-own-password", Step: "G-V", Level: Mandatory,
		Summary: "Grafana must not keep its chart's password, which everybody knows",
		Advice:  "Set kube-prometheus-stack.grafana.admin.existingSecret to a Secret with a password of your own.",
		Example: `release "deepgram": Grafana has its chart's default password; needed: a password of your own (guide G-V). Set kube-prometheus-stack.grafana.admin.existingSecret to a Secret with a password of your own.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			const grafana = "kube-prometheus-stack.grafana."
			if !included(r, "kube-prometheus-stack", r.enabled("scaling.auto.enabled")) || !r.v(grafana+"enabled").Flag(true) {
				return
			}
			password := r.v(grafana + "adminPassword")
			own := r.v(grafana+"admin.existingSecret").Text() != "" || password.Text() != "" &&
				password.Text() != "prom-operator" && password.Text() != "admin"
			if !own {
				j.Violate(Finding{What: r.what, Found: "Grafana has its chart's default password", Need: "a password of your own"})
			}
		}),
	},
}

func ingressClass(in Value) string {
	if class := in.Get("spec", "ingressClassName").Text(); class != "" {
		return class
	}
	return in.Get("metadata", "annotations").Get("kubernetes.io/ingress.class").Text()
}

func texts(v Value) []string {
	var all []string
	for _, e := range v.List() {
		all = append(all, e.Text())
	}
	return all
}

func open(cidr string) bool {
	return strings.HasSuffix(cidr, "/0") || cidr == "0.0.0.0" || cidr == "::"
}

func publicService(j *Judge, what, found string, kind, ranges, annotations Value) {
	if kind.Text() != "LoadBalancer" {
		return
	}
	for _, key := range []string{"networking.gke.io/load-balancer-type", "cloud.google.com/load-balancer-type"} {
		if strings.EqualFold(annotations.Get(key).Text(), "Internal") {
			return
		}
	}
	list := texts(ranges)
	if len(list) == 0 {
		j.Violate(Finding{What: what, Found: found + " LoadBalancer without loadBalancerSourceRanges", Need: "source ranges"})
	}
	for _, r := range list {
		if open(r) {
			j.Violate(Finding{What: what, Found: fmt.Sprintf("%s LoadBalancer and lets %s in", found, r), Need: "narrower source ranges"})
		}
	}
}

// isAPIService tells whether a Service is in front of the API's pods.
func isAPIService(in Value) bool {
	app := in.Get("spec", "selector").Get("app")
	return app.Known() && app.Present() && app.Text() == "deepgram-api"
}

// leadsToAPI tells whether an Ingress has a backend in front of the API.
func (j *Judge) leadsToAPI(r Resource) bool {
	spec := j.Of(r).Get("spec")
	backends := []Value{spec.Get("defaultBackend", "service")}
	for _, rule := range spec.Get("rules").List() {
		for _, p := range rule.Get("http", "paths").List() {
			backends = append(backends, p.Get("backend", "service"))
		}
	}
	var apis []string
	for _, s := range j.All(serviceType) {
		in := j.Of(s)
		if isAPIService(in) {
			apis = append(apis, in.Get("metadata", "name").Text())
		}
	}
	for _, b := range backends {
		name := b.Get("name")
		if !name.Present() {
			continue
		}
		if slices.Contains(apis, name.Text()) || strings.Contains(name.Text(), "deepgram-api") {
			return true
		}
	}
	return false
}

// streamTimeouts judges the backend settings of the API's Services.
func streamTimeouts(j *Judge) {
	named := map[string]bool{}
	Each(j, j.All(serviceType), func(r Resource) Resource { return r }, func(r Resource) {
		in := j.Of(r)
		if !isAPIService(in) {
			return
		}
		notes := in.Get("metadata", "annotations")
		config := notes.Get("cloud.google.com/backend-config").Text()
		if config == "" && notes.Get("cloud.google.com/neg").Text() != "" && len(j.All(backendPolicyType)) == 0 {
			j.Violate(Finding{On: r, Found: "it names no BackendConfig, so the load balancer's timeout is 30 s", Need: longer(j)})
		}
		for _, part := range strings.FieldsFunc(config, func(c rune) bool { return strings.ContainsRune(`{}":, `, c) }) {
			named[part] = true
		}
	})
	Each(j, j.All(backendConfigType), func(r Resource) Resource { return r }, func(r Resource) {
		in := j.Of(r)
		name := in.Get("metadata", "name")
		path := in.Get("spec", "healthCheck", "requestPath").Text()
		// A BackendConfig whose Service is not in the stack shows itself by its health check.
		if !(name.Known() && named[name.Text()]) && !strings.HasPrefix(path, "/v1/") {
			return
		}
		timeout(j, r, in.Get("spec", "timeoutSec"))
	})
	Each(j, j.All(backendPolicyType), func(r Resource) Resource { return r }, func(r Resource) {
		if in := j.Of(r); strings.Contains(in.Get("spec", "targetRef", "name").Text(), "api") {
			timeout(j, r, in.Get("spec", "default", "timeoutSec"))
		}
	})
}

func timeout(j *Judge, r Resource, v Value) {
	if s := v.Number(defaultStreamSeconds); s <= j.Number("moreThanSeconds") {
		j.Violate(Finding{On: r, Found: fmt.Sprintf("its timeout is %s s", number(s)), Need: longer(j)})
	}
}

func longer(j *Judge) string {
	return fmt.Sprintf("more than %s s", number(j.Number("moreThanSeconds")))
}

// certificates judges what is left of each certificate. One that another of the
// stack replaces (the same names, a later end) may run out: that is how a
// certificate is renewed without interruption.
func certificates(judge func(j *Judge, left time.Duration) (need float64, speak bool)) func(*Judge) {
	return func(j *Judge) {
		type held struct {
			on    Resource
			names string
			ends  time.Time
		}
		var all []held
		Each(j, j.All(certificateTypes...), func(r Resource) Resource { return r }, func(r Resource) {
			if names, ends, ok := bundle(j.Of(r).Get("certificate").Text()); ok {
				all = append(all, held{r, names, ends})
			}
		})
		for _, c := range all {
			replaced := slices.ContainsFunc(all, func(o held) bool { return o.names == c.names && o.ends.After(c.ends) })
			left := c.ends.Sub(j.Now())
			if need, speak := judge(j, left); speak && !replaced {
				j.Violate(Finding{On: c.on, Found: expiresText(c.ends, left), Need: number(need) + " days"})
			}
		}
	}
}

// bundle reads a PEM bundle: the host names of its first certificate, and when
// the first of its certificates ends; a chain is as good as that.
func bundle(text string) (names string, ends time.Time, ok bool) {
	if text == "" {
		return "", ends, false
	}
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		if !ok {
			hosts := slices.Sorted(slices.Values(c.DNSNames))
			names, ok = strings.Join(hosts, ","), true
		}
		if ends.IsZero() || c.NotAfter.Before(ends) {
			ends = c.NotAfter
		}
	}
	if !ok {
		panic(wrongKind{"certificate", "a PEM certificate", "another text"})
	}
	return names, ends, ok
}

func days(n float64) time.Duration { return time.Duration(n * 24 * float64(time.Hour)) }

func expiresText(at time.Time, left time.Duration) string {
	day := at.UTC().Format(time.DateOnly)
	if left <= 0 {
		return "it expired on " + day
	}
	return fmt.Sprintf("it expires on %s, in %d days", day, int(left.Hours()/24))
}
