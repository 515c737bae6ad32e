package opscmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/images"
	"github.com/deepgram-gke/deepgram-gke/internal/version"
)

func newImagesCmd(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "images",
		Short: "Copy and compare the images that an environment needs",
		Long: `Copy and compare the images that an environment needs (guide G-II), by digest
and without Docker.

Credentials come from the environment, never from the command line:
  DEEPGRAM_DIST_USERNAME, DEEPGRAM_DIST_PASSWORD      for Deepgram's registry
  DEEPGRAM_TARGET_USERNAME, DEEPGRAM_TARGET_PASSWORD  for the target registry
  DEEPGRAM_REGISTRY_AUTH_FILE                         a file like Docker's config.json
A password may also be in the file that <NAME>_FILE names. Otherwise Docker's
configuration and Google's application default credentials are used.`,
		Example: "  deepgram-ops images mirror --stack prod-omi\n" +
			"  deepgram-ops images verify --stack prod-omi --lock images.lock",
		RunE: group,
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(newImagesListCmd(s), newImagesMirrorCmd(s), newImagesVerifyCmd(s),
		newImagesPublishCmd(s), newImagesExportCmd(s), newImagesImportCmd(s))
	return c
}

// imageFlags choose the images: those of an environment, of a release, or
// named ones.
type imageFlags struct {
	stack, dir                   string
	need                         images.Need
	noLicenseProxy, noMonitoring bool
	named                        []string
	// pullThrough is set for an environment whose registry fetches by itself.
	pullThrough bool
}

func (f *imageFlags) addTo(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVarP(&f.stack, "stack", "s", "", "take the environment from Pulumi.`STACK`.yaml")
	fl.StringVar(&f.dir, "config-dir", ".", "look for stack files in `DIR`")
	fl.StringVar(&f.need.Tag, "release", "", "without --stack: the Deepgram release `TAG`, such as release-250331")
	fl.StringVar(&f.need.Prefix, "to", "", "the target `PREFIX` before /self-hosted-api; with --stack the environment's own registry")
	fl.StringVar(&f.need.Upstream, "from", images.QuayPrefix, "the `PREFIX` before /self-hosted-api upstream")
	fl.StringVar(&f.need.ChartVersion, "chart-version", "0.42.0", "without --stack: the chart `VERSION` whose monitoring images are meant")
	fl.BoolVar(&f.need.Billing, "billing", false, "without --stack: with the images of the airgapped mode")
	fl.BoolVar(&f.need.Monitoring, "monitoring", false, "without --stack: with the monitoring images")
	fl.BoolVar(&f.noLicenseProxy, "no-license-proxy", false, "without --stack: without the licence proxy")
	fl.BoolVar(&f.noMonitoring, "no-monitoring", false, "leave the monitoring images out")
	fl.StringArrayVar(&f.named, "image", nil, "only this image, `SOURCE[=TARGET]`; may be repeated")
	fl.StringVar(&f.need.OpsTag, "ops-tag", "", "list and verify the project's own image with this `TAG` too")
}

// list computes the images.
func (f *imageFlags) list() ([]images.Image, error) {
	if len(f.named) > 0 {
		if f.stack != "" || f.need.Tag != "" {
			return nil, Usagef("--image: cannot be combined with --stack or --release")
		}
		return f.list1()
	}
	need := f.need
	switch {
	case f.stack != "" && need.Tag != "":
		return nil, Usagef("--release: cannot be combined with --stack; the environment's release.tag is used")
	case f.stack != "":
		c, err := loadStack(f.dir, f.stack)
		if err != nil {
			return nil, err
		}
		if need, err = images.FromConfig(c); err != nil {
			return nil, &UsageError{err}
		}
		f.pullThrough = c.Registry.Mode == "pull-through"
		need.Upstream, need.OpsTag = f.need.Upstream, f.need.OpsTag
		if f.need.Prefix != "" {
			need.Prefix = f.need.Prefix
		}
	case need.Tag == "":
		return nil, Usagef("give --stack STACK, --release TAG, or --image SOURCE")
	default:
		need.LicenseProxy, need.Grafana = !f.noLicenseProxy, need.Monitoring
	}
	if f.noMonitoring {
		need.Monitoring = false
	}
	list, err := images.List(need)
	if err != nil {
		return nil, &UsageError{err}
	}
	return list, nil
}

func (f *imageFlags) list1() ([]images.Image, error) {
	var list []images.Image
	var errs []error
	for _, n := range f.named {
		source, target, _ := strings.Cut(n, "=")
		ref, err := name.NewTag(source)
		if err != nil {
			errs = append(errs, fmt.Errorf("--image %q: must be SOURCE or SOURCE=TARGET, each registry/path:tag", n))
			continue
		}
		if target == "" && f.need.Prefix != "" {
			if target, err = images.TargetFor(f.need.Prefix, source); err != nil {
				errs = append(errs, err)
			}
		}
		list = append(list, images.Image{Name: shortName(ref), Source: source, Target: target})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &UsageError{err}
	}
	return list, nil
}

// shortName is the component's name in a reference.
func shortName(ref name.Tag) string {
	return strings.TrimPrefix(path.Base(ref.RepositoryStr()), "self-hosted-")
}

// loadStack reads an environment. Its secrets are not needed here, and are not
// decrypted.
func loadStack(dir, stack string) (*config.Config, error) {
	tree, err := config.LoadTree(filepath.Join(dir, "Pulumi."+stack+".yaml"))
	if err != nil {
		return nil, &UsageError{err}
	}
	c, err := config.FromTree(stack, tree, config.AllowMissingSecrets())
	if err != nil {
		return nil, &UsageError{err}
	}
	return c, nil
}

// targets checks that every image has a target.
func targets(list []images.Image) error {
	for _, i := range list {
		if i.Target == "" {
			return Usagef("image %s: has no target: give --to PREFIX, or --image SOURCE=TARGET", i.Name)
		}
	}
	return nil
}

// copyFlags are common to what copies.
type copyFlags struct {
	o        images.Options
	lock     string
	progress time.Duration
}

func (f *copyFlags) addTo(c *cobra.Command, withLock bool) {
	fl := c.Flags()
	fl.IntVar(&f.o.Parallel, "parallel", 4, "copy this many blobs at a time")
	fl.IntVar(&f.o.Tries, "tries", 5, "try a request or a blob this often")
	fl.DurationVar(&f.o.Stall, "stall", time.Minute, "try again after this long without a byte")
	fl.DurationVar(&f.o.FirstWait, "first-wait", 500*time.Millisecond, "wait this long before the second try, then twice as long each time")
	fl.DurationVar(&f.o.MaxWait, "max-wait", 3*time.Minute, "give up when a registry asks to wait longer than this")
	fl.StringVar(&f.o.Platform, "platform", "", "narrow images of several platforms to one, such as linux/amd64")
	fl.DurationVar(&f.progress, "progress", 5*time.Second, "report progress this often; 0 never")
	if withLock {
		fl.StringVar(&f.lock, "lock", "", "pin digests in `FILE` (made where it is missing)")
	}
}

// client makes the client of a command. The distribution credentials belong to
// the registry of Deepgram's images.
func (f *copyFlags) client(s Streams, list []images.Image, from string) (*images.Client, error) {
	if f.o.Parallel < 1 || f.o.Tries < 1 {
		return nil, Usagef("--parallel and --tries must be at least 1")
	}
	dist, _, _ := strings.Cut(from, "/")
	target := ""
	for _, i := range list {
		if ref, err := name.NewTag(i.Target); err == nil && i.Target != "" {
			target = ref.RegistryStr()
			break
		}
	}
	k, err := images.NewKeychain(s.LookupEnv, dist, target)
	if err != nil {
		return nil, &UsageError{fmt.Errorf("credentials: %w", err)}
	}
	f.o.Keychain = k
	f.o.Progress = newMeter(s.Err, f.progress)
	c, err := images.NewClient(f.o)
	if err != nil {
		return nil, &UsageError{err}
	}
	return c, nil
}

func (f *copyFlags) readLock() (*images.Lock, error) {
	if f.lock == "" {
		return nil, nil //nolint:nilnil // no lock file is asked for
	}
	l, err := images.ReadLock(f.lock)
	if err != nil {
		return nil, &UsageError{err}
	}
	return l, nil
}

// finish prints the results, writes the lock file and says how it ended.
func finishImages(s Streams, out output, results []images.Result, err error) error {
	if results == nil {
		results = []images.Result{}
	}
	perr := out.print(s.Out, struct {
		Images []images.Result `json:"images"`
	}{results}, func(w io.Writer) error {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, r := range results {
			ref := r.Target
			if ref == "" {
				ref = r.Source
			}
			digest := r.Digest
			if digest == "" {
				digest = "-"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Status, r.Name, ref, digest)
		}
		return t.Flush()
	})
	if err = errors.Join(err, perr); err != nil {
		return err
	}
	var words []string
	for _, r := range results {
		if !r.Different() {
			continue
		}
		switch r.Status {
		case images.Moved:
			words = append(words, fmt.Sprintf("image %s: the tag of %s moved upstream to %s, the target has %s: look at the change, then take it over with --follow (or keep the old one with --lock)",
				r.Name, r.Source, r.Upstream, r.Digest))
		case images.Missing:
			words = append(words, fmt.Sprintf("image %s: %s is missing: run images mirror", r.Name, r.Target))
		case images.Broken:
			words = append(words, fmt.Sprintf("image %s: %s names something that its registry has lost: remove the tag and run images mirror", r.Name, r.Target))
		default:
			words = append(words, fmt.Sprintf("image %s: %s is %s, not what the lock file pins", r.Name, r.Target, r.Digest))
		}
	}
	if len(words) > 0 {
		return &DifferencesError{errors.New(strings.Join(words, "\n"))}
	}
	return nil
}

func newImagesListCmd(s Streams) *cobra.Command {
	var f imageFlags
	var out output
	c := &cobra.Command{
		Use:     "list",
		Short:   "List every image that an environment needs",
		Example: "  deepgram-ops images list --stack prod-omi\n  deepgram-ops images list --release release-250331 --billing --output json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			list, err := f.list()
			if err != nil {
				return err
			}
			return out.print(s.Out, struct {
				Images []images.Image `json:"images"`
			}{list}, func(w io.Writer) error {
				t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				for _, i := range list {
					source, target := i.Source, i.Target
					if source == "" {
						source = "(images publish)"
					}
					if target == "" {
						target = "-"
					}
					fmt.Fprintf(t, "%s\t%s\t%s\n", i.Name, source, target)
				}
				return t.Flush()
			})
		},
	}
	f.addTo(c)
	out.addTo(c)
	return c
}

func newImagesMirrorCmd(s Streams) *cobra.Command {
	var f imageFlags
	var cf copyFlags
	var out output
	c := &cobra.Command{
		Use:   "mirror",
		Short: "Copy images from their registries to the environment's, by digest",
		Long: `Copy images from their registries to the environment's, by digest.

What is there already costs one request. A run that was stopped is continued by
the next: whole blobs are kept. A tag that stands for another image upstream
than in the target is reported and left alone (exit 4), unless --follow is given.`,
		Example: "  deepgram-ops images mirror --stack prod-omi --lock images.lock\n" +
			"  deepgram-ops images mirror --release release-250331 --to us-central1-docker.pkg.dev/acme/deepgram",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := f.list()
			if err == nil && f.pullThrough && f.need.Prefix == "" {
				err = Usagef("registry.mode pull-through: the registry fetches images by itself, there is nothing to mirror; use mode mirror, or give --to PREFIX")
			}
			if err == nil {
				err = targets(list)
			}
			if err != nil {
				return err
			}
			lock, err := cf.readLock()
			if err != nil {
				return err
			}
			client, err := cf.client(s, list, f.need.Upstream)
			if err != nil {
				return err
			}
			results, err := client.Mirror(c.Context(), list, lock)
			if lock != nil {
				err = errors.Join(err, lock.Write(cf.lock))
			}
			return finishImages(s, out, results, err)
		},
	}
	f.addTo(c)
	cf.addTo(c, true)
	c.Flags().BoolVar(&cf.o.Follow, "follow", false, "take over tags that moved upstream")
	out.addTo(c)
	return c
}

func newImagesVerifyCmd(s Streams) *cobra.Command {
	var f imageFlags
	var cf copyFlags
	var out output
	var blobs, offline bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare the digests of both sides",
		Long: `Compare the digests of both sides, and with the lock file where one is given.

Exits with 4 where the target lacks an image or has another one.`,
		Example: "  deepgram-ops images verify --stack prod-omi\n" +
			"  deepgram-ops images verify --stack prod-omi --lock images.lock --offline --blobs",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := f.list()
			if err == nil {
				err = targets(list)
			}
			if err != nil {
				return err
			}
			if offline && cf.lock == "" {
				return Usagef("images verify: --offline needs --lock: without both upstream and a lock file there is nothing to compare with")
			}
			lock, err := cf.readLock()
			if err != nil {
				return err
			}
			client, err := cf.client(s, list, f.need.Upstream)
			if err != nil {
				return err
			}
			results, err := client.Verify(c.Context(), list, lock, blobs, offline)
			return finishImages(s, out, results, err)
		},
	}
	f.addTo(c)
	cf.addTo(c, true)
	c.Flags().BoolVar(&blobs, "blobs", false, "ask for every blob of the target's images too")
	c.Flags().BoolVar(&offline, "offline", false, "do not ask upstream; the lock file is what counts")
	out.addTo(c)
	return c
}

func newImagesPublishCmd(s Streams) *cobra.Command {
	var cf copyFlags
	var out output
	var o images.PublishOptions
	var stack, dir, to, tag string
	c := &cobra.Command{
		Use:   "publish",
		Short: "Publish deepgram-ops itself as a small non-root image",
		Long: `Publish deepgram-ops itself as a small non-root image, built without Docker from
the program. Loader and backup Jobs run it. The same program gives the same
digest, and nothing is sent where it is there already.`,
		Example: "  deepgram-ops images publish --stack prod-omi\n" +
			"  deepgram-ops images publish --to us-central1-docker.pkg.dev/acme/deepgram --tag v1.2.3",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if to == "" && stack == "" {
				return Usagef("images publish: give --stack STACK or --to PREFIX")
			}
			if to == "" {
				cfg, err := loadStack(dir, stack)
				if err != nil {
					return err
				}
				if to, err = images.TargetPrefix(cfg); err != nil {
					return &UsageError{err}
				}
			}
			o.Target = strings.TrimSuffix(to, "/") + "/" + images.OpsName + ":" + tag
			o.Version = tag
			if o.Binary == "" {
				self, err := os.Executable()
				if err != nil {
					return Usagef("images publish: give the program with --binary: %w", err)
				}
				o.Binary = self
			}
			client, err := cf.client(s, []images.Image{{Target: o.Target}}, "")
			if err != nil {
				return err
			}
			r, err := client.Publish(c.Context(), o)
			return finishImages(s, out, []images.Result{r}, err)
		},
	}
	fl := c.Flags()
	fl.StringVarP(&stack, "stack", "s", "", "publish into the registry of Pulumi.`STACK`.yaml")
	fl.StringVar(&dir, "config-dir", ".", "look for stack files in `DIR`")
	fl.StringVar(&to, "to", "", "publish as `PREFIX`/deepgram-ops")
	fl.StringVar(&tag, "tag", version.Version, "publish under this `TAG`")
	fl.StringVar(&o.Binary, "binary", "", "a statically linked deepgram-ops for Linux; this program where none is given")
	fl.StringVar(&o.Certificates, "certificates", "", "a PEM `FILE` of trusted authorities; this system's where none is given")
	cf.addTo(c, false)
	out.addTo(c)
	return c
}

func newImagesExportCmd(s Streams) *cobra.Command {
	var f imageFlags
	var cf copyFlags
	var out output
	var folder string
	c := &cobra.Command{
		Use:   "export --dir DIR",
		Short: "Copy images into a folder, for a site without a route",
		Long: `Copy images into a folder, for a site without a route to their registries. The
folder is an OCI image layout: carry it over and run images import there. A run
that was stopped is continued by the next.`,
		Example: "  deepgram-ops images export --stack airgapped --dir /mnt/usb/images --platform linux/amd64",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if folder == "" {
				return Usagef("images export: --dir is required")
			}
			list, err := f.list()
			if err != nil {
				return err
			}
			lock, err := cf.readLock()
			if err != nil {
				return err
			}
			for i := range list {
				list[i].Target = ""
			}
			client, err := cf.client(s, nil, f.need.Upstream)
			if err != nil {
				return err
			}
			l, err := images.OpenLayout(folder, true)
			if err != nil {
				return err
			}
			results, err := client.Export(c.Context(), list, l, lock)
			if lock != nil {
				err = errors.Join(err, lock.Write(cf.lock))
			}
			return finishImages(s, out, results, err)
		},
	}
	f.addTo(c)
	cf.addTo(c, true)
	c.Flags().StringVar(&folder, "dir", "", "write to the folder `DIR`")
	c.Flags().BoolVar(&cf.o.Follow, "follow", false, "take over tags that moved upstream")
	out.addTo(c)
	return c
}

func newImagesImportCmd(s Streams) *cobra.Command {
	var cf copyFlags
	var out output
	var folder, stack, dir, to string
	c := &cobra.Command{
		Use:   "import --dir DIR",
		Short: "Copy images from a folder into the environment's registry",
		Example: "  deepgram-ops images import --dir /mnt/usb/images --stack airgapped\n" +
			"  deepgram-ops images import --dir /mnt/usb/images --to registry.example.com/deepgram",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if folder == "" {
				return Usagef("images import: --dir is required")
			}
			if to == "" && stack == "" {
				return Usagef("images import: give --stack STACK or --to PREFIX")
			}
			if to == "" {
				cfg, err := loadStack(dir, stack)
				if err != nil {
					return err
				}
				if to, err = images.TargetPrefix(cfg); err != nil {
					return &UsageError{err}
				}
			}
			l, err := images.OpenLayout(folder, false)
			if err != nil {
				return &UsageError{err}
			}
			var list []images.Image
			for _, ref := range l.References() {
				target, err := images.TargetFor(to, ref)
				if err != nil {
					return &UsageError{err}
				}
				tag, err := name.NewTag(target)
				if err != nil {
					return Usagef("--to %q: gives %q, which is not a reference", to, target)
				}
				list = append(list, images.Image{Name: shortName(tag), Source: ref, Target: target})
			}
			client, err := cf.client(s, list, "")
			if err != nil {
				return err
			}
			results, err := client.Import(c.Context(), list, l)
			return finishImages(s, out, results, err)
		},
	}
	fl := c.Flags()
	fl.StringVar(&folder, "dir", "", "read the folder `DIR`")
	fl.StringVarP(&stack, "stack", "s", "", "import into the registry of Pulumi.`STACK`.yaml")
	fl.StringVar(&dir, "config-dir", ".", "look for stack files in `DIR`")
	fl.StringVar(&to, "to", "", "import to the target `PREFIX`")
	fl.BoolVar(&cf.o.Follow, "follow", false, "replace tags of the target that are other images")
	cf.addTo(c, false)
	out.addTo(c)
	return c
}
