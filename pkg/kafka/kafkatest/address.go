package kafkatest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
)

// Address is one on this machine where nobody listens until the test does. Servers
// may be ended and started there again: the port is outside the range from which
// Linux by default gives one to whoever connects or asks for any, and no other test
// gets it meanwhile.
func Address(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(10_000)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		if runtime.GOOS == "linux" {
			// A name that one process of the machine can have, and loses when it ends.
			taken, err := net.Listen("unix", fmt.Sprintf("@aftercall-test-port-%d", port))
			if err != nil {
				continue
			}
			t.Cleanup(func() { taken.Close() })
		}
		return addr
	}
	t.Fatal("no port is free")
	return ""
}
