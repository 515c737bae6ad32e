package preflight

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/api/option"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/images"
)

// Status is how a check ended.
type Status string

// How a check ends.
const (
	Pass Status = "PASS"
	Skip Status = "SKIP"
	Fail Status = "FAIL"
)

// Result is how one check ended.
type Result struct {
	// ID names the check. IDs are stable.
	ID string `json:"id"`
	// Title says what is asked.
	Title  string `json:"title"`
	Status Status `json:"status"`
	// Message says what was found.
	Message string `json:"message"`
	// Fix says what to do; empty where nothing is.
	Fix string `json:"fix,omitempty"`
	// Role is the IAM role that is missing to ask.
	Role string `json:"role,omitempty"`
}

// Report is the result of all checks, in a fixed order.
type Report struct {
	Stack   string   `json:"stack"`
	Project string   `json:"project"`
	Region  string   `json:"region"`
	Zone    string   `json:"zone"`
	Checks  []Result `json:"checks"`
	Passed  int      `json:"passed"`
	Skipped int      `json:"skipped"`
	Failed  int      `json:"failed"`
}

// Options say what is asked, and how.
type Options struct {
	// Config is the environment, completed; certificate files are read into it.
	// Required. Secrets may be missing or encrypted.
	Config *config.Config
	// Google are options of the clients of Google's APIs, the credentials among them.
	Google []option.ClientOption
	// Endpoint is asked instead of all Google's APIs, such as http://127.0.0.1:8080/;
	// empty means Google.
	Endpoint string
	// Credentials gets a token and says whose it is; nil means that none is needed.
	Credentials func(context.Context) (account string, err error)
	// Images asks registries. Required.
	Images *images.Client
	// Upstream is where Deepgram's images come from; empty means images.QuayPrefix.
	Upstream string
	// Distribution tells that the credentials for Upstream are at hand.
	Distribution bool
	// HTTP asks chart repositories; nil means the default client.
	HTTP *http.Client
	// Lookup resolves a name, network being ip4 or ip6; nil means the system.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Dial connects to the licence server; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// License is the licence server; empty means license.deepgram.com:443.
	License string
	// Roots are the roots that clients trust; nil means this system's.
	Roots *x509.CertPool
	// Now is the time; zero means now.
	Now time.Time
	// Parallel is how many checks run at a time; 0 means 8.
	Parallel int
	// Timeout bounds each check; 0 means 30 s.
	Timeout time.Duration
	// Only restricts the run to these checks, Skip leaves some out, by ID.
	Only, Skip []string
}

// check is one check.
type check struct {
	id, title string
	// google tells that Google's APIs are asked.
	google bool
	ask    func(*run, context.Context) verdict
}

// verdict is how a check ended.
type verdict struct {
	status             Status
	message, fix, role string
}

func passed(format string, args ...any) verdict {
	return verdict{status: Pass, message: fmt.Sprintf(format, args...)}
}

func skipped(fix, format string, args ...any) verdict {
	return verdict{status: Skip, message: fmt.Sprintf(format, args...), fix: fix}
}

func failed(fix, format string, args ...any) verdict {
	return verdict{status: Fail, message: fmt.Sprintf(format, args...), fix: fix}
}

// tally collects what one check finds in several places.
type tally struct {
	bad, fixes []string
	unseen     *verdict
	good       []string
}

func (t *tally) fail(fix, format string, args ...any) {
	t.bad = append(t.bad, fmt.Sprintf(format, args...))
	if fix != "" && !slices.Contains(t.fixes, fix) {
		t.fixes = append(t.fixes, fix)
	}
}

func (t *tally) ok(format string, args ...any) { t.good = append(t.good, fmt.Sprintf(format, args...)) }

// skip keeps the first thing that could not be asked.
func (t *tally) skip(v verdict) {
	if t.unseen == nil {
		t.unseen = &v
	}
}

// verdict: a fault outweighs what could not be asked, and that what is good.
func (t *tally) verdict() verdict {
	switch {
	case len(t.bad) > 0:
		return failed(strings.Join(t.fixes, "; "), "%s", strings.Join(t.bad, "; "))
	case t.unseen != nil:
		return *t.unseen
	}
	return passed("%s", strings.Join(t.good, ", "))
}

// checks are all checks, in the order of the report.
var checks = []check{
	{"configuration", "nothing is missing in the configuration", false, (*run).configuration},
	{"credentials", "Google Cloud takes the credentials", false, (*run).credentials},
	{"project", "the project exists and is active", true, (*run).project},
	{"apis", "the APIs are switched on", true, (*run).apis},
	{"machine-types", "the machine types are offered in the zones", true, (*run).machineTypes},
	{"accelerators", "the GPUs are offered in the zone", true, (*run).accelerators},
	{"gpu-quota", "the GPU quota suffices for all nodes", true, (*run).gpuQuota},
	{"cpu-quota", "the CPU quota suffices for all nodes", true, (*run).cpuQuota},
	{"disk-quota", "the disk quota suffices for all nodes", true, (*run).diskQuota},
	{"address-quota", "the quota of addresses suffices for all nodes", true, (*run).addressQuota},
	{"proxy-only-subnet", "the proxy-only subnet is there or can be made", true, (*run).proxyOnlySubnet},
	{"address", "the API's internal address is free", true, (*run).address},
	{"ranges", "the IP ranges overlap nothing", true, (*run).ranges},
	{"dns-api", "the API's name leads to its address", false, (*run).dnsAPI},
	{"dns-grafana", "Grafana's name leads to its address", false, (*run).dnsGrafana},
	{"certificate", "the API's certificate is good", false, (*run).certificate},
	{"previous-certificate", "the previous certificate is good", false, (*run).previousCertificate},
	{"registry", "the registry takes the credentials", false, (*run).registry},
	{"release-images", "the release's images exist", false, (*run).releaseImages},
	{"chart", "the chart's version exists", false, (*run).chart},
	{"chart-and-release", "chart and release work together", false, (*run).chartAndRelease},
	{"license-endpoint", "the licence server can be reached", false, (*run).licenseEndpoint},
	{"filestore", "the journals' volume is large enough", false, (*run).filestore},
	{"kubernetes-version", "Kubernetes is new enough for the chart", true, (*run).kubernetesVersion},
	{"gpu-driver", "the GPU driver suits the release", false, (*run).gpuDriver},
}

// IDs are the checks' names, in the order of the report.
func IDs() []string {
	ids := make([]string, 0, len(checks))
	for _, c := range checks {
		ids = append(ids, c.id)
	}
	return ids
}

// run is one run of the checks: what several of them need is asked once.
type run struct {
	o Options
	c *config.Config
	g google
	// signIn gets a token once, and says whose it is.
	signIn func() (string, error)
	index  func() (*chartIndex, error)
}

// Run runs the checks. The error is only about the options: what a check finds is
// in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	for _, id := range append(slices.Clone(o.Only), o.Skip...) {
		if !slices.Contains(IDs(), id) {
			return nil, fmt.Errorf("there is no check %q; there are %s", id, strings.Join(IDs(), ", "))
		}
	}
	r := newRun(ctx, o)
	c := o.Config
	report := &Report{Stack: c.Stack, Project: c.GCP.Project, Region: c.GCP.Region, Zone: c.GCP.Zone, Checks: []Result{}}
	var list []check
	for _, k := range checks {
		if (len(o.Only) == 0 || slices.Contains(o.Only, k.id)) && !slices.Contains(o.Skip, k.id) {
			list = append(list, k)
		}
	}
	report.Checks = make([]Result, len(list))
	slots := make(chan struct{}, r.o.Parallel)
	var wg sync.WaitGroup
	for i, k := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			v := r.one(ctx, k)
			report.Checks[i] = Result{ID: k.id, Title: k.title, Status: v.status, Message: v.message, Fix: v.fix, Role: v.role}
		})
	}
	wg.Wait()
	for _, k := range report.Checks {
		switch k.Status {
		case Pass:
			report.Passed++
		case Skip:
			report.Skipped++
		case Fail:
			report.Failed++
		}
	}
	return report, ctx.Err()
}

func newRun(ctx context.Context, o Options) *run {
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Upstream == "" {
		o.Upstream = images.QuayPrefix
	}
	if o.License == "" {
		o.License = "license.deepgram.com:443"
	}
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	if o.Lookup == nil {
		o.Lookup = net.DefaultResolver.LookupNetIP
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	r := &run{o: o, c: o.Config}
	r.signIn = sync.OnceValues(func() (string, error) {
		if o.Credentials == nil {
			return "", nil
		}
		limited, cancel := context.WithTimeout(ctx, r.o.Timeout)
		defer cancel()
		return o.Credentials(limited)
	})
	r.index = sync.OnceValues(func() (*chartIndex, error) { return r.fetchIndex(ctx) })
	r.g.prepare(ctx, r)
	return r
}

// one runs a check within its time.
func (r *run) one(ctx context.Context, k check) verdict {
	if k.google {
		if _, err := r.signIn(); err != nil {
			return skipped("", "not asked: there are no credentials, see credentials")
		}
	}
	limited, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	v := k.ask(r, limited)
	if limited.Err() != nil && ctx.Err() == nil && v.status != Pass {
		return skipped("check the network (proxy, firewall) and run it again", "no answer within %s", r.o.Timeout)
	}
	return v
}

// configuration tells what is missing; what is wrong was refused before.
func (r *run) configuration(context.Context) verdict {
	missing := r.c.Missing()
	if len(missing) == 0 {
		return passed("complete")
	}
	var t tally
	for _, p := range missing {
		t.fail(p.Fix, "%s %s", p.Key, p.Message)
	}
	return t.verdict()
}

func (r *run) credentials(context.Context) verdict {
	if r.o.Credentials == nil {
		return skipped("", "none are used: %s is asked instead of Google Cloud", r.o.Endpoint)
	}
	account, err := r.signIn()
	if err != nil {
		return failed("run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a file", "%v", err)
	}
	return passed("%s", account)
}

// AsksGoogle tells whether a check asks Google's APIs, and so needs a role.
func AsksGoogle(id string) bool {
	return slices.ContainsFunc(checks, func(c check) bool { return c.id == id && c.google })
}
