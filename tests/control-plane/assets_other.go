//go:build !linux

package main

import "syscall"

// childAttributes: a group of its own, so that Ctrl-C reaches us alone and we end things in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
