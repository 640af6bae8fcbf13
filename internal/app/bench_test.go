package app

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/internal/register"
)

// BenchmarkCall sends a 1 KB prompt through the whole path to an HTTP upstream that answers 1.4 KB: client, gate and upstream
// in one process, two durable entries a call.
func BenchmarkCall(b *testing.B) {
	h := openHouse(b, nil)
	answer := `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("Eine Antwort aus Worten. ", 55) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":250,"completion_tokens":350,"total_tokens":600}}`
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
	}))
	b.Cleanup(up.Close)
	st, err := h.Register.Load(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	st.Providers = append(st.Providers, register.Provider{ID: "bench", Kind: register.KindOpenAI, BaseURL: up.URL + "/v1", Region: register.RegionLocal, Operator: "bench"})
	st.Models = append(st.Models, register.Model{ID: "bench", Provider: "bench", Upstream: "bench"})
	st.Systems[0].Models = append(st.Systems[0].Models, "bench")
	if _, err := h.Import(b.Context(), ShellActor(), st, false, false); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	b.Cleanup(func() { stop(); <-done })
	body := []byte(chatBody("bench", strings.Repeat("Bitte fassen Sie den Vorgang in wenigen Worten zusammen. ", 18)))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, h.url+"/v1/chat/completions", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+h.key)
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
				return
			}
		}
	})
}
