package child

import "syscall"

// attributes puts the process into its own group, away from the terminal's
// interrupt, and has the kernel kill it when the parent dies without stopping it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
