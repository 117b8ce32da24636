// Command rolekeeper shows what Rolekeeper will make of an agent config, and
// what it has made of those that were uploaded. For operators it writes requests
// into the config bucket, and nothing else anywhere.
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	stop()
	os.Exit(code)
}
