package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scaledKey is the annotation that says who scaled billing down, and from what.
// It is written by the same update that scales, so there is no moment at which
// the number is known to nobody; and taken away by the same update that scales
// back.
const scaledKey = "deepgram-ops/journal-scaled-down"

// Scaled is what the annotation holds.
type Scaled struct {
	// Run and By tell whose it is.
	Run string `json:"run"`
	By  string `json:"by"`
	// Replicas is what billing had, and gets back.
	Replicas int32 `json:"replicas"`
	// Since is when it was scaled down; Beat is when its run last said that it
	// lives.
	Since time.Time `json:"since"`
	Beat  time.Time `json:"heartbeat"`
}

func scaledOf(set *appsv1.StatefulSet) (*Scaled, error) {
	text, ok := set.Annotations[scaledKey]
	if !ok {
		return nil, nil
	}
	var s Scaled
	if err := json.Unmarshal([]byte(text), &s); err != nil || s.Replicas < 1 {
		return nil, fmt.Errorf("statefulset %s/%s: annotation %s is damaged: scale billing to what it should be and remove the annotation", set.Namespace, set.Name, scaledKey)
	}
	return &s, nil
}

// edit changes billing's StatefulSet. The change starts over where somebody else
// changed it meanwhile, and is tried again while the API server does not answer.
func (c *Cluster) edit(ctx context.Context, limit time.Duration, change func(*appsv1.StatefulSet) (bool, error)) error {
	return c.poll(ctx, limit, func(ctx context.Context) (bool, error) {
		set, err := c.statefulSet(ctx)
		if err != nil {
			return false, gone(err)
		}
		ok, err := change(set)
		if err != nil || !ok {
			return true, fatalIf(err)
		}
		_, err = c.Client.AppsV1().StatefulSets(c.Namespace).Update(ctx, set, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			return false, nil
		}
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return false, fatal{err}
		}
		return err == nil, err
	})
}

func fatalIf(err error) error {
	if err == nil {
		return nil
	}
	return fatal{err}
}

func gone(err error) error {
	if errors.Is(err, ErrNotFound) || apierrors.IsForbidden(err) {
		return fatal{err}
	}
	return err
}

func setScaled(set *appsv1.StatefulSet, s *Scaled) {
	if s == nil {
		delete(set.Annotations, scaledKey)
		return
	}
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	text, _ := json.Marshal(s) // plain fields: cannot fail
	set.Annotations[scaledKey] = string(text)
}

// scaleDown writes down how many replicas billing has and takes them away, and
// waits until its pods are gone. Whatever it returns, scaleBack must follow.
func (c *Cluster) scaleDown(ctx context.Context) (*Scaled, error) {
	var mine *Scaled
	err := c.edit(ctx, c.Timing.Down, func(set *appsv1.StatefulSet) (bool, error) {
		there, err := scaledOf(set)
		switch {
		case err != nil:
			return false, err
		case there != nil && there.Run == c.run:
			mine = there // an update whose answer was lost
			return false, nil
		case there != nil:
			return false, fmt.Errorf("billing is scaled down already, by run %s of %s since %s: wait until that has ended; if it was killed, the next journal command after %s puts billing back", there.Run, there.By, there.Since.Format(time.RFC3339), c.Timing.Dead)
		case replicas(set) == 0:
			return false, errors.New("billing has 0 replicas already, and no journal command did that: leave --scale-down away")
		}
		now := c.Now().UTC()
		mine = &Scaled{Run: c.run, By: c.by, Replicas: replicas(set), Since: now, Beat: now}
		setScaled(set, mine)
		zero := int32(0)
		set.Spec.Replicas = &zero
		return true, nil
	})
	if err != nil {
		return mine, fmt.Errorf("scaling billing down: %w", err)
	}
	c.Note(fmt.Sprintf("scaled billing down from %d to 0, waiting ≤ %s until it has stopped", mine.Replicas, c.Timing.Down))
	err = c.poll(ctx, c.Timing.Down, func(ctx context.Context) (bool, error) {
		set, err := c.statefulSet(ctx)
		if err != nil {
			return false, err
		}
		pods, err := c.billingPods(ctx, set)
		return len(pods) == 0, err
	})
	if err != nil {
		return mine, fmt.Errorf("waiting until billing has stopped: %w", err)
	}
	return mine, nil
}

// scaleBack gives billing the replicas that it had, also when ctx has ended, and
// waits until they are ready, unless somebody waits for Ctrl-C to work. It does
// nothing where somebody else has done so.
func (c *Cluster) scaleBack(ctx context.Context, mine *Scaled) error {
	interrupted := ctx.Err() != nil
	want := int32(0)
	if mine != nil {
		want = mine.Replicas
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timing.Cleanup+c.Timing.Up)
	defer cancel()
	err := c.edit(ctx, c.Timing.Cleanup, func(set *appsv1.StatefulSet) (bool, error) {
		there, err := scaledOf(set)
		switch {
		case err != nil:
			return false, err
		case there != nil && there.Run == c.run:
			want = there.Replicas
			if replicas(set) == 0 {
				set.Spec.Replicas = &want
			}
			setScaled(set, nil)
			return true, nil
		case there != nil || mine == nil || replicas(set) != 0:
			want = 0 // another run's now, or put back already
			return false, nil
		}
		// The note was lost, but we know: nobody else could put billing back.
		set.Spec.Replicas = &want
		return true, nil
	})
	if err != nil {
		n := want
		if n == 0 {
			n = 1
		}
		return fmt.Errorf("scaling billing back: %w: the next journal command does it, or run: kubectl -n %s scale statefulset -l %s --replicas=%d", err, c.Namespace, billingLabel, n)
	}
	if want == 0 {
		return nil
	}
	if interrupted {
		c.Note(fmt.Sprintf("scaled billing back to %d", want))
		return nil
	}
	c.Note(fmt.Sprintf("scaled billing back to %d, waiting ≤ %s until it is ready", want, c.Timing.Up))
	err = c.poll(ctx, c.Timing.Up, func(ctx context.Context) (bool, error) {
		set, err := c.statefulSet(ctx)
		if err != nil {
			return false, err
		}
		if replicas(set) != want {
			return true, nil // somebody else scales now
		}
		return set.Status.ObservedGeneration >= set.Generation && set.Status.ReadyReplicas >= want, nil
	})
	if err != nil {
		return fmt.Errorf("billing was scaled back to %d, but is not ready: %w: look at kubectl -n %s describe pods -l %s", want, err, c.Namespace, billingLabel)
	}
	return nil
}

// beatScale tells that the run that scaled billing down lives.
func (c *Cluster) beatScale(ctx context.Context) {
	_ = c.edit(ctx, c.Timing.Beat, func(set *appsv1.StatefulSet) (bool, error) {
		there, err := scaledOf(set)
		if err != nil || there == nil || there.Run != c.run {
			return false, err
		}
		there.Beat = c.Now().UTC()
		setScaled(set, there)
		return true, nil
	})
}

// recoverScale gives billing back what a killed run took, and says how many
// replicas that were; 0 where there was nothing to do.
func (c *Cluster) recoverScale(ctx context.Context) (int32, error) {
	set, err := c.statefulSet(ctx)
	if err != nil {
		return 0, err
	}
	seen, err := scaledOf(set)
	if err != nil || seen == nil || seen.Run == c.run {
		return 0, err
	}
	if c.Now().Sub(seen.Beat) <= c.Timing.Dead {
		c.Note(fmt.Sprintf("billing is scaled down by run %s of %s since %s, which is at work", seen.Run, seen.By, seen.Since.Format(time.RFC3339)))
		return 0, nil
	}
	// An old beat may be a clock that is wrong. A run that lives beats within
	// this time, whatever its clock says.
	c.Note(fmt.Sprintf("billing was scaled down by run %s of %s, which seems to be dead: watching for %s", seen.Run, seen.By, 2*c.Timing.Beat))
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(2 * c.Timing.Beat):
	}
	var back int32
	err = c.edit(ctx, c.Timing.Cleanup, func(set *appsv1.StatefulSet) (bool, error) {
		back = 0
		there, err := scaledOf(set)
		if err != nil || there == nil || *there != *seen {
			return false, err
		}
		if replicas(set) == 0 {
			back = there.Replicas
			set.Spec.Replicas = &back
		}
		setScaled(set, nil)
		return true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("scaling billing back after run %s was killed: %w", seen.Run, err)
	}
	if back > 0 {
		c.Note(fmt.Sprintf("scaled billing back to %d: run %s of %s had been killed", back, seen.Run, seen.By))
	}
	return back, nil
}
