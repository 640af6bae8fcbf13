package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/leitplanke/leitplanke/internal/register"
)

// openAI asks an HTTP server with the OpenAI dialect.
type openAI struct {
	client *http.Client
	url    string // of chat/completions
	key    string
}

func newOpenAI(r register.Provider, key string) (*openAI, error) {
	base, err := url.Parse(r.BaseURL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Hostname() == "" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("provider %s: base_url is not an http address", r.ID)
	}
	return &openAI{
		client: &http.Client{
			Transport:     NewTransport(base, r.Region == register.RegionLocal),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		url: strings.TrimRight(r.BaseURL, "/") + "/chat/completions",
		key: key,
	}, nil
}

// Complete implements Provider. A redirect is not followed, and is an error.
func (o *openAI) Complete(ctx context.Context, c Call) (*Reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(c.Body))
	if err != nil {
		return nil, err
	}
	for k, v := range c.Header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if o.key != "" {
		req.Header.Set("Authorization", "Bearer "+o.key)
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, o.clean(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, errors.New("the provider answered with a redirect")
	}
	body, err := readAll(resp.Body, resp.ContentLength)
	if err != nil {
		return nil, o.clean(err)
	}
	return &Reply{Status: resp.StatusCode, Header: resp.Header, Body: o.mask(body)}, nil
}

// readAll reads a body of at most maxReply bytes in one allocation where its length is known.
func readAll(r io.Reader, length int64) ([]byte, error) {
	if length > maxReply {
		return nil, errors.New("the answer is too large")
	}
	var b bytes.Buffer
	b.Grow(int(max(length, 0)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(r, maxReply+1))
	if n > maxReply {
		return nil, errors.New("the answer is too large")
	}
	return b.Bytes(), err
}

// mask takes the provider's own key out of a body: some providers repeat a part of it in their errors.
func (o *openAI) mask(body []byte) []byte {
	if len(o.key) < 12 {
		return body
	}
	for _, piece := range []string{o.key, o.key[:12], o.key[len(o.key)-12:]} {
		if bytes.Contains(body, []byte(piece)) {
			body = bytes.ReplaceAll(body, []byte(piece), []byte("***"))
		}
	}
	return body
}

// clean drops the URL from an error of net/http, which may hold what a log must not.
func (o *openAI) clean(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
