// The kube-controller-manager's controllers that work without nodes, configured as it configures them.
//
// They are assembled here instead of by its command, because the command's garbage collector detects new resources only every 30 seconds:
// too slow for a test that installs a CRD and then deletes in the foreground. The command also includes all controllers for nodes,
// volumes and clouds, which would double the build time.
package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
)

const (
	// workers of each controller: a test cluster is small.
	workers = 4
	// resync is the interval of full resyncs of the informers. No events are lost that would need an earlier one.
	resync = 12 * time.Hour
	// newResources is the interval at which the garbage collector detects new CRDs.
	newResources = time.Second
)

// startControllers starts the controllers, which stop with ctx.
func startControllers(ctx context.Context, config *rest.Config) error {
	config = rest.CopyConfig(config)
	config.QPS = -1 // unlimited: the API server has its own limits
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTransform(withoutManagedFields))
	core, started := shared.Core().V1(), make(chan struct{})

	namespaces := namespace.NewNamespaceController(ctx, client, metadataClient, client.Discovery().ServerPreferredNamespacedResources,
		core.Namespaces(), resync, corev1.FinalizerKubernetes)
	accounts, err := newServiceAccountsController(ctx, core.ServiceAccounts(), core.Namespaces(), client)
	if err != nil {
		return fmt.Errorf("failed to create the ServiceAccount controller: %w", err)
	}
	publisher, err := rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), client, config.CAData)
	if err != nil {
		return fmt.Errorf("failed to create the root CA publisher: %w", err)
	}
	roles := clusterroleaggregation.NewClusterRoleAggregation(shared.Rbac().V1().ClusterRoles(), client.RbacV1())
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	collector, err := garbagecollector.NewGarbageCollector(ctx, client, metadataClient, mapper, garbagecollector.DefaultIgnoredResources(),
		metadataOnly{metadatainformer.NewSharedInformerFactoryWithOptions(metadataClient, resync, metadatainformer.WithTransform(withoutManagedFields))},
		started)
	if err != nil {
		return fmt.Errorf("failed to create the garbage collector: %w", err)
	}

	shared.Start(ctx.Done())
	close(started)
	go namespaces.Run(ctx, workers)
	go accounts.Run(ctx, workers)
	go publisher.Run(ctx, workers)
	go roles.Run(ctx, workers)
	go collector.Run(ctx, workers, resync)
	go collector.Sync(ctx, client.Discovery(), newResources)
	return nil
}

// metadataOnly gives the garbage collector metadata-only informers for every resource: it reads nothing else.
type metadataOnly struct {
	metadatainformer.SharedInformerFactory
}

func (m metadataOnly) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	return m.SharedInformerFactory.ForResource(resource), nil
}

// withoutManagedFields removes a field that no controller here reads, and that is often most of an object.
func withoutManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}
