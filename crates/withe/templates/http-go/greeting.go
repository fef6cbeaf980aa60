// Package greeting has what the component answers.
package greeting

import "strings"

// For is the greeting for a path.
func For(path string) string {
	name := strings.TrimLeft(path, "/")
	if name == "" {
		return "hello\n"
	}
	return "hello, " + name + "\n"
}
