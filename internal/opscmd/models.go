package opscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/models"
)

func newModelsCmd(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "models",
		Short: "Fill a models disk and say what is on it",
		Long: `Fill a models disk and say what is on it (guide G-S).

The loader Job runs "models load" on a new disk before any engine mounts it.
Each file is on the disk whole or not at all, whenever the command is stopped.`,
		Example: "  deepgram-ops models load --dir /models --sources /etc/models/sources.json\n  deepgram-ops models verify --dir /models",
		RunE:    group,
		Args:    cobra.ArbitraryArgs,
	}
	c.AddCommand(newModelsLoadCmd(s, nil), newModelsListCmd(s), newModelsVerifyCmd(s))
	return c
}

// modelsLoadOptions are the flags of models load.
type modelsLoadOptions struct {
	dir, sources string
	load         models.Options
	progress     time.Duration
	out          output
	streams      Streams
}

func newModelsLoadCmd(s Streams, runF func(context.Context, *modelsLoadOptions) error) *cobra.Command {
	o := &modelsLoadOptions{streams: s}
	c := &cobra.Command{
		Use:   "load --dir DIR --sources FILE",
		Short: "Download model files onto the disk mounted at DIR",
		Long: `Download model files onto the disk mounted at DIR.

FILE is JSON: [{"url": "https://…", "sha256": "…", "size": 123, "name": "model.dg"}],
only url is required. Signed links are secret, so mount the file from a Secret
("-" reads it from stdin); they appear in no output. gs://bucket/object is read
with Google's application default credentials (Workload Identity in a cluster).

What is on the disk already is left alone; what an earlier run began is
continued. A disk that is too small is found before the first byte.`,
		Example: "  deepgram-ops models load --dir /models --sources /etc/models/sources.json\n" +
			"  deepgram-ops models load --dir /models --sources - < sources.json",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.dir == "" || o.sources == "" {
				return Usagef("models load: --dir and --sources are required")
			}
			if o.load.Parallel < 1 || o.load.Tries < 1 {
				return Usagef("models load: --parallel and --tries must be at least 1")
			}
			if runF != nil {
				return runF(c.Context(), o)
			}
			return modelsLoad(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "", "load onto the disk mounted at `DIR`")
	f.StringVar(&o.sources, "sources", "", "read the list of files from `FILE` (JSON; - is stdin)")
	f.IntVar(&o.load.Parallel, "parallel", 4, "download this many files at a time")
	f.IntVar(&o.load.Tries, "tries", 6, "give up a file after this many tries in a row without a byte")
	f.DurationVar(&o.load.Stall, "stall", time.Minute, "try again after this long without a byte")
	f.DurationVar(&o.load.FirstWait, "first-wait", time.Second, "wait this long before the second try, then twice as long each time")
	f.BoolVar(&o.load.Verify, "verify", false, "read and hash files that are there already")
	f.BoolVar(&o.load.Prune, "prune", false, "remove files of the disk that are not in the list")
	f.DurationVar(&o.progress, "progress", 5*time.Second, "report progress this often; 0 never")
	o.out.addTo(c)
	return c
}

func modelsLoad(ctx context.Context, o *modelsLoadOptions) error {
	in := o.streams.In
	if o.sources != "-" {
		f, err := os.Open(o.sources)
		if err != nil {
			return Usagef("sources: %w", err)
		}
		defer f.Close()
		in = f
	}
	list, err := models.ReadSources(in)
	if err != nil {
		return &UsageError{err}
	}
	// A place for tests and for private endpoints, as in Google's own tools.
	if e, ok := o.streams.LookupEnv("STORAGE_EMULATOR_HOST"); ok && e != "" {
		o.load.StorageEndpoint = e
		o.load.Token = func(context.Context) (string, error) { return "", nil }
	}
	o.load.Progress = newMeter(o.streams.Err, o.progress)
	results, err := models.Load(ctx, o.dir, list, o.load)
	if perr := o.out.print(o.streams.Out, filesOf(results), func(w io.Writer) error { return modelTable(w, results) }); perr != nil {
		return errors.Join(err, perr)
	}
	return err
}

// modelFiles is the JSON form of every models command.
type modelFiles struct {
	Files []models.Result `json:"files"`
}

func filesOf(r []models.Result) modelFiles {
	if r == nil {
		r = []models.Result{}
	}
	return modelFiles{r}
}

func modelTable(w io.Writer, results []models.Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range results {
		if r.Status == "" {
			continue // the run ended before this file's turn
		}
		digest := r.SHA256
		if digest == "" {
			digest = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", r.Status, r.Name, r.Size, digest)
	}
	return t.Flush()
}

func newModelsListCmd(s Streams) *cobra.Command {
	var dir string
	var out output
	c := &cobra.Command{
		Use:     "list --dir DIR",
		Short:   "List the files of the disk's manifest",
		Example: "  deepgram-ops models list --dir /models --output json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if dir == "" {
				return Usagef("models list: --dir is required")
			}
			if _, err := os.Stat(dir); err != nil {
				return Usagef("models list: %w", err)
			}
			m, err := models.ReadManifest(dir)
			if err != nil {
				return err
			}
			if m.Files == nil {
				m.Files = []models.Entry{}
			}
			return out.print(s.Out, m, func(w io.Writer) error {
				t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				for _, e := range m.Files {
					fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", e.Name, e.Size, e.SHA256, e.LoadedAt.Format(time.RFC3339))
				}
				return t.Flush()
			})
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the disk is mounted at `DIR`")
	out.addTo(c)
	return c
}

func newModelsVerifyCmd(s Streams) *cobra.Command {
	var dir string
	var quick bool
	var out output
	c := &cobra.Command{
		Use:   "verify --dir DIR",
		Short: "Compare the disk with its manifest",
		Long: `Compare the disk with its manifest: every file is read and hashed.

Exits with 4 where a file is changed or missing. Files that are not in the
manifest are listed as unknown and change nothing.`,
		Example: "  deepgram-ops models verify --dir /models\n  deepgram-ops models verify --dir /models --quick",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return Usagef("models verify: --dir is required")
			}
			if _, err := os.Stat(dir); err != nil {
				return Usagef("models verify: %w", err)
			}
			results, err := models.Verify(c.Context(), dir, quick)
			if err != nil {
				return err
			}
			if err := out.print(s.Out, filesOf(results), func(w io.Writer) error { return modelTable(w, results) }); err != nil {
				return err
			}
			known, bad := 0, 0
			for _, r := range results {
				switch r.Status {
				case models.Changed, models.Missing:
					bad++
					known++
				case models.Good:
					known++
				}
			}
			switch {
			case bad > 0:
				return &DifferencesError{fmt.Errorf("folder %s: %d of %d files are not what the manifest says: run models load again", dir, bad, known)}
			case known == 0:
				return &DifferencesError{fmt.Errorf("folder %s: has no manifest, or an empty one: nothing was loaded with models load", dir)}
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the disk is mounted at `DIR`")
	c.Flags().BoolVar(&quick, "quick", false, "compare sizes and times only")
	out.addTo(c)
	return c
}
