package opscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
	"github.com/deepgram-gke/deepgram-gke/internal/version"
)

func newJournalRetrieveCmd(s Streams) *cobra.Command {
	var f clusterFlags
	var o journal.RetrieveOptions
	var out output
	c := &cobra.Command{
		Use:   "retrieve --to DIR",
		Short: "Copy every replica's journal into DIR",
		Long: `Copy every replica's journal into DIR as POD-TIME.journal (guide A-RET).

Billing goes on working: on shared storage a helper pod mounts the same claim, on
block storage one is placed on billing's node. --scale-down stops billing for the
copy where that is impossible, scales it back to exactly what it was, and prints
how long it was down. If this is killed, the next journal command (or the backup
CronJob) scales billing back.

A cut connection is continued where it was cut. A file appears under its name
when its digest is the source's, and is proved to begin with the newest copy
that is in DIR already. Helper pods are removed in every case.`,
		Example: "  deepgram-ops journal retrieve --namespace deepgram --to ./journals\n" +
			"  deepgram-ops journal retrieve --namespace deepgram --to ./journals --scale-down",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.To == "" {
				return Usagef("journal retrieve: --to DIR is missing")
			}
			k, err := f.cluster(s)
			if err != nil {
				return err
			}
			if err := f.withImage(c.Context(), k); err != nil {
				return err
			}
			o.Fetch = f.fetch
			r, err := k.Retrieve(c.Context(), o)
			return errors.Join(err, out.print(s.Out, r, func(w io.Writer) error {
				t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				for _, j := range r.Journals {
					if j.File == "" {
						fmt.Fprintf(t, "FAILED\t%s\n", j.Pod)
						continue
					}
					fmt.Fprintf(t, "%s\t%s\t%d bytes\t%d lines\t%s\n", j.Pod, j.File, j.Size, j.Lines, j.SHA256)
				}
				if o.ScaleDown {
					fmt.Fprintf(t, "billing was down for %.1f s\n", r.Downtime)
				}
				return t.Flush()
			}))
		},
	}
	f.addTo(c)
	c.Flags().StringVar(&o.To, "to", "", "copy into `DIR`")
	c.Flags().BoolVar(&o.ScaleDown, "scale-down", false, "stop billing for the copy")
	c.Flags().StringArrayVar(&o.Pods, "pod", nil, "only this `POD`; may be repeated (default all)")
	out.addTo(c)
	return c
}

// journalBackupOptions are the flags of journal backup.
type journalBackupOptions struct {
	cluster clusterFlags
	target  targetFlag
	from    journal.SourceOptions
	sources []string
	recover bool
	lease   bool
	timeout time.Duration
	backup  journal.BackupOptions
	out     output
	streams Streams
}

func newJournalBackupCmd(s Streams) *cobra.Command {
	o := &journalBackupOptions{streams: s}
	c := &cobra.Command{
		Use:   "backup --target URL",
		Short: "Store a verified copy of every journal in the target",
		Long: `Store a verified copy of every journal in the target (guide A-CRON), as
POD/TIME-SHA256.journal with a record beside it. Nothing there is overwritten;
every copy is read back; the backup before it must be a prefix. Where it is not,
both are kept and the command fails.

--source DIR reads volumes that are mounted here, as in the backup CronJob: the
root of a claim that replicas share, or POD=DIR. Without it the journals are read
through helper pods, from wherever the cluster can be reached.

The identity needs to create, read and list objects; it need not be able to
overwrite or delete any.`,
		Example: "  deepgram-ops journal backup --source /journals --target gs://acme-journals\n" +
			"  deepgram-ops journal backup --namespace deepgram --target 's3://journals?endpoint=https://minio.acme.internal&use_path_style=true'\n" +
			"  deepgram-ops journal backup --namespace deepgram --target file:///backup --scale-down",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(o.sources) > 0 && o.from.ScaleDown {
				return Usagef("journal backup: --scale-down goes without --source: a volume that is mounted here can be read while billing runs")
			}
			ctx := c.Context()
			if o.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not done after --timeout %s", o.timeout))
				defer cancel()
			}
			return o.run(ctx)
		},
	}
	o.cluster.addTo(c)
	o.target.addTo(c)
	f := c.Flags()
	f.StringArrayVar(&o.sources, "source", nil, "read the volume mounted at `[POD=]DIR`; may be repeated")
	f.BoolVar(&o.recover, "recover", false, "with --source: first scale billing back if a killed command left it down")
	f.BoolVar(&o.lease, "lease", false, "with --source: keep the time of every replica's last good copy in a Lease, for monitoring; always done without --source")
	f.BoolVar(&o.from.ScaleDown, "scale-down", false, "stop billing for the copy")
	f.StringArrayVar(&o.from.Pods, "pod", nil, "only this `POD`; may be repeated (default all)")
	f.DurationVar(&o.backup.Wait, "line-wait", 5*time.Second, "wait this long for the end of a line that is being written")
	f.IntVar(&o.backup.Tries, "upload-tries", 4, "try an upload this often")
	f.DurationVar(&o.timeout, "timeout", 0, "give up after this time; 0 never")
	o.out.addTo(c)
	return c
}

func (o *journalBackupOptions) run(ctx context.Context) error {
	s := o.streams
	target, err := o.target.open(ctx, s, true)
	if err != nil {
		return err
	}
	defer target.Close()
	o.backup.Program = version.Version
	o.backup.Note = newMeter(s.Err, 0).Note
	var list []journal.Backup
	if len(o.sources) > 0 {
		list, err = o.local(ctx, target)
	} else {
		var k *journal.Cluster
		if k, err = o.cluster.cluster(s); err != nil {
			return err
		}
		if err := o.cluster.withImage(ctx, k); err != nil {
			return err
		}
		var down time.Duration
		list, down, err = k.BackUp(ctx, target, o.from, o.cluster.fetch, o.backup)
		if o.from.ScaleDown {
			fmt.Fprintf(s.Err, "billing was down for %.1f s\n", down.Seconds())
		}
	}
	if list == nil {
		list = []journal.Backup{}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, o.out.print(s.Out, struct {
		Backups []journal.Backup `json:"backups"`
	}{list}, func(w io.Writer) error {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, b := range list {
			fmt.Fprintf(t, "%s\t%s/%s\t%d bytes\t%d lines\n", b.Pod, target, b.Object, b.Size, b.Lines)
		}
		return t.Flush()
	}))
}

// local stores the journals of mounted volumes. One that fails keeps no other
// from being stored.
func (o *journalBackupOptions) local(ctx context.Context, target journal.Target) ([]journal.Backup, error) {
	var errs []error
	// Billing that is down is bad, a backup that is not made is worse: what the
	// cluster refuses fails the command, but only after the copies.
	var k *journal.Cluster
	if o.recover || o.lease {
		var err error
		if k, err = o.cluster.cluster(o.streams); err != nil {
			errs = append(errs, err)
		}
	}
	if o.recover && k != nil {
		if _, err := k.Recover(ctx); err != nil {
			errs = append(errs, fmt.Errorf("looking whether billing was left scaled down: %w", err))
		}
	}
	found, err := journal.FindLocal(o.sources)
	errs = append(errs, err)
	var list []journal.Backup
	for _, l := range found {
		b := o.backup
		b.Source = l.Path
		r, err := journal.Store(ctx, target, l.Pod, l.Path, b)
		if r.Name != "" {
			list = append(list, r)
		}
		if err == nil && o.lease && k != nil {
			err = k.Mark(ctx, l.Pod, r.TakenAt)
		}
		errs = append(errs, err)
	}
	return list, errors.Join(errs...)
}

func newJournalInsideCmd(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "inside",
		Short:   "What helper pods run",
		Hidden:  true,
		Example: "  deepgram-ops journal inside stat --file /volume/journal",
		RunE:    group,
		Args:    cobra.ArbitraryArgs,
	}
	var limit time.Duration
	var serve journal.ServeOptions
	hold := &cobra.Command{
		Use: "hold", Short: "Keep the pod alive, and serve journals", Args: noArgs,
		Example: "  deepgram-ops journal inside hold --for 1h",
		RunE: func(c *cobra.Command, _ []string) error {
			serve.Ahead = journal.AheadFromEnv()
			journal.Hold(c.Context(), limit, serve, func(err error) { _, _ = fmt.Fprintln(s.Err, "warning:", err) })
			return nil
		},
	}
	hold.Flags().StringVar(&serve.Root, "root", "/volume", "serve journals of this `folder`")
	hold.Flags().StringVar(&serve.TokenSHA256, "token-sha256", "", "`digest` of the token that a request must carry; empty serves nothing")
	hold.Flags().DurationVar(&limit, "for", time.Hour, "end after this time")

	var cat journal.CatOptions
	catCmd := &cobra.Command{
		Use: "cat", Short: "Stream a journal with its digest", Args: noArgs,
		Example: "  deepgram-ops journal inside cat --file /volume/journal",
		RunE: func(c *cobra.Command, _ []string) error {
			return journal.Cat(c.Context(), s.Out, cat)
		},
	}
	catCmd.Flags().StringVar(&cat.Path, "file", "", "read `FILE`")
	catCmd.Flags().Int64Var(&cat.Offset, "offset", 0, "begin at this `byte`")
	catCmd.Flags().Int64Var(&cat.Size, "size", 0, "continue the snapshot of this size in `bytes`; 0 takes one")
	catCmd.Flags().BoolVar(&cat.Compress, "compress", false, "pack the stream")

	var file string
	stat := &cobra.Command{
		Use: "stat", Short: "Report on a journal", Args: noArgs,
		Example: "  deepgram-ops journal inside stat --file /volume/journal",
		RunE: func(c *cobra.Command, _ []string) error {
			return journal.WriteStat(c.Context(), s.Out, file, 0)
		},
	}
	stat.Flags().StringVar(&file, "file", "", "read `FILE`")

	var to, digest string
	var size int64
	receive := &cobra.Command{
		Use: "receive", Short: "Write a journal from stdin", Args: noArgs,
		Example: "  deepgram-ops journal inside receive --file /volume/journal --size 10 --sha256 DIGEST",
		RunE: func(c *cobra.Command, _ []string) error {
			return journal.Receive(c.Context(), s.In, to, size, digest)
		},
	}
	receive.Flags().StringVar(&to, "file", "", "write the new file `FILE`")
	receive.Flags().Int64Var(&size, "size", 0, "it has this size in `bytes`")
	receive.Flags().StringVar(&digest, "sha256", "", "it has this `digest`")
	c.AddCommand(hold, catCmd, stat, receive)
	return c
}
