// Package said has what the application answers.
package said

import "fmt"

// Times is the answer for a path that was asked for so many times.
func Times(path string, times uint64) string {
	if times == 1 {
		return path + " was asked for once\n"
	}
	return fmt.Sprintf("%s was asked for %d times\n", path, times)
}
