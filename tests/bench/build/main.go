//go:build unix

// Command build measures what it costs to compile the project from nothing: the
// CPU seconds of the whole build and the memory of its largest process.
//
// Three builds are measured, each with an empty build cache and all modules
// already fetched: deepgram-stack as make build makes it, deepgram-stack as make
// build LOWMEM=1 makes it, and a plain program that imports the SDKs' packages
// as their examples do. The exit code is 1 when a target is missed.
//
//	go run ./tests/bench/build -heavy "PACKAGE…" [-only default,lowmem,plain] [-output json]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	// The go command calls this program again in front of every compiler.
	if len(os.Args) > 2 && os.Args[1] == toolexecArg {
		os.Exit(toolexec(os.Stdin, os.Stdout, os.Stderr, os.Args[2], os.Args[3:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-build:", err)
		os.Exit(1)
	}
}

// subject is one build to measure.
type subject struct {
	name  string   // as -only names it
	dir   string   // folder of the module, from the project's root
	pkg   string   // what is built
	flags []string // build flags
	env   []string // more environment
}

func run(ctx context.Context, argv []string) error {
	flags := flag.NewFlagSet("bench-build", flag.ContinueOnError)
	heavy := flags.String("heavy", "", "`packages` that the low-memory build does not optimise, separated by spaces")
	only := flags.String("only", "", "`names` of builds to measure, separated by commas: default, lowmem, plain")
	output := flags.String("output", "text", "`format`: text or json")
	program := flags.String("program", "./cmd/deepgram-stack", "`package` of the program to measure")
	if err := flags.Parse(argv); err != nil {
		return err
	}
	if *output != "text" && *output != "json" {
		return fmt.Errorf("-output %q: must be text or json", *output)
	}

	lowmem := []string{"-p", "1"}
	for _, pkg := range strings.Fields(*heavy) {
		lowmem = append(lowmem, "-gcflags="+pkg+"=-N -l")
	}
	subjects := []subject{
		{name: "default", dir: ".", pkg: *program},
		{name: "lowmem", dir: ".", pkg: *program, flags: lowmem, env: []string{"GOMEMLIMIT=1GiB", "GOGC=25"}},
		{name: "plain", dir: "tests/bench/plain", pkg: "."},
	}
	chosen, err := choose(subjects, *only)
	if err != nil {
		return err
	}

	results := map[string]*result{}
	var failed []error
	for _, s := range chosen {
		fmt.Fprintf(os.Stderr, "%s: building %s from nothing…\n", s.name, s.pkg)
		r, err := measure(ctx, s)
		if err != nil {
			// The others are still worth knowing: a plain build that is killed
			// for want of memory is a result, too.
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		results[s.name] = r
	}
	targets := judge(results)

	if *output == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"builds": results, "targets": targets}); err != nil {
			return err
		}
	} else {
		report(os.Stdout, subjects, results, targets)
	}
	for _, t := range targets {
		if !t.Met {
			failed = append(failed, fmt.Errorf("target missed: %s: %s", t.Name, t.Found))
		}
	}
	return errors.Join(failed...)
}

func choose(subjects []subject, only string) ([]subject, error) {
	if only == "" {
		return subjects, nil
	}
	var chosen []subject
	for _, name := range strings.Split(only, ",") {
		found := false
		for _, s := range subjects {
			if s.name == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-only %q: no such build; there are default, lowmem and plain", name)
		}
	}
	return chosen, nil
}
