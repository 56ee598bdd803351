// A minimal operator for ModelRefresh resources, in Go with controller-runtime. It is the reference of the benchmark: `make bench
// REFERENCE=1` runs the same resources with tabular-operator and with this program, and compares them.
//
// It does the same work as tabular-operator for a plain run on Analysis Services:
//
//   - Kubernetes: a patch that adds the finalizer, three status writes (the intent, the operation id, the end) with about the same fields,
//     and two events (events.k8s.io). While an operation is running, its progress is written with the first poll that shows it, and then
//     at most every ten seconds if it has changed. Each write has the resource version that it is based on.
//   - The service: one POST refreshes, then GET refreshes/<id> at the same interval: a fraction of the time that the operation has run,
//     within --poll-min and --poll-max, shortened by up to 15 percent at random. The requests have the same headers. The connections are
//     TLS (HTTP/2) through the proxy in HTTPS_PROXY, and kept alive.
//   - Credentials: the Secret is read for a submission if it was not read within the last second, and for a poll within the last minute.
//     The token is requested by the client credentials flow, and kept until shortly before it expires.
//   - The process: leader election by a Lease, an informer cache, logs in JSON with a line for each transition, metrics, and probes.
//
// It is what a minimal operator of controller-runtime usually is. The resources are typed structs with deep copies, as Kubebuilder
// generates them: unstructured objects are maps, which cost more time and memory for each read from the cache. All settings are the
// defaults of controller-runtime, except for these:
//
//   - 64 concurrent reconciliations, the default of tabular-operator. The default of controller-runtime is one.
//   - The cache drops metadata.managedFields, which saves memory and makes writes smaller.
//   - Secrets are not cached, because the account may not list them.
//   - The Lease is released at the end of the process, as tabular-operator does.
//   - The process ends within 10 s, even if thousands of reconciliations are queued. The default is 30 s.
//
// It runs with the account of tabular-operator. This account may not create the event that controller-runtime publishes about the Lease, so
// the API server refuses one request of each process.
//
// A write of its own status causes no reconciliation (GenerationChangedPredicate). It keeps the version that it wrote last until the
// cache shows it, so it never reads a resource from the API server.
//
// It omits the following, which makes it cheaper than tabular-operator:
//
//   - Crash safety: a run whose submission had no recorded response fails. Tabular-operator searches the list of the service.
//   - Checks of leadership before each write, and of the remaining time before a submission.
//   - ModelSync, Power BI, names of models, other credentials, other clouds, and a second watch.
//   - Other triggers: schedules, annotations, tokens, dependents. Retries, deadlines, suspension, cancellation, deletion policies, and
//     operations of other clients.
//   - Fairness between namespaces, a limit of calls to each server, backoff per server, and limits of the sizes of texts and of the status.
//   - Metrics of single resources and of the service, and traces.
//
// It accepts the command line of tabular-operator as far as the benchmark uses it: `run` and the flags below.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

func main() {
	ctrl.SetLogger(zap.New())
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 || arguments[0] != "run" {
		return errors.New("usage: reference run [flags]")
	}
	var polling Polling
	namespace := flag.String("watch-namespace", "", "namespace to watch")
	leaseNamespace := flag.String("lease-namespace", "default", "namespace of the Lease")
	leaseName := flag.String("lease-name", "reference", "name of the Lease")
	extraCAFile := flag.String("extra-ca-file", "", "additional certificates to trust, for Azure only")
	metricsAddress := flag.String("metrics-address", ":8080", "address of the metrics")
	healthAddress := flag.String("health-address", ":8081", "address of the probes")
	concurrency := flag.Int("max-concurrent-reconciles", 64, "maximum number of concurrent reconciliations")
	flag.DurationVar(&polling.min, "poll-min", time.Second, "minimum interval between two polls")
	flag.DurationVar(&polling.max, "poll-max", 30*time.Second, "maximum interval between two polls")
	flag.Float64Var(&polling.fraction, "poll-fraction", 0.1, "poll interval as a fraction of the time that the operation has run")
	if err := flag.CommandLine.Parse(arguments[1:]); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), schemeBuilder.AddToScheme(scheme)); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	shutdownTimeout := 10 * time.Second
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{*namespace: {}},
			DefaultTransform:  cache.TransformStripManagedFields(),
		},
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:                       metricsserver.Options{BindAddress: *metricsAddress},
		HealthProbeBindAddress:        *healthAddress,
		LeaderElection:                true,
		LeaderElectionNamespace:       *leaseNamespace,
		LeaderElectionID:              *leaseName,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &shutdownTimeout,
	})
	if err != nil {
		return err
	}
	azure, err := newAzure(*extraCAFile)
	if err != nil {
		return err
	}
	reconciler := &Reconciler{
		Client:     manager.GetClient(),
		azure:      azure,
		identities: &Identities{client: manager.GetClient(), known: map[types.NamespacedName]*knownIdentity{}},
		recorder:   manager.GetEventRecorder("tabular-operator.dev/reference"),
		polling:    polling,
	}
	if err := reconciler.setup(manager, *concurrency); err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("leading", ready(manager)); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

// ready checks that the process leads and that its cache is filled.
func ready(manager ctrl.Manager) func(*http.Request) error {
	return func(request *http.Request) error {
		select {
		case <-manager.Elected():
		default:
			return errors.New("another process leads")
		}
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		if !manager.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the cache is not filled yet")
		}
		return nil
	}
}
