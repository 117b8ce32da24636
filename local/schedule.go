package local

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolekeeper/local/bus"
	"rolekeeper/local/host"
	"rolekeeper/local/stack"
)

// invokeAsync is Lambda for asynchronous calls of a function by its name in AWS.
func (a *AWS) invokeAsync(name string, event []byte) (requestID string, err error) {
	if a.stack == nil {
		return "", fmt.Errorf("no stack has a function %s", name)
	}
	for short, f := range a.stack.Functions {
		if f.Name != name {
			continue
		}
		i, err := a.host.InvokeAsync(short, event)
		if err != nil {
			return "", err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.async[i.RequestID] = i
		return i.RequestID, nil
	}
	return "", fmt.Errorf("no function %s", name)
}

// RunSchedule has the schedule of a function come round now: Scheduler calls the
// function, under the name Scheduler and the function's, and what Lambda refuses
// goes to the schedule's dead letters. It gives the function's result.
func (a *AWS) RunSchedule(ctx context.Context, function string) (host.Result, error) {
	s, err := a.schedule(function)
	if err != nil {
		return host.Result{}, err
	}
	var i *host.Invocation
	for range 3 { // Scheduler tries for hours; here what fails thrice will go on failing
		if i, err = a.callAsync(ctx, Scheduler+s.Function.Short, s.Function.Name, s.Input); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return host.Result{}, fmt.Errorf("run schedule %s: %w", s.Name, a.bury(ctx, s, err))
	}
	return i.Wait(ctx)
}

func (a *AWS) schedule(function string) (stack.Schedule, error) {
	if a.stack != nil {
		for _, s := range a.stack.Schedules {
			if s.Function.Short == function {
				return s, nil
			}
		}
	}
	return stack.Schedule{}, fmt.Errorf("no schedule calls a function %s", function)
}

// callAsync makes the call that Scheduler and EventBridge make, of Lambda's API.
func (a *AWS) callAsync(ctx context.Context, caller, function, event string) (i *host.Invocation, err error) {
	target := a.endpoint + "/2015-03-31/functions/" + function + "/invocations"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(event))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Amz-Invocation-Type", "Event")
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/20260101/%s/lambda/aws4_request, SignedHeaders=host, Signature=0",
		a.proxy.AccessKey(caller), a.o.Region))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing is read of it
	if response.StatusCode != http.StatusAccepted {
		return nil, fmt.Errorf("invoke %s: %s %s", function, response.Status, response.Header.Get("X-Amzn-Errortype"))
	}
	id := response.Header.Get("X-Amzn-Requestid")
	a.mu.Lock()
	defer a.mu.Unlock()
	i = a.async[id]
	delete(a.async, id)
	return i, nil
}

// bury puts what could not be delivered into the dead letters, and gives why.
func (a *AWS) bury(ctx context.Context, s stack.Schedule, why error) error {
	if s.DeadLetters == "" {
		return why
	}
	_, err := sqs.NewFromConfig(a.Config(Scheduler+s.Function.Short)).SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:    aws.String(a.endpoint + "/" + a.o.Account + "/" + bus.QueueName(s.DeadLetters)),
		MessageBody: aws.String(s.Input),
	})
	if err != nil {
		return fmt.Errorf("%w; to the dead letters: %w", why, err)
	}
	return why
}

// RunSchedules has all schedules with a rate come round by the clock of this
// machine, times TimeScale, until ctx is done. What fails is among the Errors.
func (a *AWS) RunSchedules(ctx context.Context) {
	if a.stack == nil {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	for _, s := range a.stack.Schedules {
		every, ok := s.Every()
		if !ok {
			continue
		}
		running.Go(func() { a.repeat(ctx, s, max(time.Second, time.Duration(float64(every)*a.o.TimeScale))) })
	}
}

func (a *AWS) repeat(ctx context.Context, s stack.Schedule, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		result, err := a.RunSchedule(ctx, s.Function.Short)
		if err == nil && result.Failure != "" {
			err = fmt.Errorf("run schedule %s: the function failed: %s", s.Name, result.Failure)
		}
		if err != nil && ctx.Err() == nil {
			a.note(err)
		}
	}
}
