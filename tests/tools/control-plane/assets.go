// With KUBEBUILDER_ASSETS set, as by envtest, the etcd and kube-apiserver in that directory run as child processes instead of the
// built-in ones. This allows tests against another version of Kubernetes.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const assetsVariable = "KUBEBUILDER_ASSETS"

// childGrace is the time that a child process has for its shutdown. Its data is not needed afterwards.
const childGrace = 2 * time.Second

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// asset returns the path of one of the given binaries.
func asset(directory, name string) (string, error) {
	path := filepath.Join(directory, name)
	if !executable(path) {
		return "", fmt.Errorf("%s is %s, which has no program %s: unset it to use the built-in one", assetsVariable, directory, name)
	}
	return path, nil
}

// runChild runs a program until it exits or ctx is cancelled. Its output goes to the log.
func runChild(ctx context.Context, path string, arguments []string) error {
	// The kernel sends the parent-death signal when the *thread* that started the child ends, so this goroutine keeps its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child := exec.CommandContext(ctx, path, arguments...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = childAttributes()
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = childGrace
	err := child.Run()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%s ended: %w", filepath.Base(path), err)
}

// freePort returns a loopback port that was free a moment ago, for a program that cannot inherit a listener.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
