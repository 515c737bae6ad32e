package opscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/images"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
	"github.com/deepgram-gke/deepgram-gke/internal/version"
)

// Variables that stand for flags which are not given. deepgram-stack up sets the
// first two.
const (
	smokeURLEnv       = "DEEPGRAM_API_URL"
	smokeNamespaceEnv = "DEEPGRAM_NAMESPACE"
	smokeKeyEnv       = "DEEPGRAM_API_KEY"
	smokeCAEnv        = "DEEPGRAM_CA_FILE"
)

// smokeTarget are the flags that say where the API is and what is said to it.
type smokeTarget struct {
	url, keyFile, caFile, host     string
	resolve                        []string
	stack, dir                     string
	portForward, inCluster         bool
	kubeconfig, context, namespace string
	service, engines               string
	image, program, pullSecret     string
	start, deadline                time.Duration
	audio, text, language, model   string
	timeout                        time.Duration
	pace                           float64

	sound *smoke.Audio
	ca    []byte
	key   smoke.Key
}

func (f *smokeTarget) addTo(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.url, "url", "", "reach the API at `URL` (default $"+smokeURLEnv+", or the host of --stack)")
	fl.StringVar(&f.keyFile, "api-key-file", "", "read an API key from `FILE`, - is stdin (default $"+smokeKeyEnv+")")
	fl.StringVar(&f.caFile, "ca-file", "", "trust the authorities in `FILE`, too (PEM; default $"+smokeCAEnv+")")
	fl.StringVar(&f.host, "host-header", "", "ask for this `HOST`, in HTTP and TLS, whatever --url says")
	fl.StringSliceVar(&f.resolve, "resolve", nil, "reach `HOST:PORT:ADDRESS` there, without DNS; may be repeated")
	fl.StringVarP(&f.stack, "stack", "s", "", "take URL, namespace, models and image from Pulumi.`STACK`.yaml")
	fl.StringVar(&f.dir, "config-dir", ".", "look for stack files in `DIR`")
	fl.BoolVar(&f.portForward, "port-forward", false, "reach a pod of the API through the cluster's API server")
	fl.BoolVar(&f.inCluster, "in-cluster", false, "run as a Job in the cluster; --url may then be one that only pods know")
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "reach the cluster by `FILE` (default KUBECONFIG, or the usual file)")
	fl.StringVar(&f.context, "context", "", "use this `NAME` of the kubeconfig")
	fl.StringVarP(&f.namespace, "namespace", "n", "", "Deepgram runs in `NAMESPACE` (default $"+smokeNamespaceEnv+", --stack's, the kubeconfig's)")
	fl.StringVar(&f.service, "service", smoke.DefaultService, "`NAME` of the API's Service")
	fl.StringVar(&f.engines, "engine-selector", smoke.DefaultEngines, "`LABELS` of the engines' pods")
	fl.StringVar(&f.image, "image", "", "with --in-cluster: `IMAGE` of deepgram-ops (default --stack's)")
	fl.StringVar(&f.program, "image-program", "/deepgram-ops", "`PATH` of deepgram-ops in that image")
	fl.StringVar(&f.pullSecret, "pull-secret", "", "pull it with this `SECRET`")
	fl.DurationVar(&f.start, "start-timeout", 3*time.Minute, "the Job must run after this time")
	fl.DurationVar(&f.deadline, "deadline", time.Hour, "the Job ends after this time, whatever happens")
	fl.StringVar(&f.audio, "audio", "", "say this `FILE` instead of the bundled recording (WAV, mono, 16 bits)")
	fl.StringVar(&f.text, "text", "", "`WORDS` that it says")
	fl.StringVar(&f.language, "language", "", "ask for this `LANGUAGE`, such as es")
	fl.StringVar(&f.model, "model", "", "transcribe with this `MODEL` (default the newest general one that is loaded)")
	fl.DurationVar(&f.timeout, "timeout", 30*time.Second, "end a request, or waiting for a stream's last result, after this time")
	fl.Float64Var(&f.pace, "pace", 1, "send sound this many times as fast as it is spoken; latencies are then not those of people")
}

// check finds wrong values, and reads the files and variables that are named.
func (f *smokeTarget) check(s Streams) error {
	var errs []error
	given := func(name string) string {
		v, _ := s.LookupEnv(name)
		return v
	}
	if f.portForward && f.inCluster {
		errs = append(errs, errors.New("--port-forward and --in-cluster: cannot be combined"))
	}
	if f.portForward && f.url != "" {
		errs = append(errs, errors.New("--url and --port-forward: cannot be combined"))
	}
	if f.url == "" && f.stack == "" && !f.portForward && !f.inCluster {
		if f.url = given(smokeURLEnv); f.url == "" {
			errs = append(errs, errors.New("where is the API? give --url URL, --stack STACK, --port-forward or --in-cluster"))
		}
	}
	if f.namespace == "" {
		f.namespace = given(smokeNamespaceEnv)
	}
	if f.caFile == "" {
		f.caFile = given(smokeCAEnv)
	}
	if f.caFile != "" {
		var err error
		if f.ca, err = os.ReadFile(f.caFile); err != nil {
			errs = append(errs, fmt.Errorf("--ca-file: %w", err))
		}
	}
	f.key = smoke.Key(strings.TrimSpace(given(smokeKeyEnv)))
	if f.keyFile != "" {
		key, err := readKey(f.keyFile, s.In)
		errs = append(errs, err)
		f.key = smoke.Key(key)
	}
	if strings.ContainsFunc(string(f.key), func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, errors.New("API key: must be one line of printable characters without spaces"))
	}
	if f.timeout <= 0 || f.pace <= 0 || f.start <= 0 || f.deadline < time.Second {
		errs = append(errs, errors.New("--timeout, --pace and --start-timeout must be more than 0, --deadline at least 1s"))
	}
	switch {
	case (f.audio == "") != (f.text == ""):
		errs = append(errs, errors.New("--audio FILE and --text WORDS: go together"))
	case f.audio != "":
		wav, err := os.ReadFile(f.audio)
		f.sound = &smoke.Audio{WAV: wav, Text: f.text}
		if err == nil {
			err = f.sound.Check()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--audio: %w", err))
		}
	}
	if f.url != "" {
		t := smoke.Target{URL: f.url, CA: f.ca, Resolve: f.resolve, Host: f.host}
		errs = append(errs, t.Check())
	}
	return errors.Join(errs...)
}

func readKey(name string, in io.Reader) (string, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("--api-key-file: %w", err)
		}
		defer file.Close()
		in = file
	}
	key, err := io.ReadAll(io.LimitReader(in, 4<<10))
	if err != nil {
		return "", fmt.Errorf("--api-key-file: %w", err)
	}
	if len(strings.TrimSpace(string(key))) == 0 {
		return "", fmt.Errorf("--api-key-file %s: is empty", name)
	}
	return strings.TrimSpace(string(key)), nil
}

// reached is how the API is reached.
type reached struct {
	api     smoke.Target
	cluster *smoke.Cluster
	gpu     func(context.Context) (string, error)
	models  []string
	done    func()
}

// reach finds the API, and opens the way to it.
func (f *smokeTarget) reach(ctx context.Context, s Streams, note func(string)) (*reached, error) {
	r := &reached{done: func() {}}
	if f.stack != "" {
		c, err := loadStack(f.dir, f.stack)
		if err != nil {
			return nil, err
		}
		if err := f.fromStack(c, r); err != nil {
			return nil, err
		}
	}
	r.api = smoke.Target{URL: f.url, Key: f.key, CA: f.ca, Host: f.host, Resolve: f.resolve}
	if err := f.connect(s, r, note); err != nil {
		return nil, err
	}
	if f.portForward {
		url, done, err := r.cluster.Forward(ctx)
		if err != nil {
			return nil, err
		}
		r.api.URL, r.done = url, done
	}
	if f.inCluster && f.image == "" {
		return nil, Usagef("--image: is missing: give the image of deepgram-ops, or --stack, whose registry.opsImage is used (deepgram-ops images publish puts it there)")
	}
	if r.api.URL != "" {
		if err := r.api.Check(); err != nil {
			return nil, &UsageError{err}
		}
	}
	return r, nil
}

// fromStack takes what is not given from the configuration of an environment.
func (f *smokeTarget) fromStack(c *config.Config, r *reached) error {
	if f.url == "" && !f.portForward && !f.inCluster {
		if c.Ingress.Host == "" {
			return Usagef("--stack %s: has no ingress.host: give --url, --port-forward or --in-cluster", f.stack)
		}
		f.url = "https://" + c.Ingress.Host
	}
	if f.namespace == "" {
		f.namespace = c.Release.Namespace
	}
	if f.image == "" {
		if f.image = c.Registry.OpsImage; f.image == "" {
			prefix, err := images.TargetPrefix(c)
			if err != nil {
				return &UsageError{err}
			}
			f.image = prefix + "/" + images.OpsName + ":" + version.Version
		}
	}
	r.models = expectedModels(&c.Models)
	return nil
}

// expectedModels are the models whose files the active set holds. A file is called
// after its model: nova-3-general.en.formatted.streaming.a12b345.dg. Files of no
// model of their own, such as diarizer or g2p, are in no list of models.
func expectedModels(m *config.Models) []string {
	set, ok := m.ActiveSet()
	if !ok {
		return nil
	}
	var names []string
	for _, file := range set.Files {
		name, _, _ := strings.Cut(file.FileName(), ".")
		for _, family := range []string{"nova-", "enhanced-", "base-", "aura-", "flux-"} {
			if strings.HasPrefix(name, family) {
				names = append(names, name)
			}
		}
	}
	return names
}

// connect reaches the cluster, where it is named or needed.
func (f *smokeTarget) connect(s Streams, r *reached, note func(string)) error {
	env, _ := s.LookupEnv("KUBECONFIG")
	needed := f.portForward || f.inCluster || f.kubeconfig != "" || f.context != ""
	if !needed && env == "" {
		return nil
	}
	klog.SetLogger(logr.Discard()) // what matters comes back as an error
	c, err := smoke.Connect(f.kubeconfig, f.context, f.namespace)
	switch {
	case err != nil && needed:
		return &UsageError{err}
	case err != nil:
		why := smoke.Skipped("KUBECONFIG leads to no cluster: %v", err)
		r.gpu = func(context.Context) (string, error) { return "", why }
		return nil
	}
	c.Service, c.Engines, c.Note = f.service, f.engines, note
	r.cluster, r.gpu = c, c.GPU
	return nil
}

func (f *smokeTarget) job() smoke.JobOptions {
	return smoke.JobOptions{Image: f.image, Program: f.program, PullSecret: f.pullSecret, Start: f.start, Deadline: f.deadline}
}
