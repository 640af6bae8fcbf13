package leitplanke

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// noRoute is how often this network namespace was asked for an address that it has no way to.
func noRoute(t *testing.T) (n int) {
	t.Helper()
	for _, file := range []string{"/proc/self/net/snmp", "/proc/self/net/snmp6"} {
		b, err := os.ReadFile(file)
		if os.IsNotExist(err) && strings.HasSuffix(file, "6") { // no IPv6 here
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		found := false
		for lines := bufio.NewScanner(strings.NewReader(string(b))); lines.Scan(); {
			f := strings.Fields(lines.Text())
			switch {
			case len(f) == 2 && f[0] == "Ip6OutNoRoutes":
				found = true
				n += number(t, f[1])
			case len(f) > 2 && f[0] == "Ip:" && names == nil:
				names = f
			case len(f) > 2 && f[0] == "Ip:":
				for i, name := range names {
					if name == "OutNoRoutes" {
						found = true
						n += number(t, f[i])
					}
				}
			}
		}
		if !found {
			t.Fatalf("%s counts no missing routes", file)
		}
	}
	return n
}

func number(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNoCallHome runs the quick start in a network namespace that has nothing but its loopback: it passes, and nothing in
// it so much as tries to reach another address. A dial to the outside at the end shows that the count would see it.
func TestNoCallHome(t *testing.T) {
	const inside = "LEITPLANKE_TEST_NO_NETWORK"
	if os.Getenv(inside) == "" {
		if os.Getuid() != 0 {
			t.Skip("a network namespace of its own needs root")
		}
		for _, tool := range []string{"unshare", "ip"} {
			if _, err := exec.LookPath(tool); err != nil {
				t.Skip("a network namespace needs the command ", tool)
			}
		}
		if out, err := exec.CommandContext(t.Context(), "unshare", "-n", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Skipf("a network namespace cannot be made: %v %s", err, out)
		}
		cmd := exec.CommandContext(t.Context(), "unshare", "-n", "sh", "-c", `ip link set lo up && exec "$0" -test.run '^TestNoCallHome$' -test.v -test.timeout 60s`, os.Args[0])
		cmd.Env = append(os.Environ(), inside+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestNoCallHome/story/1_quick_start") {
			t.Fatalf("without a network: %v\n%s", err, out)
		}
		t.Log(regexp.MustCompile(`(?m)^.*tried to reach.*$`).FindString(string(out)))
		return
	}
	list, err := net.Interfaces()
	if err != nil || len(list) != 1 {
		t.Fatalf("not loopback alone: %v %v", list, err)
	}
	before := noRoute(t)
	if !t.Run("story", func(t *testing.T) { runStories(t, "testdata/stories/1_quick_start.txtar") }) {
		return
	}
	after := noRoute(t)
	if after != before {
		t.Errorf("%d times an address outside was tried", after-before)
	}
	if c, err := net.DialTimeout("tcp", "192.0.2.1:443", time.Second); err == nil {
		c.Close()
		t.Error("there is a way out")
	}
	if noRoute(t) == after {
		t.Error("the count does not see a dial to the outside")
	}
	t.Logf("the quick start tried to reach another address %d times", after-before)
}
