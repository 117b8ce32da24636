package proxy

import (
	"encoding/json"
	"net/http"
)

// Handle adds a route below /_local/, which is no call and is not logged. No
// bucket can be named so.
func (p *Proxy) Handle(pattern string, h http.HandlerFunc) { p.local.HandleFunc(pattern, h) }

// WriteJSON answers a local route.
func WriteJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // a caller that hung up is its own affair
}

func (p *Proxy) routes() {
	p.Handle("GET /_local/calls", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		WriteJSON(w, p.Calls(Filter{
			Caller: q.Get("caller"), Service: q.Get("service"), Operation: q.Get("operation"), Resource: q.Get("resource"),
		}))
	})
	p.Handle("DELETE /_local/calls", func(w http.ResponseWriter, _ *http.Request) {
		p.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	p.Handle("GET /_local/events", func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, p.o.Bus.Events())
	})
	p.Handle("POST /_local/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxKeptBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.InjectFault(f)
		w.WriteHeader(http.StatusNoContent)
	})
	p.Handle("DELETE /_local/faults", func(w http.ResponseWriter, _ *http.Request) {
		p.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
}
