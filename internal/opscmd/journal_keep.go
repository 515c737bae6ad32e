package opscmd

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
)

func newJournalDeliverCmd(s Streams) *cobra.Command {
	var t targetFlag
	var o journal.DeliverOptions
	var pods []string
	var at string
	var confirmed bool
	var out output
	c := &cobra.Command{
		Use:   "deliver [FILE…] --by NAME --target URL",
		Short: "Record what was handed to Deepgram",
		Long: `Record what was handed to Deepgram: which journal, by digest, when and by whom.
Without FILE it is each pod's newest backup (or that of the pods that --pod
names). --confirmed records that Deepgram could validate it.

The record covers every backup whose bytes are all in what was handed over. Only
covered backups can be pruned; the hold of a bucket on them is lifted, if this
identity may. Records are never changed or removed.`,
		Example: "  deepgram-ops journal deliver journals/deepgram-billing-0-*.journal --by ana@acme.example --to support@deepgram.com --target gs://acme-journals\n" +
			"  deepgram-ops journal deliver --confirmed --by 'Deepgram, ticket 4711' --target gs://acme-journals",
		RunE: func(c *cobra.Command, files []string) error {
			if o.By == "" {
				return Usagef("journal deliver: --by is missing: who handed it over?")
			}
			if len(files) > 0 && len(pods) > 1 {
				return Usagef("journal deliver: with FILE, --pod may be given once")
			}
			if at != "" {
				var err error
				if o.At, err = time.Parse(time.RFC3339, at); err != nil {
					return Usagef("--at %q: must be a time such as 2026-01-31T12:00:00Z", at)
				}
			}
			if confirmed {
				o.Kind = journal.Confirmed
			}
			target, err := t.open(c.Context(), s, true)
			if err != nil {
				return err
			}
			defer target.Close()
			var jobs []journal.DeliverOptions
			for _, f := range files {
				job := o
				job.File = f
				if len(pods) > 0 {
					job.Pod = pods[0]
				}
				jobs = append(jobs, job)
			}
			if len(files) == 0 {
				if len(pods) == 0 {
					book, err := journal.ReadBook(c.Context(), target, "")
					if err != nil {
						return err
					}
					if pods = book.Pods(); len(pods) == 0 {
						return fmt.Errorf("deliver: %s holds no backup", target)
					}
				}
				for _, p := range pods {
					job := o
					job.Pod = p
					jobs = append(jobs, job)
				}
			}
			list := []journal.Delivery{}
			var errs []error
			for _, job := range jobs {
				d, err := journal.Deliver(c.Context(), target, job)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				list = append(list, d)
				// The delivery is on the books, whatever becomes of the holds.
				if err := journal.Release(c.Context(), target, d); err != nil {
					errs = append(errs, fmt.Errorf("the delivery of %s is recorded, but: %w", d.Pod, err))
				}
			}
			errs = append(errs, out.print(s.Out, struct {
				Deliveries []journal.Delivery `json:"deliveries"`
			}{list}, func(w io.Writer) error {
				tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				for _, d := range list {
					fmt.Fprintf(tw, "%s\t%s\t%d bytes\t%s\tcovers %d backups\n", d.Kind, d.Pod, d.Size, d.SHA256, len(d.Covers))
				}
				return tw.Flush()
			}))
			return errors.Join(errs...)
		},
	}
	t.addTo(c)
	f := c.Flags()
	f.StringArrayVar(&pods, "pod", nil, "the journal of this `POD`; may be repeated (default all)")
	f.StringVar(&o.By, "by", "", "`NAME` of who handed it over, or confirmed it")
	f.StringVar(&o.To, "to", "", "`NAME` of whom it went to, or the way")
	f.StringVar(&o.Note, "note", "", "any `TEXT`")
	f.StringVar(&at, "at", "", "`TIME` of the delivery (default now)")
	f.BoolVar(&confirmed, "confirmed", false, "record that Deepgram confirmed it")
	out.addTo(c)
	return c
}

func newJournalPruneCmd(s Streams) *cobra.Command {
	var t targetFlag
	var o journal.PruneOptions
	var days int
	var out output
	c := &cobra.Command{
		Use:   "prune --older-than-days N --target URL",
		Short: "Delete backups that were delivered to Deepgram",
		Long: `Delete backups that were delivered to Deepgram and are older than N days.

What was not delivered is never deleted, nor is a pod's newest backup, nor any
record: what is deleted stays on the books.`,
		Example: "  deepgram-ops journal prune --older-than-days 365 --dry-run --target gs://acme-journals",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if days < 0 {
				return Usagef("journal prune: --older-than-days is missing")
			}
			o.OlderThan = time.Duration(days) * 24 * time.Hour
			target, err := t.open(c.Context(), s, true)
			if err != nil {
				return err
			}
			defer target.Close()
			list, err := journal.Prune(c.Context(), target, o)
			if list == nil {
				list = []journal.Pruned{}
			}
			return errors.Join(err, out.print(s.Out, struct {
				DryRun bool             `json:"dryRun"`
				Copies []journal.Pruned `json:"copies"`
			}{o.DryRun, list}, func(w io.Writer) error {
				tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				for _, p := range list {
					word := "keep"
					switch {
					case p.Deleted && o.DryRun:
						word = "would delete"
					case p.Deleted:
						word = "deleted"
					}
					fmt.Fprintf(tw, "%s\t%s\t%s\n", word, p.Object, p.Why)
				}
				return tw.Flush()
			}))
		},
	}
	t.addTo(c)
	c.Flags().IntVar(&days, "older-than-days", -1, "keep what is younger than `N` days")
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "only say what would be deleted")
	out.addTo(c)
	return c
}

func newJournalRestoreCmd(s Streams) *cobra.Command {
	var f clusterFlags
	var t targetFlag
	var o journal.ClaimOptions
	var pod, backup, file, dir string
	var out output
	c := &cobra.Command{
		Use:   "restore --pod POD (--to-dir DIR | --claim NAME)",
		Short: "Restore a backup into a folder or a new claim, and compare it",
		Long: `Restore a backup (the newest, or --backup NAME, or --file FILE) into a folder or
into a new claim like billing's own, where billing would look for it, and compare
every byte. Nothing is overwritten: a file or claim that exists is refused.

--drill removes the claim after the comparison: do it before going to production
(guide A-BEST).`,
		Example: "  deepgram-ops journal restore --pod deepgram-billing-0 --to-dir ./restored --target gs://acme-journals\n" +
			"  deepgram-ops journal restore --pod deepgram-billing-0 --claim drill --drill --namespace deepgram --target gs://acme-journals",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case pod == "":
				return Usagef("journal restore: --pod is missing")
			case (dir == "") == (o.Claim == ""):
				return Usagef("journal restore: give either --to-dir or --claim")
			case o.Drill && o.Claim == "":
				return Usagef("journal restore: --drill goes with --claim")
			case file != "" && backup != "":
				return Usagef("journal restore: give either --file or --backup")
			}
			ctx := c.Context()
			var k journal.Copy
			var err error
			if file != "" {
				k, err = journal.FileCopy(ctx, pod, file)
			} else {
				var target journal.Target
				if target, err = t.open(ctx, s, true); err != nil {
					return err
				}
				defer target.Close()
				k, err = journal.FindCopy(ctx, target, pod, backup)
			}
			if err != nil {
				return err
			}
			var r journal.Restored
			if dir != "" {
				r, err = journal.RestoreTo(ctx, k, dir)
			} else {
				var cl *journal.Cluster
				if cl, err = f.cluster(s); err != nil {
					return err
				}
				if err := f.withImage(ctx, cl); err != nil {
					return err
				}
				o.Fetch = f.fetch
				r, err = cl.RestoreClaim(ctx, k, o)
			}
			if err != nil {
				return err
			}
			return out.print(s.Out, r, func(w io.Writer) error {
				word := "restored"
				if !r.Kept {
					word = "drilled"
				}
				_, err := fmt.Fprintf(w, "%s %s to %s: %d bytes, %d lines, every byte equal\n", word, r.From, r.To, r.Size, r.Lines)
				return err
			})
		},
	}
	f.addTo(c)
	t.addTo(c)
	fl := c.Flags()
	fl.StringVar(&pod, "pod", "", "the journal of this `POD`")
	fl.StringVar(&backup, "backup", "", "this backup by `NAME` or digest (default the newest)")
	fl.StringVar(&file, "file", "", "this `FILE` instead of a backup")
	fl.StringVar(&dir, "to-dir", "", "restore into `DIR`")
	fl.StringVar(&o.Claim, "claim", "", "restore into the new claim `NAME`")
	fl.StringVar(&o.Class, "storage-class", "", "`CLASS` of the new claim (default billing's)")
	fl.StringVar(&o.Size, "size", "", "`SIZE` of the new claim (default billing's)")
	fl.BoolVar(&o.Drill, "drill", false, "remove the claim after the comparison")
	out.addTo(c)
	return c
}

func newJournalCheckCmd(s Streams) *cobra.Command {
	var f clusterFlags
	var t targetFlag
	var o journal.CheckOptions
	var out output
	c := &cobra.Command{
		Use:   "check",
		Short: "Answer the guide's validation checklist",
		Long: `Answer the guide's validation checklist (A-CHECK), by trying it: every journal is
really copied (and thrown away), the target is read. Exits with 1 where an answer
is no; the last column says what to do.`,
		Example: "  deepgram-ops journal check --namespace deepgram --target gs://acme-journals",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			target, err := t.open(ctx, s, false)
			if err != nil {
				return err
			}
			if target != nil {
				defer target.Close()
			}
			k, err := f.cluster(s)
			if err != nil {
				return err
			}
			if err := f.withImage(ctx, k); err != nil {
				return err
			}
			o.Fetch = f.fetch
			checks, err := k.Check(ctx, target, o)
			if err != nil {
				return err
			}
			no := 0
			for _, ch := range checks {
				if !ch.Yes {
					no++
				}
			}
			if err := out.print(s.Out, struct {
				Checks []journal.Check `json:"checks"`
			}{checks}, func(w io.Writer) error {
				tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				fmt.Fprintln(tw, "CHECK\tANSWER\tSEEN\tDO")
				for _, ch := range checks {
					word := "no"
					if ch.Yes {
						word = "yes"
					}
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", ch.Name, word, ch.Seen, ch.Do)
				}
				return tw.Flush()
			}); err != nil {
				return err
			}
			if no > 0 {
				return fmt.Errorf("check: %d of %d answers are no", no, len(checks))
			}
			return nil
		},
	}
	f.addTo(c)
	t.addTo(c)
	c.Flags().DurationVar(&o.MaxAge, "max-age", 36*time.Hour, "the newest backup may be this old")
	out.addTo(c)
	return c
}
