package main

import (
	"cmp"
	"errors"
	"fmt"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// Stand-ins for what nobody names. No config is of this place, and in the fix of
// a problem they read as what is to be filled in.
const (
	anyAccount = "ACCOUNT"
	anyRegion  = "REGION"
)

// place gives account and region by flag, file and environment, in this order.
// What none of them names is a stand-in, and unknown says what to pass.
func (p program) place(f renderFlags, data []byte) (place agent.Place, unknown, err error) {
	accounts, regions, _ := agent.Declared(data)
	account := cmp.Or(f.account, first(accounts))
	region := cmp.Or(f.region, first(regions), p.getenv("AWS_REGION"), p.getenv("AWS_DEFAULT_REGION"))
	if err := (agent.Place{Account: cmp.Or(account, "000000000000"), Region: cmp.Or(region, "us-east-1")}).Check(); err != nil {
		return agent.Place{}, nil, fmt.Errorf("place of the agents: %w", err)
	}
	if account == "" {
		account, unknown = anyAccount, errors.New("the file names no account: pass --account")
	}
	if region == "" {
		region, unknown = anyRegion, errors.Join(unknown, errors.New("the file names no region: pass --region"))
	}
	return agent.Place{Partition: naming.Partition(region), Account: account, Region: region}, unknown, nil
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// dependsOnPlace reports whether a problem may be gone in another account or Region.
func dependsOnPlace(p fault.Problem) bool {
	switch p.Code {
	case "account-mismatch", "region-mismatch", "role-foreign", "repository-foreign", "memory-foreign", "provider-foreign", "model-foreign",
		"config-too-many-problems": // counts the others
		return true
	}
	return false
}
