// Says whether a CycloneDX document holds to the schema of its version: `schema FILE SCHEMAS-DIRECTORY`.
//
// go.mod pins the other tools that the image is assembled and judged by, and build.sh builds them.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	// Its module has the schemas, which build.sh takes from there.
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
	// They refer to each other by their names on the web; here they are found under these names, and nothing is fetched.
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
		return fmt.Errorf("no schema of its version can be used: %w", err)
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
