// The directory of one control plane, and the log in it that takes everything that the components print.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	logName = "control-plane.log"
	// lockName marks a directory as one of ours, too: it is the first file in it.
	lockName = "lock"
)

// takeDirectory makes the directory if need be and keeps every other control plane out of it. It takes none to be
// removed that holds somebody else's files.
func takeDirectory(directory string, cleanup bool) (release func(), err error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(directory, lockName)); cleanup && len(entries) > 0 && err != nil {
		return nil, fmt.Errorf("%s holds other files, which --cleanup would remove: name a directory that is empty or not there yet", directory)
	}
	// It may have been there, open to others.
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

// complaints is where the user sees them: what standard error was before the components got the log instead.
var complaints = os.Stderr

// redirectOutput lets this process and its children write to the log whatever they print: klog, zap, warnings, panics.
// It returns what standard output was.
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

// keep duplicates a file for us alone: a child process that held our standard output open would let its reader wait.
func keep(file *os.File) (*os.File, error) {
	copied, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), file.Name()), nil
}
