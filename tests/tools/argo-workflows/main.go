// Command argo-workflows checks a WorkflowTemplate as `argo lint` does, and evaluates the conditions of its resource templates as Argo's executor
// does, with the libraries of Argo Workflows. It is not part of the operator.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	wfv1 "github.com/argoproj/argo-workflows/v4/pkg/apis/workflow/v1alpha1"
	"github.com/argoproj/argo-workflows/v4/util/logging"
	"github.com/argoproj/argo-workflows/v4/util/template"
	"github.com/argoproj/argo-workflows/v4/workflow/common"
	"github.com/argoproj/argo-workflows/v4/workflow/validate"
	"github.com/tidwall/gjson"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/gengo/v2/namer"
	"k8s.io/gengo/v2/types"
	"sigs.k8s.io/yaml"
)

const usage = `argo-workflows lint FILE                   checks the WorkflowTemplate in FILE
argo-workflows manifest FILE TEMPLATE UID  prints the manifest of a resource template, for the workflow with this uid
argo-workflows wait FILE TEMPLATE UID      reads versions of the resource, one JSON line each, and prints the result of the template for each`

// Result is what the executor does at one version of the resource.
type Result struct {
	Result   string `json:"result"`   // Waiting, Succeeded or Failed
	Path     string `json:"path"`     // the path at which the executor reads the resource
	Selector string `json:"selector"` // the failure condition that is true
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "argo-workflows: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	ctx := logging.WithLogger(context.Background(), logging.NewSlogLogger(logging.Error, logging.Text))
	switch {
	case len(arguments) == 2 && arguments[0] == "lint":
		_, err := load(ctx, arguments[1])
		return err
	case len(arguments) == 4 && (arguments[0] == "manifest" || arguments[0] == "wait"):
		resource, err := resourceTemplate(ctx, arguments[1], arguments[2], arguments[3])
		if err != nil {
			return err
		}
		if arguments[0] == "manifest" {
			manifest, err := yaml.YAMLToJSONStrict([]byte(resource.Manifest))
			fmt.Println(string(manifest))
			return err
		}
		return wait(resource)
	}
	return errors.New("wrong arguments. Usage:\n" + usage)
}

// load reads the WorkflowTemplate strictly, and validates it.
func load(ctx context.Context, path string) (*wfv1.WorkflowTemplate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed := common.ParseObjects(ctx, text, true)
	if len(parsed) != 1 {
		return nil, fmt.Errorf("%s has %d objects of Argo Workflows, not one", path, len(parsed))
	}
	if parsed[0].Err != nil {
		return nil, fmt.Errorf("%s: %w", path, parsed[0].Err)
	}
	found, ok := parsed[0].Object.(*wfv1.WorkflowTemplate)
	if !ok {
		return nil, fmt.Errorf("%s has a %T, not a WorkflowTemplate", path, parsed[0].Object)
	}
	if err := validate.ValidateWorkflowTemplate(ctx, nil, nil, found, nil, validate.ValidateOpts{Lint: true}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return found, nil
}

// resourceTemplate returns a resource template with its variables replaced.
func resourceTemplate(ctx context.Context, path, name, uid string) (*wfv1.ResourceTemplate, error) {
	workflow, err := load(ctx, path)
	if err != nil {
		return nil, err
	}
	found := workflow.GetTemplateByName(name)
	if found == nil || found.Resource == nil {
		return nil, fmt.Errorf("%s has no resource template %s", path, name)
	}
	text, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	replaced, err := template.Replace(ctx, string(text), map[string]string{common.GlobalVarWorkflowUID: uid}, false)
	if err != nil {
		return nil, err
	}
	var resolved wfv1.Template
	if err := json.Unmarshal([]byte(replaced), &resolved); err != nil {
		return nil, err
	}
	return resolved.Resource, nil
}

// fields lets selectors of labels select fields of a resource.
type fields []byte

// Has returns whether the field exists.
func (f fields) Has(path string) bool { return gjson.GetBytes(f, path).Exists() }

// Get returns the field as text.
func (f fields) Get(path string) string { return gjson.GetBytes(f, path).String() }

// Lookup returns both.
func (f fields) Lookup(path string) (string, bool) {
	found := gjson.GetBytes(f, path)
	return found.String(), found.Exists()
}

// wait prints a result for each version. Of a success condition, every requirement must match; of a failure condition, one is enough, and
// it is checked first (matchConditions in workflow/executor/resource.go).
func wait(resource *wfv1.ResourceTemplate) error {
	success, err := labels.ParseToRequirements(resource.SuccessCondition)
	if err != nil {
		return fmt.Errorf("successCondition: %w", err)
	}
	failure, err := labels.ParseToRequirements(resource.FailureCondition)
	if err != nil {
		return fmt.Errorf("failureCondition: %w", err)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var version json.RawMessage
		if err := in.Decode(&version); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		result := Result{Result: "Succeeded", Path: path(version)}
		for _, requirement := range success {
			if !requirement.Matches(fields(version)) {
				result.Result = "Waiting"
			}
		}
		for _, requirement := range failure {
			if requirement.Matches(fields(version)) {
				result.Result, result.Selector = "Failed", requirement.String()
				break
			}
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
}

// path returns the path that the executor infers from the kind of the resource (inferObjectSelfLink).
func path(version []byte) string {
	field := func(path string) string { return fields(version).Get(path) }
	kind := &types.Type{Name: types.Name{Name: field("kind")}}
	plural := namer.NewAllLowercasePluralNamer(nil).Name(kind)
	return fmt.Sprintf("apis/%s/namespaces/%s/%s/%s", field("apiVersion"), field("metadata.namespace"), plural, field("metadata.name"))
}
