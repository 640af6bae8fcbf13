package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
)

// The admin socket is how a writing command reaches a running server: DATA/admin.sock, mode 0600, callers of the server's
// own user and root only. No port, no key; each command leaves its entry.

const (
	socketName  = "admin.sock"
	maxArgument = 8 << 20 // bytes
)

// Command is a piece of administration that runs in the process that has the database open. Args and result are JSON. A
// command with Stream writes bytes instead of a result.
type Command struct {
	Run    func(ctx context.Context, a *App, by auth.Actor, args json.RawMessage) (any, error)
	Stream func(ctx context.Context, a *App, by auth.Actor, args json.RawMessage, w io.Writer) error
}

// command makes a Command of a function with typed arguments.
func command[A, R any](f func(context.Context, *App, auth.Actor, A) (R, error)) Command {
	return Command{Run: func(ctx context.Context, a *App, by auth.Actor, raw json.RawMessage) (any, error) {
		args, err := decodeArgs[A](raw)
		if err != nil {
			return nil, err
		}
		return f(ctx, a, by, args)
	}}
}

func stream[A any](f func(context.Context, *App, auth.Actor, A, io.Writer) error) Command {
	return Command{Stream: func(ctx context.Context, a *App, by auth.Actor, raw json.RawMessage, w io.Writer) error {
		args, err := decodeArgs[A](raw)
		if err != nil {
			return err
		}
		return f(ctx, a, by, args, w)
	}}
}

func decodeArgs[A any](raw json.RawMessage) (args A, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&args); err != nil {
		return args, fmt.Errorf("arguments of the command: %w", err)
	}
	return args, nil
}

func (a *App) listenAdmin(ctx context.Context) (net.Listener, error) {
	path := filepath.Join(a.Config.Data, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // of a process that is gone: we hold the lock
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, os.Chmod(path, 0o600)
}

// peerKey is the one value that travels in a context: net/http gives no other way from a connection to its requests.
type peerKey struct{}

func (a *App) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics.handler())
	mux.HandleFunc("POST /command/{name}", func(w http.ResponseWriter, r *http.Request) {
		uid, ok := r.Context().Value(peerKey{}).(int)
		if !ok || (uid != os.Getuid() && uid != 0) {
			http.Error(w, "not allowed", http.StatusForbidden)
			return
		}
		args, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxArgument))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.serveCommand(w, r, auth.Shell(userName(uid)), r.PathValue("name"), args)
	})
	return mux
}

func (a *App) serveCommand(w http.ResponseWriter, r *http.Request, by auth.Actor, name string, args json.RawMessage) {
	c, ok := Commands()[name]
	if !ok {
		http.Error(w, "no such command; server and command are of different versions", http.StatusNotFound)
		return
	}
	if c.Stream != nil {
		w.Header().Set("Trailer", "X-Failure")
		err := c.Stream(r.Context(), a, by, args, w)
		if err != nil {
			kind := "no "
			if IsBadInput(err) {
				kind = "bad "
			}
			w.Header().Set("X-Failure", kind+strings.ReplaceAll(Words(err), "\n", "\\n"))
		} else {
			w.Header().Set("X-Failure", "none")
		}
		return
	}
	result, err := c.Run(r.Context(), a, by, args)
	if err != nil {
		status := http.StatusUnprocessableEntity
		if IsBadInput(err) {
			status = http.StatusBadRequest
		}
		http.Error(w, Words(err), status)
		return
	}
	b, err := json.Marshal(result)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(b) // the client may be gone
}

// Words says an error to a person on the shell, in both languages' stead the one of this process.
func Words(err error) string {
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Kind != problem.KindInternal {
		return lang.T(language(), p.MessageKey(), p.Args...)
	}
	return err.Error()
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "uid-" + strconv.Itoa(uid)
}

// Dial connects to the server that runs on that data folder; it answers os.ErrNotExist where none does.
func Dial(ctx context.Context, data string) (*Client, error) {
	path := filepath.Join(data, socketName)
	dialer := net.Dialer{Timeout: 2 * time.Second}
	c, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, os.ErrNotExist
	}
	c.Close()
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}}, nil
}

// Client sends commands to a running server.
type Client struct{ http *http.Client }

// Run sends a command and decodes its result; a command that streams writes to w.
func (c *Client) Run(ctx context.Context, name string, args, result any, w io.Writer) error {
	body, err := json.Marshal(args)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://admin/command/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("the running server: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxArgument))
		if err == nil && resp.StatusCode == http.StatusBadRequest {
			return BadInput{strings.TrimSpace(string(text))}
		}
		return errors.Join(errors.New(strings.TrimSpace(string(text))), err)
	}
	if w == nil {
		return json.NewDecoder(resp.Body).Decode(result)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return err
	}
	if failure := resp.Trailer.Get("X-Failure"); failure != "none" {
		kind, text, _ := strings.Cut(strings.ReplaceAll(failure, "\\n", "\n"), " ")
		if kind == "bad" {
			return BadInput{text}
		}
		return errors.New(text)
	}
	return nil
}

// newErrorLog passes what net/http wants to say into the program log.
func newErrorLog(program *slog.Logger) *log.Logger {
	return slog.NewLogLogger(program.Handler(), slog.LevelDebug)
}
