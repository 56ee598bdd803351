package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The annotations that contain the time at which an action ran.
var requestedAt = []string{"tabular-operator.dev/run-requested-at", "tabular-operator.dev/cancel-requested-at"}

// healthTests is a health_test.yaml of Argo CD.
type healthTests struct {
	Tests []struct {
		InputPath    string              `json:"inputPath"`
		HealthStatus health.HealthStatus `json:"healthStatus"`
	} `json:"tests"`
}

// actionTests is an action_test.yaml of Argo CD.
type actionTests struct {
	DiscoveryTests []struct {
		InputPath string                    `json:"inputPath"`
		Result    []v1alpha1.ResourceAction `json:"result"`
	} `json:"discoveryTests"`
	ActionTests []struct {
		Action             string `json:"action"`
		InputPath          string `json:"inputPath"`
		ExpectedOutputPath string `json:"expectedOutputPath"`
	} `json:"actionTests"`
}

// testScripts runs every test in Argo CD's layout below a directory, as Argo CD's own tests do; the inputs are next to the tests. The
// scripts are those of the ConfigMap, run as in Argo CD, with fewer libraries than in its own tests.
func testScripts(directory, configMap string) error {
	argo, err := loadArgo(configMap)
	if err != nil {
		return err
	}
	count, failed := 0, 0
	report := func(name string, err error) {
		count++
		if err == nil {
			fmt.Println("ok", name)
			return
		}
		failed++
		fmt.Printf("FAILED %s: %v\n", name, err)
	}
	err = filepath.WalkDir(directory, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Base(path) {
		case "health_test.yaml":
			return argo.healthTests(path, report)
		case "action_test.yaml":
			return argo.actionTests(path, report)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d passed, %d failed\n", count-failed, failed)
	if failed > 0 || count == 0 {
		return errors.New("not every test passed")
	}
	return nil
}

func (a *argo) healthTests(path string, report func(string, error)) error {
	var tests healthTests
	if err := read(path, &tests); err != nil {
		return err
	}
	for _, test := range tests.Tests {
		input := filepath.Join(filepath.Dir(path), test.InputPath)
		report(input, func() error {
			object, err := readObject(input)
			if err != nil {
				return err
			}
			found, err := a.health(object)
			wanted := ToolResult{string(test.HealthStatus.Status), test.HealthStatus.Message}
			if err == nil && found != wanted {
				err = fmt.Errorf("got %+v, want %+v", found, wanted)
			}
			return err
		}())
	}
	return nil
}

func (a *argo) actionTests(path string, report func(string, error)) error {
	var tests actionTests
	if err := read(path, &tests); err != nil {
		return err
	}
	beside := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	for _, test := range tests.DiscoveryTests {
		report("discovery "+beside(test.InputPath), a.discovers(beside(test.InputPath), test.Result))
	}
	for _, test := range tests.ActionTests {
		report(test.Action+" "+beside(test.InputPath), a.does(test.Action, beside(test.InputPath), beside(test.ExpectedOutputPath)))
	}
	return nil
}

func (a *argo) discovers(input string, wanted []v1alpha1.ResourceAction) error {
	object, err := readObject(input)
	if err != nil {
		return err
	}
	scripts, err := a.vm.GetResourceActionDiscovery(object)
	if err != nil {
		return err
	}
	found, err := a.vm.ExecuteResourceActionDiscovery(object, scripts)
	if err != nil {
		return err
	}
	for _, action := range found {
		same := func(other v1alpha1.ResourceAction) bool { return reflect.DeepEqual(other, action) }
		if !slices.ContainsFunc(wanted, same) {
			return fmt.Errorf("unexpected action %+v", action)
		}
	}
	if len(found) != len(wanted) {
		return fmt.Errorf("got %d actions, want %d", len(found), len(wanted))
	}
	return nil
}

func (a *argo) does(action, input, output string) error {
	object, err := readObject(input)
	if err != nil {
		return err
	}
	wanted, err := readObject(output)
	if err != nil {
		return err
	}
	before := time.Now().UTC().Truncate(time.Second)
	found, err := a.act(object, action)
	if err != nil {
		return err
	}
	for _, name := range requestedAt {
		value, ok := found.GetAnnotations()[name]
		if !ok {
			continue
		}
		at, err := time.Parse(time.RFC3339, value)
		if err != nil || at.Before(before) || at.After(time.Now()) {
			return fmt.Errorf("%q is not the time of the action", value)
		}
	}
	result, err := diff.Diff(wanted, found, diff.WithNormalizer(timeless{}))
	if err != nil {
		return err
	}
	if result.Modified {
		return fmt.Errorf("got %s, want %s", result.PredictedLive, result.NormalizedLive)
	}
	return nil
}

// timeless excludes the time of the action from a comparison.
type timeless struct{}

// Normalize replaces the value of each such annotation by a constant.
func (timeless) Normalize(object *unstructured.Unstructured) error {
	if object == nil {
		return nil
	}
	annotations := object.GetAnnotations()
	for _, name := range requestedAt {
		if _, ok := annotations[name]; ok {
			annotations[name] = "2026-11-21T06:00:00Z"
		}
	}
	if annotations != nil {
		object.SetAnnotations(annotations)
	}
	return nil
}

func readObject(path string) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	return object, read(path, &object.Object)
}

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
