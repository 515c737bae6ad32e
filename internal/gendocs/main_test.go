package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDocumentsAreUpToDate(t *testing.T) {
	t.Parallel()
	root, err := moduleRoot()
	require.NoError(t, err)
	assert.NoError(t, run(os.Stderr, root, true))
}

func TestRunWritesThenIsContent(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "Pulumi.dev.yaml"), []byte("config: {}\n"), 0o600))
	require.ErrorContains(t, run(os.Stderr, root, true), "docs/configuration.md is not up to date; run make docs")
	var out strings.Builder
	require.NoError(t, run(&out, root, false))
	assert.Equal(t, "wrote docs/configuration.md\nwrote docs/configuration.schema.json\nwrote docs/policies.md\n", out.String())
	require.NoError(t, run(&out, root, true))
}
