package said

import "testing"

func TestOnceIsNot1Times(t *testing.T) {
	for times, expected := range map[uint64]string{1: "/ was asked for once\n", 2: "/ was asked for 2 times\n"} {
		if found := Times("/", times); found != expected {
			t.Errorf("%d: expected %q and got %q", times, expected, found)
		}
	}
}
