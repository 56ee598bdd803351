// Command gitops-health evaluates resources and scripts with libraries of other projects: kstatus and Flux with the libraries of Flux's
// controllers, Argo CD with its Lua runtime and its parser of settings. It has no rules of its own. It is not part of the operator.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const usage = `gitops-health resources ARGOCD_CM FLUX_SYNC  reads resources (YAML or JSON documents) and prints an assessment of each, one JSON line each
gitops-health actions ARGOCD_CM NAME         reads resources, and prints each after Argo CD's action of this name
gitops-health drift                          reads pairs of a manifest and its live resource, and prints Argo CD's comparison
gitops-health scripts DIRECTORY ARGOCD_CM    runs the tests in DIRECTORY (Argo CD's layout) with the scripts of ARGOCD_CM`

// Assessment is the assessment of one version of one resource.
type Assessment struct {
	KStatus ToolResult        `json:"kstatus"`
	CEL     ToolResult        `json:"cel"`
	Faults  string            `json:"faults"` // violations of Flux's rules for conditions; empty if none
	Argo    ToolResult        `json:"argo"`
	Actions map[string]string `json:"actions"` // by name, "enabled" or "disabled"
}

// ToolResult is the status of one tool, with its message.
type ToolResult struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "gitops-health: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 3 && arguments[0] == "resources":
		return assessResources(arguments[1], arguments[2])
	case len(arguments) == 3 && arguments[0] == "actions":
		return act(arguments[1], arguments[2])
	case len(arguments) == 1 && arguments[0] == "drift":
		return drift()
	case len(arguments) == 3 && arguments[0] == "scripts":
		return testScripts(arguments[1], arguments[2])
	}
	return errors.New("wrong arguments. Usage:\n" + usage)
}

func assessResources(configMap, sync string) error {
	argo, err := loadArgo(configMap)
	if err != nil {
		return err
	}
	flux, err := loadFlux(sync)
	if err != nil {
		return err
	}
	return each(func(object *unstructured.Unstructured) (any, error) {
		var assessment Assessment
		var err error
		if assessment.KStatus, err = kstatus(object); err != nil {
			return nil, err
		}
		if assessment.CEL, err = flux.evaluate(object); err != nil {
			return nil, err
		}
		assessment.Faults = faults(object)
		if assessment.Argo, err = argo.health(object); err != nil {
			return nil, err
		}
		assessment.Actions, err = argo.actions(object)
		return assessment, err
	})
}

func act(configMap, name string) error {
	argo, err := loadArgo(configMap)
	if err != nil {
		return err
	}
	return each(func(object *unstructured.Unstructured) (any, error) { return argo.act(object, name) })
}

// drift prints Argo CD's comparison of each pair.
func drift() error {
	var manifest *unstructured.Unstructured
	err := each(func(object *unstructured.Unstructured) (any, error) {
		if manifest == nil {
			manifest = object
			return nil, nil
		}
		wanted := manifest
		manifest = nil
		return difference(wanted, object)
	})
	if err == nil && manifest != nil {
		err = errors.New("the last manifest has no resource")
	}
	return err
}

// each prints a result for each resource that it reads; none for nil.
func each(evaluate func(*unstructured.Unstructured) (any, error)) error {
	in := yaml.NewYAMLOrJSONDecoder(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		object := &unstructured.Unstructured{}
		if err := in.Decode(object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("failed to read a resource: %w", err)
		}
		result, err := evaluate(object)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if result == nil {
			continue
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
}
