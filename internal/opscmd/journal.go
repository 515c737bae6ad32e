package opscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
)

// targetEnv names the target where --target is not given.
const targetEnv = "DEEPGRAM_JOURNAL_TARGET"

func newJournalCmd(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "journal",
		Short: "Retrieve, back up and deliver the usage journals of airgapped billing",
		Long: `Retrieve, back up and deliver the usage journals of airgapped billing.

Losing a journal can cost the service, so nothing here overwrites or cuts off
anything: a copy counts when its digest is the source's, and each copy is proved
to begin with the one before it.

Targets (--target, or ` + targetEnv + `):
` + indent(journal.TargetHelp),
		Example: "  deepgram-ops journal retrieve --namespace deepgram --to ./journals\n" +
			"  deepgram-ops journal backup --namespace deepgram --target gs://acme-journals\n" +
			"  deepgram-ops journal check --namespace deepgram --target gs://acme-journals",
		RunE: group,
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(newJournalListCmd(s), newJournalRetrieveCmd(s), newJournalVerifyCmd(s), newJournalBackupCmd(s),
		newJournalDeliverCmd(s), newJournalPruneCmd(s), newJournalRestoreCmd(s), newJournalCheckCmd(s), newJournalInsideCmd(s))
	return c
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// targetFlag is where backups are kept.
type targetFlag struct{ url string }

func (f *targetFlag) addTo(c *cobra.Command) {
	c.Flags().StringVarP(&f.url, "target", "t", "", "keep backups in `URL`: gs://, s3:// or file:/// (default $"+targetEnv+")")
}

// open opens the target; nil where none is named and none is required.
func (f *targetFlag) open(ctx context.Context, s Streams, required bool) (journal.Target, error) {
	if f.url == "" {
		f.url, _ = s.LookupEnv(targetEnv)
	}
	if f.url == "" {
		if required {
			return nil, Usagef("--target: is missing; allowed are\n%s", journal.TargetHelp)
		}
		return nil, nil
	}
	t, err := journal.OpenTarget(ctx, f.url)
	if err != nil {
		return nil, &UsageError{err}
	}
	return t, nil
}

// clusterFlags reach the namespace in which billing runs.
type clusterFlags struct {
	kubeconfig, context, namespace string
	image, program, pullSecret     string
	user, group                    int64
	timing                         journal.Timing
	fetch                          journal.FetchOptions
	progress                       time.Duration
}

func (f *clusterFlags) addTo(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "reach the cluster by `FILE` (default KUBECONFIG, the usual file, or the service account)")
	fl.StringVar(&f.context, "context", "", "use this `NAME` of the kubeconfig")
	fl.StringVarP(&f.namespace, "namespace", "n", "", "billing runs in `NAMESPACE` (default the kubeconfig's)")
	fl.StringVar(&f.image, "image", "", "run helper pods from this `IMAGE` of deepgram-ops (default the backup CronJob's)")
	fl.StringVar(&f.program, "image-program", "/deepgram-ops", "`PATH` of deepgram-ops in that image")
	fl.StringVar(&f.pullSecret, "pull-secret", "", "pull it with this `SECRET`, too")
	fl.Int64Var(&f.user, "run-as-user", -1, "read journals as this `UID` (default billing's own, or 65532)")
	fl.Int64Var(&f.group, "run-as-group", -1, "read journals as this `GID` (default the user's)")
	fl.DurationVar(&f.timing.Start, "start-timeout", 3*time.Minute, "a helper pod must run after this time")
	fl.DurationVar(&f.timing.Down, "stop-timeout", 2*time.Minute, "with --scale-down: billing must have stopped after this time")
	fl.DurationVar(&f.timing.Up, "ready-timeout", 5*time.Minute, "with --scale-down: billing must be ready again after this time")
	fl.DurationVar(&f.timing.Deadline, "deadline", 2*time.Hour, "a helper pod ends after this time, whatever happens")
	fl.DurationVar(&f.timing.Beat, "heartbeat", 10*time.Second, "say this often that the run is alive; a run is taken for killed after six times that")
	fl.IntVar(&f.fetch.Tries, "tries", 6, "give a transfer up after this many cuts in a row without a byte")
	fl.DurationVar(&f.fetch.Stall, "stall", time.Minute, "go on after this long without a byte")
	fl.BoolVar(&f.fetch.Compress, "compress", false, "pack the transfer: for slow lines")
	fl.DurationVar(&f.progress, "progress", 5*time.Second, "report progress this often; 0 never")
}

// cluster reaches the cluster.
func (f *clusterFlags) cluster(s Streams) (*journal.Cluster, error) {
	if f.fetch.Tries < 1 || f.timing.Beat < 100*time.Millisecond {
		return nil, Usagef("--tries must be at least 1, --heartbeat at least 100ms")
	}
	// client-go complains on stderr about connections that end; what matters of
	// it comes back as an error.
	klog.SetLogger(logr.Discard())
	k, err := journal.Connect(f.kubeconfig, f.context, f.namespace)
	if err != nil {
		return nil, &UsageError{err}
	}
	k.Helper = journal.HelperSpec{Image: f.image, Program: f.program, PullSecret: f.pullSecret}
	if f.user >= 0 {
		k.Helper.User = &f.user
	}
	if f.group >= 0 {
		k.Helper.Group = &f.group
	}
	f.timing.Dead = 6 * f.timing.Beat
	k.Timing = f.timing
	m := newMeter(s.Err, f.progress)
	k.Note, f.fetch.Progress, f.fetch.Note = m.Note, m.Done, m.Note
	return k, nil
}

// withImage looks for the helper's image where none is named.
func (f *clusterFlags) withImage(ctx context.Context, k *journal.Cluster) error {
	if k.Helper.Image != "" {
		return nil
	}
	image, err := k.FindImage(ctx)
	if err != nil {
		return err
	}
	if image == "" {
		return Usagef("--image: is missing, and namespace %s has no CronJob that runs journal backup, whose image could be used: give --image REGISTRY/deepgram-ops:TAG (deepgram-ops images publish puts it there)", k.Namespace)
	}
	k.Helper.Image = image
	return nil
}

func newJournalVerifyCmd(s Streams) *cobra.Command {
	var previous string
	var out output
	c := &cobra.Command{
		Use:   "verify FILE…",
		Short: "Check journal files, and prove that an older copy is a prefix",
		Long: `Check journal files: every line is a JSON object with "d" and "s", the last one
is complete. Size, lines and SHA-256 are printed.

With --previous the older copy must be a byte prefix of the file: billing only
ever appends. Where it is not, keep both and tell Deepgram.

Exits with 1 where a file is not a journal or the proof fails.`,
		Example: "  deepgram-ops journal verify deepgram-billing-0-*.journal\n" +
			"  deepgram-ops journal verify --previous monday.journal tuesday.journal",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return Usagef("journal verify: name at least one FILE")
			}
			if previous != "" && len(args) > 1 {
				return Usagef("journal verify: --previous goes with one FILE, got %d", len(args))
			}
			results := []verified{}
			var errs []error
			for _, file := range args {
				r, p, err := journal.Verify(c.Context(), file, previous)
				if err == nil {
					err = r.Err()
				}
				if p != nil {
					err = errors.Join(err, p.Err())
				}
				v := verified{File: file, Report: r, Proof: p, Good: err == nil}
				if err != nil {
					v.Error = err.Error()
					errs = append(errs, fmt.Errorf("%s: %w", file, err))
				}
				results = append(results, v)
			}
			perr := out.print(s.Out, struct {
				Files []verified `json:"files"`
			}{results}, func(w io.Writer) error {
				t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				for _, v := range results {
					word := "good"
					if !v.Good {
						word = "BAD"
					}
					fmt.Fprintf(t, "%s\t%s\t%d bytes\t%d lines\t%s\n", word, v.File, v.Size, v.Lines, v.SHA256)
				}
				return t.Flush()
			})
			return errors.Join(append(errs, perr)...)
		},
	}
	c.Flags().StringVar(&previous, "previous", "", "prove that the older copy `OLD` is a prefix")
	out.addTo(c)
	return c
}

// verified is the JSON form of journal verify.
type verified struct {
	File string `json:"file"`
	Good bool   `json:"good"`
	journal.Report
	Proof *journal.Proof `json:"proof,omitempty"`
	Error string         `json:"error,omitempty"`
}

func newJournalListCmd(s Streams) *cobra.Command {
	var f clusterFlags
	var t targetFlag
	var quick, only bool
	var out output
	c := &cobra.Command{
		Use:   "list",
		Short: "List every replica's journal, its last backup and its delivery",
		Long: `List every replica's journal: claim, size, lines, last backup, and whether that
was delivered to Deepgram. The journals are read in a helper pod; --quick leaves
that out, --target-only needs no cluster at all.`,
		Example: "  deepgram-ops journal list --namespace deepgram --target gs://acme-journals\n" +
			"  deepgram-ops journal list --target-only --target file:///backup",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			target, err := t.open(c.Context(), s, only)
			if err != nil {
				return err
			}
			if target != nil {
				defer target.Close()
			}
			var list []journal.Status
			if only {
				list, err = journal.ListTarget(c.Context(), target)
			} else {
				var k *journal.Cluster
				if k, err = f.cluster(s); err != nil {
					return err
				}
				if !quick {
					if err := f.withImage(c.Context(), k); err != nil {
						return err
					}
				}
				list, err = k.List(c.Context(), target, quick)
			}
			if list == nil {
				return err
			}
			return errors.Join(err, out.print(s.Out, struct {
				Journals []journal.Status `json:"journals"`
			}{list}, func(w io.Writer) error { return journalTable(w, list) }))
		},
	}
	f.addTo(c)
	t.addTo(c)
	c.Flags().BoolVar(&quick, "quick", false, "do not read the journals")
	c.Flags().BoolVar(&only, "target-only", false, "say only what the target knows")
	out.addTo(c)
	return c
}

func journalTable(w io.Writer, list []journal.Status) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "POD\tCLAIM\tSIZE\tLINES\tLAST BACKUP\tBACKED UP\tDELIVERED")
	for _, s := range list {
		size, count, at, saved, delivered := "-", "-", "never", "-", "no"
		if s.Journal != nil {
			size, count = fmt.Sprint(s.Journal.Size), fmt.Sprint(s.Journal.Lines)
		}
		if s.Last != nil {
			at, saved = s.Last.TakenAt.UTC().Format(time.RFC3339), fmt.Sprint(s.Last.Size)
		}
		if s.Delivered != nil {
			delivered = s.Delivered.At.Format(time.RFC3339)
		} else if s.Undelivered > 0 {
			delivered = fmt.Sprintf("no (%d backups)", s.Undelivered)
		}
		claim := s.Claim
		if claim == "" {
			claim = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Pod, claim, size, count, at, saved, delivered)
	}
	return t.Flush()
}
