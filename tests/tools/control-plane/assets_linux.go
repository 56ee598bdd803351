package main

import "syscall"

// childAttributes: a separate process group, so that Ctrl-C only reaches this process, which stops the others in order, and a child that
// does not outlive this process even after SIGKILL.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
