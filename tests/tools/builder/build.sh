#!/usr/bin/env bash
# Builds the tools that build and check the image, once per state of this module, and prints their directory: buildkitd and buildctl (the
# builder in Docker), crane (registries), schema (main.go), and the CycloneDX schemas in schemas/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go.sh

build builder "BuildKit $(version github.com/moby/buildkit) and crane $(version github.com/google/go-containerregistry) \
(about a minute on two cores, once)"
compile -ldflags '-s -w' -o "$building/" $(go list tool)
compile -ldflags '-s -w' -o "$building/schema" .
mkdir "$building/schemas"
schemas=$(go list -m -f '{{.Dir}}' github.com/CycloneDX/cyclonedx-go)/schema
install -m 0644 "$schemas"/{bom-1.5,spdx}.schema.json "$schemas"/jsf-*.json "$building/schemas" || fail "$schemas has no schemas"
done_building
