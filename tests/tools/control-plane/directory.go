// The directory of one control plane, and its log, which contains the output of all components.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	logName = "control-plane.log"
	// lockName also marks a directory as created by this program: it is its first file.
	lockName = "lock"
)

// takeDirectory creates the directory if necessary and locks it against other control planes. With cleanup, it refuses a directory that
// contains other files.
func takeDirectory(directory string, cleanup bool) (release func(), err error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(directory, lockName)); cleanup && len(entries) > 0 && err != nil {
		return nil, fmt.Errorf("%s contains other files, which --cleanup would remove: use an empty or a new directory", directory)
	}
	// An existing directory may be accessible to others.
	if err := os.Chmod(directory, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(directory, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another control plane runs in %s", directory)
	}
	return func() { lock.Close() }, nil
}

// complaints is the original standard error: messages for the user go there, output of the components to the log.
var complaints = os.Stderr

// redirectOutput redirects all output of this process and its children to the log: klog, zap, warnings, panics. It returns the original
// standard output.
func redirectOutput(path string) (*os.File, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	stdout, err := keep(os.Stdout)
	if err != nil {
		return nil, err
	}
	stderr, err := keep(os.Stderr)
	if err != nil {
		return nil, err
	}
	for _, redirected := range []*os.File{os.Stdout, os.Stderr} {
		if err := unix.Dup2(int(log.Fd()), int(redirected.Fd())); err != nil {
			return nil, err
		}
	}
	complaints = stderr
	return stdout, nil
}

// keep duplicates a file for this process only: a child process that inherits standard output would block its reader.
func keep(file *os.File) (*os.File, error) {
	copied, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), file.Name()), nil
}
