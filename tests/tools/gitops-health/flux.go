package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"github.com/fluxcd/pkg/runtime/conditions/check"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func kstatus(object *unstructured.Unstructured) (ToolResult, error) {
	result, err := status.Compute(object)
	if err != nil {
		return ToolResult{}, fmt.Errorf("kstatus: %w", err)
	}
	return ToolResult{result.Status.String(), result.Message}, nil
}

// flux contains the expressions of a Kustomization's health checks, by kind.
type flux map[schema.GroupVersionKind]*cel.StatusEvaluator

// loadFlux reads the expressions of all Kustomizations in a file.
func loadFlux(path string) (flux, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	loaded := flux{}
	documents := yaml.NewYAMLOrJSONDecoder(file, 1<<20)
	for {
		var kustomization struct {
			Spec struct {
				HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
			} `json:"spec"`
		}
		if err := documents.Decode(&kustomization); errors.Is(err, io.EOF) {
			return loaded, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, check := range kustomization.Spec.HealthCheckExprs {
			evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, check.Kind, err)
			}
			loaded[schema.FromAPIVersionAndKind(check.APIVersion, check.Kind)] = evaluator
		}
	}
}

func (f flux) evaluate(object *unstructured.Unstructured) (ToolResult, error) {
	evaluator, ok := f[object.GroupVersionKind()]
	if !ok {
		return ToolResult{}, fmt.Errorf("no health check for %s", object.GroupVersionKind())
	}
	result, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return ToolResult{}, fmt.Errorf("health check: %w", err)
	}
	return ToolResult{result.Status.String(), result.Message}, nil
}

// withConditions provides Flux's checks with the conditions of a resource of an unknown type.
type withConditions struct {
	*unstructured.Unstructured
}

// GetConditions returns the conditions as Kubernetes' own type. If they do not match it, it returns none, and the check of Ready fails.
func (w withConditions) GetConditions() []metav1.Condition {
	found, _, _ := unstructured.NestedSlice(w.Object, "status", "conditions")
	text, err := json.Marshal(found)
	if err != nil {
		return nil
	}
	var conditions []metav1.Condition
	if err := json.Unmarshal(text, &conditions); err != nil {
		return nil
	}
	return conditions
}

// faults checks the conditions by Flux's rules for work in progress and, if none is in progress, also by those for settled resources.
// Before the operator's first observation there are no conditions to check.
func faults(object *unstructured.Unstructured) string {
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	if observed < 0 {
		return ""
	}
	conditions := withConditions{object}
	checkers := []*check.Checker{check.NewInProgressChecker(nil)}
	inProgress := observed != object.GetGeneration()
	for _, condition := range conditions.GetConditions() {
		inProgress = inProgress || condition.Type == "Reconciling" && condition.Status == metav1.ConditionTrue
	}
	if !inProgress {
		negative := &check.Conditions{NegativePolarity: []string{"Stalled", "Reconciling"}}
		checkers = append(checkers, check.NewChecker(nil, negative))
	}
	text := ""
	for _, checker := range checkers {
		checker.DisableFetch = true
		fail, warn := checker.Check(context.Background(), conditions)
		if err := errors.Join(fail, warn); err != nil {
			text += err.Error()
		}
	}
	return text
}
