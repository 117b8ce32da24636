// Package operator reads what operators ask for that concerns no single config,
// for those pipelines that carry it out.
package operator

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Objects is what is read of the config bucket. Entries gives everything under a
// prefix or an error; Get answers fault.ErrNotFound for absence only.
type Objects interface {
	Entries(ctx context.Context, prefix string) ([]model.Entry, error)
	Get(ctx context.Context, key string) (model.Object, error)
}

// MaxRequests bounds the requests that are read: those whose ids sort last, which
// are the newest as the tool writes ids. The bucket's lifecycle takes them away
// after a week.
const MaxRequests = 100

// Requests gives the requests for an action that can be carried out now, in the
// order of their ids. What is no request, stands under another id than its own,
// or comes too late is left out. So is what may not be read, of which unread says
// why: it lies there for a week, and is not to keep others from being carried out.
func Requests(ctx context.Context, objects Objects, action model.RequestAction, now time.Time) (requests []model.FleetRequest, unread, err error) {
	entries, err := objects.Entries(ctx, naming.FleetRequestPrefix)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(entries, func(a, b model.Entry) int { return cmp.Compare(a.Key, b.Key) })
	for _, e := range entries[max(len(entries)-MaxRequests, 0):] {
		o, err := objects.Get(ctx, e.Key)
		if errors.Is(err, fault.ErrNotFound) {
			continue
		}
		if errors.Is(err, fault.ErrDenied) {
			unread = errors.Join(unread, err)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		q, wrong := model.ParseFleetRequest(o.Body)
		if wrong == nil && q.Action == action && naming.FleetRequestKey(q.ID) == e.Key && !q.Late(o.LastModified, now) {
			requests = append(requests, q)
		}
	}
	return requests, unread, nil
}
