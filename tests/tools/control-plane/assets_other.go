//go:build !linux

package main

import "syscall"

// childAttributes: a separate process group, so that Ctrl-C only reaches this process, which stops the others in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
