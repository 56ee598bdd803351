// The API server: its settings, and its execution in this process or, with KUBEBUILDER_ASSETS, as a child process.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// auditPolicy records the operator's requests (it runs as a ServiceAccount) and all requests for its resources.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: Metadata
  resources: [{group: tabular-operator.dev}]
- level: None
`

// apiServer is a started API server, which may not be ready yet.
type apiServer struct {
	url    string
	failed <-chan error
	ended  <-chan struct{}
}

// startAPIServer starts the API server, which stops with ctx.
func startAPIServer(ctx context.Context, settings startSettings, etcdURL string, trust *credentials) (*apiServer, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", settings.port))
	if err != nil {
		return nil, fmt.Errorf("failed to listen: %w", err)
	}
	address := listener.Addr().(*net.TCPAddr)
	arguments, err := apiServerArguments(settings, etcdURL, trust, address.Port)
	if err != nil {
		return nil, err
	}
	var run func() error
	if assets := os.Getenv(assetsVariable); assets != "" {
		path, err := asset(assets, "kube-apiserver")
		if err != nil {
			return nil, err
		}
		listener.Close()
		run = func() error { return runChild(ctx, path, arguments) }
	} else {
		run = func() error { return runAPIServer(ctx, listener, arguments) }
	}
	failed, ended := make(chan error, 2), make(chan struct{})
	// A failed start-up hook exits the process, even if it was only interrupted. Here, the shutdown is orderly, with the exit code of the
	// first failure.
	klog.OsExit = func(int) {
		select {
		case failed <- errors.New("a component failed: see the line starting with F in the log"):
		default:
		}
		select {}
	}
	go func() {
		defer close(ended)
		if err := run(); err != nil {
			failed <- fmt.Errorf("the API server failed: %w", err)
		}
	}()
	return &apiServer{url: "https://" + address.String(), failed: failed, ended: ended}, nil
}

func apiServerArguments(settings startSettings, etcdURL string, trust *credentials, port int) ([]string, error) {
	arguments := []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + trust.certificate, "--tls-private-key-file=" + trust.key,
		"--token-auth-file=" + trust.tokenFile,
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + trust.serviceAccountKey,
		"--service-account-signing-key-file=" + trust.serviceAccountKey,
		"--service-cluster-ip-range=" + serviceRange,
		// The Endpoints of the kubernetes Service must not contain a loopback address, and no client reads them.
		"--endpoint-reconciler-type=none",
		"--allow-privileged",
	}
	if settings.auditLog == "" {
		return arguments, nil
	}
	policy := filepath.Join(settings.directory, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	// The file exists from the start, so that readers need not wait for it.
	file, err := os.OpenFile(settings.auditLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to open the audit log: %w", err)
	}
	file.Close()
	return append(arguments,
		"--audit-policy-file="+policy, "--audit-log-path="+settings.auditLog,
		// Blocking: the line is written before the request completes, so a test finds the line after the response.
		"--audit-log-mode=blocking",
		// In megabytes: never rotated, so that a written line stays.
		"--audit-log-maxsize=1000000",
	), nil
}

// runAPIServer does what the kube-apiserver command does, without its signal handler (this program has one) and without its set-up of the
// process's logging.
func runAPIServer(ctx context.Context, listener net.Listener, arguments []string) error {
	server := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range server.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	// The open listener, not its port number: no other process can take the port in between.
	server.SecureServing.Listener = listener
	if err := server.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := server.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return utilerrors.NewAggregate(errs)
	}
	return app.Run(ctx, completed)
}
