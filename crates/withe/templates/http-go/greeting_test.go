package greeting

import "testing"

func TestFor(t *testing.T) {
	for path, expected := range map[string]string{"/": "hello\n", "/ada": "hello, ada\n"} {
		if found := For(path); found != expected {
			t.Errorf("%s: expected %q and got %q", path, expected, found)
		}
	}
}
