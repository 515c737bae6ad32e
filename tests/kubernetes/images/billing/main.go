// Command billing stands in for Deepgram's billing container: it appends lines to
// its journal for as long as it runs, and listens where the real one does. The
// arguments of the real one are accepted and mean nothing here.
//
// JOURNAL is the file, /journal/journal by default; OWNER the name in its lines,
// the host's by default; RATE how many lines a second, 0 for as many as it can and
// 50 by default; FIRST how many lines a new journal has before the program listens;
// LIMIT after how many lines it only listens; SIZE how long the d
// of a line is at least; SPLIT=1 writes every line in two halves with a pause in
// between, so that most copies end in the middle of one.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest/journalfile"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// journal is the file and how it is written.
type journal struct {
	owner      string
	rate, size int
	first      int
	limit      int
	split      bool
	lines      atomic.Int64
}

func run(ctx context.Context) error {
	j, path, err := settings()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := j.resume(file); err != nil {
		return fmt.Errorf("journal %s: %w", path, err)
	}
	if err := j.begin(file); err != nil {
		return fmt.Errorf("journal %s: %w", path, err)
	}
	if err := j.listen(ctx); err != nil {
		return err
	}
	log.Printf("journal %s has %d lines", path, j.lines.Load())
	return j.write(ctx, file)
}

func settings() (*journal, string, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, "", err
	}
	var errs []error
	text := func(name, other string) string {
		if value := os.Getenv(name); value != "" {
			return value
		}
		return other
	}
	number := func(name, other string) int {
		n, err := strconv.Atoi(text(name, other))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		return n
	}
	j := &journal{
		owner: text("OWNER", host), rate: number("RATE", "50"), limit: number("LIMIT", "0"),
		first: number("FIRST", "0"), size: number("SIZE", "0"), split: os.Getenv("SPLIT") == "1",
	}
	return j, text("JOURNAL", "/journal/journal"), errors.Join(errs...)
}

// resume finds out where the journal ends, and completes a half line.
func (j *journal) resume(file *os.File) error {
	lines, rest, err := journalfile.Check(file, j.owner)
	if err != nil {
		return err
	}
	j.lines.Store(int64(lines))
	if len(rest) == 0 {
		return nil
	}
	line := journalfile.Line(j.owner, lines+1, j.size)
	missing, fits := bytes.CutPrefix(line, rest)
	if !fits {
		return fmt.Errorf("it ends in %.60q, which is no part of line %d", rest, lines+1)
	}
	j.lines.Add(1)
	_, err = file.Write(missing)
	return err
}

// begin writes the first lines, all at once.
func (j *journal) begin(file io.Writer) error {
	var lines bytes.Buffer
	for n := int(j.lines.Load()) + 1; n <= j.first; n++ {
		lines.Write(journalfile.Line(j.owner, n, j.size))
		j.lines.Store(int64(n))
	}
	_, err := lines.WriteTo(file)
	return err
}

// listen answers where the real container does: 8443 for the licences, and 8080,
// where this one tells how many lines it has written.
func (j *journal) listen(ctx context.Context) error {
	var config net.ListenConfig
	licences, err := config.Listen(ctx, "tcp", ":8443")
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := licences.Accept()
			if err != nil {
				return
			}
			_ = connection.Close() // a probe wants no more
		}
	}()
	status, err := config.Listen(ctx, "tcp", ":8080")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "{\"lines\": %d}\n", j.lines.Load()) },
	)}
	go func() { log.Print(server.Serve(status)) }()
	return nil
}

// write appends lines until the program is told to end. A line is written whole
// before that.
func (j *journal) write(ctx context.Context, file io.Writer) error {
	var pause <-chan time.Time
	if j.rate > 0 {
		tick := time.NewTicker(time.Second / time.Duration(j.rate))
		defer tick.Stop()
		pause = tick.C
	} else {
		always := make(chan time.Time)
		close(always)
		pause = always
	}
	for {
		if j.limit > 0 && j.lines.Load() >= int64(j.limit) {
			pause = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pause:
		}
		if err := j.append(file); err != nil {
			return fmt.Errorf("after %d lines: %w", j.lines.Load(), err)
		}
	}
}

func (j *journal) append(file io.Writer) error {
	line := journalfile.Line(j.owner, int(j.lines.Load())+1, j.size)
	if j.split {
		half := len(line) / 2
		if _, err := file.Write(line[:half]); err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
		line = line[half:]
	}
	if _, err := file.Write(line); err != nil {
		return err
	}
	j.lines.Add(1)
	return nil
}
