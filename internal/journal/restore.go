package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Restored is the result of a restore.
type Restored struct {
	Pod string `json:"pod"`
	// From is the backup's object, or the file.
	From string `json:"from"`
	// To is the file, or claim and path.
	To string `json:"to"`
	Report
	// Equal says that every byte was compared after it was written.
	Equal bool `json:"equal"`
	// Kept is false where a drill has removed what it restored.
	Kept bool `json:"kept"`
}

// Copy is what is to be restored: a backup or a file.
type Copy struct {
	Pod  string
	Name string
	// Want is what must arrive.
	Want Report
	// Open reads it.
	Open func(context.Context) (io.ReadCloser, error)
}

// FindCopy finds a pod's backup in a target by its name; empty means the
// newest.
func FindCopy(ctx context.Context, t Target, pod, name string) (Copy, error) {
	book, err := ReadBook(ctx, t, pod)
	if err != nil {
		return Copy{}, err
	}
	var found *Backup
	for i, r := range book.Backups[pod] {
		if name == "" || name == r.Name || name == r.Object || name == path.Base(r.Object) || name == r.SHA256 {
			found = &book.Backups[pod][i]
		}
	}
	switch {
	case found == nil && name == "":
		return Copy{}, fmt.Errorf("pod %q: has no backup in %s", pod, t)
	case found == nil:
		return Copy{}, fmt.Errorf("backup %q: is none of %s in %s (journal list names the newest)", name, pod, t)
	case found.Pruned != nil:
		return Copy{}, fmt.Errorf("backup %s: was delivered and pruned", found.Object)
	}
	return Copy{Pod: pod, Name: found.Object, Want: found.Report, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return t.Get(ctx, found.Object)
	}}, nil
}

// FileCopy is a copy in a file.
func FileCopy(ctx context.Context, pod, file string) (Copy, error) {
	r, _, err := Verify(ctx, file, "")
	if err != nil {
		return Copy{}, err
	}
	return Copy{Pod: pod, Name: file, Want: r, Open: func(context.Context) (io.ReadCloser, error) { return os.Open(file) }}, nil
}

// RestoreTo writes a copy into a folder, as the guide's layout has it
// (journal-POD/journal), and compares it byte by byte. Nothing is overwritten.
func RestoreTo(ctx context.Context, k Copy, dir string) (Restored, error) {
	file := filepath.Join(dir, "journal-"+k.Pod, journalFile)
	r := Restored{Pod: k.Pod, From: k.Name, To: file, Report: k.Want, Kept: true}
	in, err := k.Open(ctx)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	defer in.Close()
	if err := Receive(ctx, in, file, k.Want.Size, k.Want.SHA256); err != nil {
		return r, err
	}
	f, err := os.Open(file)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	defer f.Close()
	return r, r.compare(ctx, k, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

// compare reads the copy again and compares every byte with what read writes.
func (r *Restored) compare(ctx context.Context, k Copy, read func(io.Writer) error) error {
	in, err := k.Open(ctx)
	if err != nil {
		return fmt.Errorf("restore: comparing: %w", err)
	}
	defer in.Close()
	c := &comparer{old: in, differs: -1}
	if err := read(c); err != nil {
		return fmt.Errorf("restore: comparing: %w", err)
	}
	rest, err := io.Copy(io.Discard, in)
	if err != nil {
		return fmt.Errorf("restore: comparing: %w", err)
	}
	if c.differs >= 0 || c.ended || rest > 0 || c.n != k.Want.Size {
		return fmt.Errorf("restore: %s is not %s: they differ (first at byte %d)", r.To, r.From, max(c.differs, 0))
	}
	r.Equal = true
	return nil
}

// ClaimOptions set up RestoreClaim.
type ClaimOptions struct {
	// Claim is the name of the new claim. Required.
	Claim string
	// Class is its storage class; empty means that of billing's own claim.
	Class string
	// Size is its size, such as 10Gi; empty means that of billing's own claim.
	Size string
	// Drill removes the claim after the comparison.
	Drill bool
	Fetch FetchOptions
}

// RestoreClaim makes a claim like billing's own, writes a copy into it where
// billing would look for it, and compares it byte by byte. A claim that exists
// is refused.
func (c *Cluster) RestoreClaim(ctx context.Context, k Copy, o ClaimOptions) (r Restored, err error) {
	c.init()
	r = Restored{Pod: k.Pod, From: k.Name, Report: k.Want}
	if _, err := c.Recover(ctx); err != nil {
		return r, err
	}
	l, err := c.Layout(ctx)
	if err != nil {
		return r, err
	}
	v, err := journalVolume(l.set)
	if err != nil {
		return r, err
	}
	_, file := v.of(k.Pod)
	r.To = o.Claim + ":" + file
	made, err := c.newClaim(ctx, l, o)
	if err != nil {
		return r, err
	}
	defer func() {
		cctx, cancel := c.after(ctx)
		defer cancel()
		err = errors.Join(err, c.removeRun(cctx, vanished))
		// A restore that failed must not look like one.
		if r.Kept = !o.Drill && err == nil; !r.Kept {
			only := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &made.UID}}
			derr := c.Client.CoreV1().PersistentVolumeClaims(c.Namespace).Delete(cctx, o.Claim, only)
			if derr != nil && !apierrors.IsNotFound(derr) {
				err = errors.Join(err, fmt.Errorf("removing claim %s: %w", o.Claim, derr))
			}
		}
	}()
	s := &seat{c: c, m: mount{claim: o.Claim, write: true, like: &l.set.Spec.Template.Spec}}
	stop := c.keepBeating(ctx, []*seat{s}, false)
	defer stop()
	in, err := k.Open(ctx)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	defer in.Close()
	at := path.Join(helperMount, file)
	c.Note(fmt.Sprintf("restoring %s to %s", k.Name, r.To))
	if err := s.exec(ctx, in, io.Discard, "receive", "--file", at, "--size", strconv.FormatInt(k.Want.Size, 10), "--sha256", k.Want.SHA256); err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	back := &Source{Place: Place{Pod: k.Pod, Claim: o.Claim, Path: file}, seat: s}
	err = r.compare(ctx, k, func(w io.Writer) error {
		_, err := Fetch(ctx, back.Open, w, o.Fetch)
		return err
	})
	return r, err
}

// newClaim makes a claim like the one that billing has.
func (c *Cluster) newClaim(ctx context.Context, l *Layout, o ClaimOptions) (*corev1.PersistentVolumeClaim, error) {
	claims := c.Client.CoreV1().PersistentVolumeClaims(c.Namespace)
	like, err := claims.Get(ctx, l.Places[0].Claim, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", l.Places[0].Claim, err)
	}
	spec := corev1.PersistentVolumeClaimSpec{
		AccessModes: like.Spec.AccessModes, StorageClassName: like.Spec.StorageClassName,
		VolumeMode: like.Spec.VolumeMode, Resources: like.Spec.Resources,
	}
	if o.Class != "" {
		spec.StorageClassName = &o.Class
	}
	if o.Size != "" {
		q, err := resource.ParseQuantity(o.Size)
		if err != nil {
			return nil, fmt.Errorf("size %q: must be a size such as 10Gi", o.Size)
		}
		spec.Resources = corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: q}}
	}
	made, err := claims.Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.Claim, Namespace: c.Namespace,
			Labels: map[string]string{managedBy: manager, component: "journal-restore"},
		},
		Spec: spec,
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("claim %s: %w: a restore goes into a new claim", o.Claim, ErrExists)
	}
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", o.Claim, err)
	}
	return made, nil
}
