package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

// argo is Argo CD with the settings of one argocd-cm.
type argo struct {
	vm lua.VM
}

// loadArgo makes Argo CD read its settings from the file, as if it were patched into the argocd-cm of a new installation.
func loadArgo(path string) (*argo, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	configMap := &corev1.ConfigMap{}
	if err := yaml.UnmarshalStrict(text, configMap); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// Argo CD ignores a ConfigMap without this label; an installation sets it.
	configMap.Labels = map[string]string{"app.kubernetes.io/part-of": "argocd"}
	manager := settings.NewSettingsManager(context.Background(), fake.NewClientset(configMap), configMap.Namespace)
	overrides, err := manager.GetResourceOverrides()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &argo{lua.VM{ResourceOverrides: overrides}}, nil
}

func (a *argo) health(object *unstructured.Unstructured) (ToolResult, error) {
	result, err := health.GetResourceHealth(object, lua.ResourceHealthOverrides(a.vm.ResourceOverrides))
	if err != nil {
		return ToolResult{}, err
	}
	if result == nil {
		return ToolResult{}, fmt.Errorf("no health script for %s", object.GroupVersionKind())
	}
	return ToolResult{string(result.Status), result.Message}, nil
}

func (a *argo) actions(object *unstructured.Unstructured) (map[string]string, error) {
	scripts, err := a.vm.GetResourceActionDiscovery(object)
	if err != nil {
		return nil, err
	}
	found, err := a.vm.ExecuteResourceActionDiscovery(object, scripts)
	if err != nil {
		return nil, err
	}
	actions := map[string]string{}
	for _, action := range found {
		actions[action.Name] = "enabled"
		if action.Disabled {
			actions[action.Name] = "disabled"
		}
	}
	return actions, nil
}

func (a *argo) act(object *unstructured.Unstructured, name string) (*unstructured.Unstructured, error) {
	action, err := a.vm.GetResourceAction(object, name)
	if err != nil {
		return nil, err
	}
	impacted, err := a.vm.ExecuteResourceAction(object, action.ActionLua, nil)
	if err != nil {
		return nil, err
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		return nil, fmt.Errorf("%s must patch exactly one resource", name)
	}
	return impacted[0].UnstructuredObj, nil
}

// Difference is Argo CD's comparison of a manifest with the resource in the cluster.
type Difference struct {
	OutOfSync bool            `json:"outOfSync"`
	Live      json.RawMessage `json:"live"`
	Wanted    json.RawMessage `json:"wanted"`
}

// difference compares as an Application with default settings does: with the last applied manifest, if kubectl left it in the resource's
// annotation.
func difference(manifest, live *unstructured.Unstructured) (Difference, error) {
	result, err := diff.Diff(manifest, live)
	if err != nil {
		return Difference{}, err
	}
	return Difference{result.Modified, result.NormalizedLive, result.PredictedLive}, nil
}
