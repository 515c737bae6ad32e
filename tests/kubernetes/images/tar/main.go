// Command tar is as much of tar as `kubectl cp` needs to copy out of a pod:
// `tar cf - PATH...` writes the paths to standard output.
package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) < 4 || os.Args[1] != "cf" || os.Args[2] != "-" {
		fmt.Fprintln(os.Stderr, "usage: tar cf - PATH...")
		os.Exit(2)
	}
	if err := pack(os.Stdout, os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "tar:", err)
		os.Exit(1)
	}
}

func pack(w io.Writer, paths []string) error {
	archive := tar.NewWriter(w)
	for _, path := range paths {
		if err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return add(archive, path, entry)
		}); err != nil {
			return err
		}
	}
	return archive.Close()
}

func add(archive *tar.Writer, path string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	header.Name = strings.TrimPrefix(path, "/")
	if err := archive.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	// A file that grows is packed as long as its header says.
	_, err = io.CopyN(archive, file, header.Size)
	return err
}
