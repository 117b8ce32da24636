package policy

// Quarantine gives the trust policy of a role that nobody is to assume for the
// time being. It allows nobody, which would be enough; but a trust policy must
// have a statement, and a statement a principal (IAM User Guide, "IAM JSON policy
// elements: Principal"), so it denies the service that the role is made for.
func Quarantine(service string) Document {
	return New(Statement{
		Sid: "RolekeeperQuarantine", Effect: Deny, Principals: Principals{Service: {service}}, Actions: []string{assumeRole},
	})
}

// Quarantined reports whether a trust policy, as IAM holds it, means the same.
func Quarantined(raw, service string) bool { return Quarantine(service).Same(raw) }
