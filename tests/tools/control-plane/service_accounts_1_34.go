//go:build kubernetes_1_34

package main

import (
	"context"

	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

func newServiceAccountsController(
	_ context.Context,
	accounts coreinformers.ServiceAccountInformer, namespaces coreinformers.NamespaceInformer, client kubernetes.Interface,
) (*serviceaccount.ServiceAccountsController, error) {
	return serviceaccount.NewServiceAccountsController(accounts, namespaces, client,
		serviceaccount.DefaultServiceAccountsControllerOptions())
}
