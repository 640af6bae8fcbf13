package leitplanke

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // for the command sql

	"github.com/leitplanke/leitplanke/internal/cli"
)

// The stories in testdata/stories are acceptance tests and documentation at once. They run the program as people do, with
// these commands of their own:
//
//	http [-H 'Name: value']… METHOD URL STATUS [BODY]   sends a request; the body of the answer is stdout, the headers stderr
//	ready URL                                           waits until the address answers 200
//	upstream NAME                                       starts an HTTP model server that writes what it received to the file
//	                                                    NAME and echoes the last message; its address is $NAME
//	set NAME FILE REGEXP                                sets a variable to the first group of the match in a file
//	replace FILE OLD NEW                                replaces a word in a file
//	sql FILE STATEMENT                                  changes a SQLite database behind the program's back
//	flip FILE N                                         flips the lowest bit of the byte N of a file
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"leitplanke": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/stories/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no story was found: %v", err)
	}
	runStories(t, stories...)
}

func runStories(t *testing.T, stories ...string) {
	var mu sync.Mutex
	jars := map[*testscript.TestScript]http.CookieJar{}
	testscript.Run(t, testscript.Params{
		Files: stories,
		Setup: func(e *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			defer l.Close()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			e.Setenv("PORT", port)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("LANG", "C.UTF-8")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http": func(ts *testscript.TestScript, neg bool, args []string) {
				mu.Lock()
				if jars[ts] == nil {
					jars[ts], _ = cookiejar.New(nil)
				}
				jar := jars[ts]
				mu.Unlock()
				httpCommand(ts, jar, args)
			},
			"ready":    ready,
			"upstream": upstream,
			"set": func(ts *testscript.TestScript, _ bool, args []string) {
				m := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
				if m == nil {
					ts.Fatalf("%s holds nothing like %s:\n%s", args[1], args[2], ts.ReadFile(args[1]))
				}
				ts.Setenv(args[0], m[1])
			},
			"replace": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(ts.ReadFile(args[0]), args[1], args[2])), 0o600))
			},
			"sql": func(ts *testscript.TestScript, _ bool, args []string) {
				d, err := sql.Open("sqlite", ts.MkAbs(args[0]))
				ts.Check(err)
				_, err = d.Exec(args[1])
				ts.Check(errors.Join(err, d.Close()))
			},
			"flip": func(ts *testscript.TestScript, _ bool, args []string) {
				file := ts.MkAbs(args[0])
				b, err := os.ReadFile(file)
				ts.Check(err)
				var n int
				_, err = fmt.Sscan(args[1], &n)
				ts.Check(err)
				b[n] ^= 1
				ts.Check(os.WriteFile(file, b, 0o600))
			},
		},
	})
}

func httpCommand(ts *testscript.TestScript, jar http.CookieJar, args []string) {
	header := http.Header{}
	for len(args) > 1 && args[0] == "-H" {
		k, v, _ := strings.Cut(args[1], ":")
		header.Add(k, strings.TrimSpace(v))
		args = args[2:]
	}
	if len(args) < 3 {
		ts.Fatalf("usage: http [-H 'Name: value']… METHOD URL STATUS [BODY]")
	}
	var body io.Reader
	if len(args) > 3 {
		body = strings.NewReader(args[3])
		if b, err := os.ReadFile(ts.MkAbs(args[3])); err == nil {
			body = strings.NewReader(string(b))
		}
	}
	req, err := http.NewRequest(args[0], args[1], body)
	ts.Check(err)
	for k, v := range header {
		req.Header[k] = v
	}
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), text, 0o600))
	var head strings.Builder
	ts.Check(resp.Header.Write(&head))
	ts.Check(os.WriteFile(ts.MkAbs("header"), []byte(head.String()), 0o600))
	if got := fmt.Sprint(resp.StatusCode); got != args[2] {
		ts.Fatalf("%s %s: %s, want %s\n%s%s", args[0], args[1], got, args[2], head.String(), text)
	}
}

func ready(ts *testscript.TestScript, _ bool, args []string) {
	for range 300 {
		if resp, err := http.Get(args[0]); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s did not become ready", args[0])
}

func upstream(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	last := regexp.MustCompile(`(?s)"content":"((?:[^"\\]|\\.)*)"[^"]*$`)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		f, openErr := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err := errors.Join(err, openErr); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		f.Write(b)
		f.Close()
		text := ""
		if m := last.FindSubmatch(b); m != nil {
			text = string(m[1])
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":7,"total_tokens":14}}`, text)
	}))
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
}
