package main

import "syscall"

// childAttributes: a group of its own, so that Ctrl-C reaches us alone and we end things in order, and a child that
// does not outlive us even when we are killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
