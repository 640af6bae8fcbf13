//go:build unix

package bundle

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime is the processor time of this process so far: what a benchmark costs also on a busy machine.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkVerifyBundle(b *testing.B) {
	const entries = 100_000
	for _, c := range []struct {
		name   string
		sealed int
	}{{"leaves", 0}, {"sealed1KiB", 1024}} {
		b.Run(c.name, func(b *testing.B) {
			path := inFile(b, newTestLog(b, entries, c.sealed).zip(b, Manifest{}))
			var cpu time.Duration
			for b.Loop() {
				start := cpuTime(b)
				r, err := Verify(b.Context(), path, Trust{})
				if err != nil || !r.OK {
					b.Fatal(err, r.FirstBad)
				}
				cpu += cpuTime(b) - start
			}
			b.ReportMetric(float64(entries)*float64(b.N)/cpu.Seconds(), "entries/cpu-s")
		})
	}
}
