// Validates a CycloneDX document against the schema of its version: `schema FILE SCHEMAS-DIRECTORY`.
//
// go.mod pins the other tools that build and check the image, and build.sh builds them.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	// Its module contains the schemas, which build.sh copies.
	_ "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func main() {
	if err := judge(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("usage: schema FILE SCHEMAS-DIRECTORY")
	}
	document, err := read(arguments[0])
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	// The schemas refer to each other by URL. They are registered under these URLs, and nothing is downloaded.
	files, _ := filepath.Glob(filepath.Join(arguments[1], "*.json"))
	for _, file := range files {
		schema, err := read(file)
		if err != nil {
			return err
		}
		if id, named := schema["$id"].(string); named {
			if err := compiler.AddResource(id, schema); err != nil {
				return err
			}
		}
	}
	schema, err := compiler.Compile(fmt.Sprintf("http://cyclonedx.org/schema/bom-%v.schema.json", document["specVersion"]))
	if err != nil {
		return fmt.Errorf("failed to load the schema of its version: %w", err)
	}
	return schema.Validate(document)
}

func read(path string) (map[string]any, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		return nil, fmt.Errorf("failed to read %s: %w", path, err)
	}
	object, _ := content.(map[string]any)
	return object, nil
}
