package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"
)

// terminal writes what people read. Much of it comes from files and objects
// that others wrote, so nothing is written that could command a terminal or
// pass for a line of its own. It keeps the first error.
type terminal struct {
	w   io.Writer
	err error
}

// line writes one line.
func (t *terminal) line(format string, args ...any) {
	t.write([]byte(strings.TrimRight(clean(fmt.Sprintf(format, args...)), " ") + "\n"))
}

// ask writes a line that the answer follows.
func (t *terminal) ask(question string) { t.write([]byte(clean(question) + " ")) }

// table writes rows in aligned columns.
func (t *terminal) table(rows [][]string) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = clean(cell); row[i] == "" {
				row[i] = "-"
			}
		}
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t")) // a buffer takes everything
	}
	_ = w.Flush()
	t.write(b.Bytes())
}

// json writes a value as indented JSON.
func (t *terminal) json(v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.keep(fmt.Errorf("write JSON: %w", err))
		return
	}
	t.write(escapeJSON(b.Bytes()))
}

func (t *terminal) write(data []byte) {
	if t.err != nil {
		return
	}
	_, err := t.w.Write(data)
	t.keep(err)
}

func (t *terminal) keep(err error) {
	if t.err == nil {
		t.err = err
	}
}

// clean escapes what is not printable: control characters, and those that turn
// the direction of text.
func clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

// escapeJSON escapes in indented JSON what clean escapes in text. The encoder
// itself escapes only controls below U+0020.
func escapeJSON(data []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(data) {
		switch {
		case unicode.IsPrint(r), r == '\n':
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
