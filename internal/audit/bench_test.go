package audit

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// BenchmarkAppend writes openings with 1 KiB of sealed content in a closed loop, tree and seal included. It reports
// entries per second, the 50th and 99th percentile in milliseconds, and the CPU time of an entry in microseconds.
func BenchmarkAppend(b *testing.B) {
	for _, kind := range []db.Kind{db.SQLite, db.Postgres} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/writers=%d", kind, writers), func(b *testing.B) {
				if kind == db.Postgres {
					dbtest.Need(b)
				}
				l := newSite(b, kind).open(b, "bench")
				stop := make(chan struct{})
				var bg sync.WaitGroup
				bg.Go(func() { // what Run does, without the ticker's wait
					for {
						select {
						case <-stop:
							return
						case <-time.After(walEvery):
							if size := l.c.DB.WALSize(); size > walPassive {
								l.c.DB.CheckpointWAL(b.Context(), size > walTruncate)
							}
							l.Checkpoint(b.Context())
						}
					}
				})
				body := strings.Repeat("0123456789abcdef", 64)
				took := make([][]time.Duration, writers)
				var left atomic.Int64
				left.Store(int64(b.N))
				before := cpu()
				b.ResetTimer()
				var wg sync.WaitGroup
				for w := range writers {
					wg.Go(func() {
						r := openCall(l, "")
						r.Content = r.Content[:1]
						r.Content[0].Value = []byte(body)
						for left.Add(-1) >= 0 {
							at := time.Now()
							if _, err := l.Append(b.Context(), r); err != nil {
								b.Error(err)
								return
							}
							took[w] = append(took[w], time.Since(at))
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				used := cpu() - before
				close(stop)
				bg.Wait()
				all := slices.Concat(took...)
				slices.Sort(all)
				ms := func(q float64) float64 {
					return all[int(q*float64(len(all)-1))].Seconds() * 1e3
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
				b.ReportMetric(ms(.5), "p50-ms")
				b.ReportMetric(ms(.99), "p99-ms")
				b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/entry")
				mustVerify(b, l)
				l.Close(b.Context())
			})
		}
	}
}

// BenchmarkVerify checks a log of 100,000 entries in its database.
func BenchmarkVerify(b *testing.B) {
	l := newSite(b, db.SQLite).open(b, "bench")
	const n = 100_000
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			r := openCall(l, "")
			for range n / 64 {
				if _, err := l.Append(b.Context(), r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	entries := uint64(0)
	for b.Loop() {
		entries += mustVerify(b, l).Entries
	}
	b.ReportMetric(float64(entries)/b.Elapsed().Seconds(), "entries/s")
	b.StopTimer()
	l.Close(b.Context())
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
