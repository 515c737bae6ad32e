package journalfile

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func journal(numbers ...int) []byte {
	var text []byte
	for _, n := range numbers {
		text = append(text, Line("billing-0", n, 40)...)
	}
	return text
}

func TestCheck(t *testing.T) {
	t.Parallel()
	whole := journal(1, 2, 3)
	half := append(bytes.Clone(whole), Line("billing-0", 4, 40)[:9]...)
	changed := bytes.Replace(whole, []byte("xxx"), []byte("xyx"), 1)
	for name, row := range map[string]struct {
		text  []byte
		owner string
		lines int
		rest  string
		wrong string
	}{
		"empty":       {nil, "billing-0", 0, "", ""},
		"complete":    {whole, "billing-0", 3, "", ""},
		"half a line": {half, "billing-0", 3, `{"d":"bil`, ""},
		"missing":     {journal(1, 3), "billing-0", 1, "", "line 2"},
		"doubled":     {journal(1, 2, 2), "billing-0", 2, "", "line 3"},
		"turned":      {journal(2, 1), "billing-0", 0, "", "line 1"},
		"changed":     {changed, "billing-0", 0, "", "line 1"},
		"another's":   {whole, "billing-1", 0, "", "line 1"},
		"cut":         {append(bytes.Clone(half), whole...), "billing-0", 3, "", "line 4"},
		"no JSON":     {[]byte("hello\n"), "billing-0", 0, "", "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, rest, err := Check(bytes.NewReader(row.text), row.owner)
			assert.Equal(t, row.lines, lines)
			if row.wrong != "" {
				require.ErrorContains(t, err, row.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, row.rest, string(rest))
		})
	}
}
