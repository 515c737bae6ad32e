package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// TestFolderAndProgramHaveOneVersion: the engine shows the folder's version
// where a pack is given as a folder.
func TestFolderAndProgramHaveOneVersion(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("PulumiPolicy.yaml")
	require.NoError(t, err)
	var project struct{ Runtime, Version string }
	require.NoError(t, yaml.Unmarshal(text, &project))
	assert.Equal(t, "go", project.Runtime)
	assert.Equal(t, version, project.Version)
}
