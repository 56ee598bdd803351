// "control-plane start": starts all components in order, announces readiness, waits, and stops them in reverse order.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

const (
	// pollInterval is the interval of readiness checks.
	pollInterval = 20 * time.Millisecond
	// readyDeadline is far beyond the few seconds that a busy machine needs.
	readyDeadline = 2 * time.Minute
	// drainDeadline limits the API server's graceful shutdown: by default it waits a minute for open watches, which is useless here.
	drainDeadline = time.Second
	// stopDeadline limits etcd's shutdown, after which the process exits nevertheless.
	stopDeadline = 3 * time.Second
)

type startSettings struct {
	directory   string
	auditLog    string
	port        int
	parentExits bool
	cleanup     bool
}

// announcement is the line that reports readiness.
type announcement struct {
	Kubeconfig string  `json:"kubeconfig"`
	Server     string  `json:"server"`
	PID        int     `json:"pid"`
	AuditLog   *string `json:"auditLog"`
}

func startCommand() *cobra.Command {
	var settings startSettings
	command := &cobra.Command{
		Use:   "start --directory DIR",
		Short: "Start the control plane, and run it until SIGTERM or Ctrl-C",
		Long: `Start the control plane, and run it until SIGTERM or Ctrl-C (exit code 0).

After a few seconds, when everything is ready, it prints one line of JSON on standard output:
  {"kubeconfig":"DIR/kubeconfig","server":"https://127.0.0.1:PORT","pid":123,"auditLog":null}

DIR contains the administrator's kubeconfig (context "control-plane"), the data, certificates and
tokens, and the log of all components in control-plane.log. If DIR exists from an earlier start,
its data is used again; with --port, under the same address.

With KUBEBUILDER_ASSETS set, the etcd and kube-apiserver in that directory run as child
processes instead of the built-in ones (and "control-plane kubectl" is the kubectl there, if
any). The controllers are always the built-in ones.`,
		Example: `  control-plane start --directory /tmp/cp --audit-log /tmp/cp/audit.jsonl
  KUBECONFIG=/tmp/cp/kubeconfig control-plane kubectl get namespaces`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return start(settings) },
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&settings.directory, "directory", "", "directory for all files; created if missing, accessible only to you")
	flags.StringVar(&settings.auditLog, "audit-log", "", "append to this file, as JSON lines, the metadata of every request by a\n"+
		"ServiceAccount and every request for tabular-operator.dev; a line is\nwritten before its response completes (default: no audit log)")
	flags.IntVar(&settings.port, "port", 0, "the API server's port on 127.0.0.1 (default: any free one)")
	flags.BoolVar(&settings.parentExits, "parent-exits", false, "also stop when standard input ends, for example when the parent process exits")
	flags.BoolVar(&settings.cleanup, "cleanup", false, "remove the directory at the end (but not an audit log in another place)")
	if err := command.MarkFlagRequired("directory"); err != nil {
		panic(err)
	}
	return command
}

func start(settings startSettings) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// After the first signal, a second one kills the process.
	context.AfterFunc(ctx, stop)
	if settings.parentExits {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if err := settings.makeAbsolute(); err != nil {
		return err
	}
	release, err := takeDirectory(settings.directory, settings.cleanup)
	if err != nil {
		return err
	}
	if settings.cleanup {
		defer func() { err = errors.Join(err, os.RemoveAll(settings.directory)) }()
	}
	defer release()
	stdout, err := redirectOutput(filepath.Join(settings.directory, logName))
	if err != nil {
		return err
	}
	err = run(ctx, settings, stdout)
	klog.Flush()
	// A request to stop is not a failure, even during startup.
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	if err != nil && !settings.cleanup {
		err = fmt.Errorf("%w (see %s)", err, filepath.Join(settings.directory, logName))
	}
	return err
}

// run starts the components, announces them, and returns when ctx ends or a component has failed.
func run(ctx context.Context, settings startSettings, stdout *os.File) error {
	// The components stop on request, in order.
	partsCtx, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopParts()

	// Creating keys and starting etcd take about the same time, on one core each.
	type made struct {
		trust *credentials
		err   error
	}
	credentialsMade := make(chan made, 1)
	go func() {
		trust, err := ensureCredentials(filepath.Join(settings.directory, "pki"))
		credentialsMade <- made{trust, err}
	}()
	etcd, err := startEtcd(ctx, settings.directory)
	if err != nil {
		return err
	}
	defer within(stopDeadline, etcd.stop)
	credentials := <-credentialsMade
	if credentials.err != nil {
		return credentials.err
	}
	trust := credentials.trust

	server, err := startAPIServer(partsCtx, settings, etcd.url, trust)
	if err != nil {
		return err
	}
	defer within(childGrace+drainDeadline, func() {
		stopParts()
		if os.Getenv(assetsVariable) != "" {
			<-server.ended // may take up to childGrace
			return
		}
		within(drainDeadline, func() { <-server.ended })
	})
	if err := makeReady(ctx, partsCtx, server, trust); err != nil {
		return err
	}
	kubeconfig := filepath.Join(settings.directory, "kubeconfig")
	if err := trust.writeKubeconfig(kubeconfig, server.url); err != nil {
		return err
	}
	ready := announcement{Kubeconfig: kubeconfig, Server: server.url, PID: os.Getpid()}
	if settings.auditLog != "" {
		ready.AuditLog = &settings.auditLog
	}
	if err := json.NewEncoder(stdout).Encode(ready); err != nil {
		return fmt.Errorf("failed to write to standard output: %w", err)
	}
	// A reader of standard output gets its end.
	stdout.Close()

	select {
	case err := <-server.failed:
		return err
	case err := <-etcd.failed:
		return fmt.Errorf("etcd failed: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// makeReady waits for the API server, starts the controllers, and waits for their first result.
func makeReady(ctx, partsCtx context.Context, server *apiServer, trust *credentials) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyDeadline, fmt.Errorf("the control plane was not ready within %s", readyDeadline))
	defer cancel()
	authority, err := os.ReadFile(trust.authority)
	if err != nil {
		return err
	}
	config := &rest.Config{
		Host: server.url, BearerToken: trust.controllerToken, UserAgent: "control-plane",
		TLSClientConfig: rest.TLSClientConfig{CAData: authority},
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	if err := waitForOK(ctx, httpClient, server.url+"/readyz", server.failed); err != nil {
		return fmt.Errorf("the API server did not become ready: %w", err)
	}
	if err := startControllers(partsCtx, config); err != nil {
		return err
	}
	return waitForServiceAccount(ctx, config, server.failed)
}

// waitForServiceAccount waits for the service account "default" in the namespace "default", a prerequisite of pods.
func waitForServiceAccount(ctx context.Context, config *rest.Config, failed <-chan error) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for {
		if _, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err == nil {
			return nil
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollInterval):
		}
	}
}

func (s *startSettings) makeAbsolute() error {
	for _, path := range []*string{&s.directory, &s.auditLog} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	return nil
}

// within waits for the end of a shutdown step, at most for limit.
func within(limit time.Duration, end func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end()
	}()
	select {
	case <-ended:
	case <-time.After(limit):
	}
}
