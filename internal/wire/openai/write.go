package openai

import (
	"encoding/json"
	"net/http"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
)

// envelope is how the dialect says an error: as an object, because SDKs lose type and code of a string.
type envelope struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	} `json:"error"`
}

// Status is the HTTP status of a problem's kind.
func Status(p *problem.Error) int {
	switch p.Kind {
	case problem.KindInvalid, problem.KindConflict:
		return http.StatusBadRequest
	case problem.KindUnauthenticated:
		return http.StatusUnauthorized
	case problem.KindForbidden, problem.KindBlocked:
		return http.StatusForbidden
	case problem.KindNotFound:
		return http.StatusNotFound
	case problem.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case problem.KindTooMany:
		return http.StatusTooManyRequests
	case problem.KindUnavailable:
		return http.StatusServiceUnavailable
	case problem.KindUpstream:
		return http.StatusBadGateway
	case problem.KindMethod:
		return http.StatusMethodNotAllowed
	}
	return http.StatusInternalServerError
}

func errorType(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge:
		return "invalid_request_error"
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	}
	return "api_error"
}

// Refuse writes a refusal of our own. Its message is a German and an English sentence and, where there is one, the link
// to the entry. SDKs obey x-should-retry first, so that none of them repeats a refusal.
func Refuse(w http.ResponseWriter, p *problem.Error, link string) {
	status := Status(p)
	var e envelope
	e.Error.Message = lang.T(lang.German, p.MessageKey(), p.Args...) + " / " + lang.T(lang.English, p.MessageKey(), p.Args...)
	if link != "" {
		e.Error.Message += " " + link
	}
	e.Error.Type = errorType(status)
	if p.Param != "" {
		e.Error.Param = &p.Param
	}
	e.Error.Code = p.Code()
	body, err := json.Marshal(e)
	if err != nil { // strings only
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Leitplanke-Code", p.Code())
	if p.Kind != problem.KindUpstream { // what went wrong behind the gate may go right the next time, as without it
		h.Set("X-Should-Retry", "false")
	}
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // the client may be gone
}

// WriteModels writes the answer of GET /v1/models.
func WriteModels(w http.ResponseWriter, names []string) {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	list := make([]model, len(names))
	for i, n := range names {
		list[i] = model{ID: n, Object: "model", OwnedBy: "leitplanke"}
	}
	body, err := json.Marshal(map[string]any{"object": "list", "data": list})
	if err != nil { // strings and numbers only
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
}
