package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress shows an operation while it runs: on a terminal as a tree that is
// drawn again and again, elsewhere as one line for each resource.
type Progress struct {
	w      io.Writer
	style  Style
	live   bool
	height int

	mutex   sync.Mutex
	lines   int
	stop    chan struct{}
	stopped sync.WaitGroup
}

// NewProgress writes to w. live draws the moving tree, in at most height lines.
func NewProgress(w io.Writer, style Style, live bool, height int) *Progress {
	if height <= 0 {
		height = 24
	}
	return &Progress{w: w, style: style, live: live, height: height}
}

// Start begins to show an operation; call the returned function when it has
// ended, with the line that takes its place.
func (p *Progress) Start(o *Operation) (finish func(line string)) {
	p.stop = make(chan struct{})
	p.stopped.Add(1)
	if p.live {
		go p.draw(o)
	} else {
		_, _ = fmt.Fprintf(p.w, "%s …\n", o.Name)
		go p.log(o)
	}
	return func(line string) {
		close(p.stop)
		p.stopped.Wait()
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.erase()
		_, _ = fmt.Fprintln(p.w, line)
	}
}

func (p *Progress) draw(o *Operation) {
	defer p.stopped.Done()
	tick := time.NewTicker(120 * time.Millisecond)
	defer tick.Stop()
	spin := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	for i := 0; ; i++ {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		resources := o.Resources()
		done := 0
		for _, r := range resources {
			if r.State == Done {
				done++
			}
		}
		head := fmt.Sprintf(" %s %s  %d of %d  %.0fs", p.style.paint(cyan, string(spin[i%len(spin)])),
			p.style.paint(bold, o.Name), done, len(resources), o.Seconds())
		var tree strings.Builder
		_ = Tree(&tree, resources, o.Name == "preview", p.style)
		rows := strings.Split(strings.TrimRight(tree.String(), "\n"), "\n")
		// The newest rows matter most; the whole tree comes at the end.
		if room := p.height - 3; len(rows) > room {
			rows = rows[len(rows)-room:]
		}
		p.mutex.Lock()
		p.erase()
		_, _ = fmt.Fprintln(p.w, head)
		_, _ = fmt.Fprintln(p.w, strings.Join(rows, "\n"))
		p.lines = 1 + len(rows)
		p.mutex.Unlock()
	}
}

func (p *Progress) erase() {
	if p.lines > 0 {
		_, _ = fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", p.lines)
		p.lines = 0
	}
}

// log writes a line for each resource as soon as its work has ended.
func (p *Progress) log(o *Operation) {
	defer p.stopped.Done()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	told := map[string]bool{}
	tell := func() {
		for _, r := range o.Resources() {
			if !r.Custom || r.State == Running || told[r.URN] || r.Op == "same" || strings.HasPrefix(r.Type, "pulumi:") {
				continue
			}
			told[r.URN] = true
			state := word(r.Op, 1)
			if o.Name == "preview" {
				state = word(r.Op, 2)
			}
			switch {
			case r.State == Failed:
				state = "failed"
			case r.Op == "delete" && r.Retain:
				state = "kept, as retained on purpose"
			}
			_, _ = fmt.Fprintf(p.w, "  %s %s: %s\n", ShortType(r.Type), r.Name, state)
		}
	}
	for {
		select {
		case <-p.stop:
			tell()
			return
		case <-tick.C:
			tell()
		}
	}
}
