#!/usr/bin/env bash
# Writes the module file of a Kubernetes version, such as 1.34.4, for `KUBERNETES_VERSION=1.34 build.sh`. Requires the network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOTOOLCHAIN=local GOFLAGS='' GOWORK=off

kubernetes=${1:?usage: versions/add.sh 1.X.Y}
module=k8s.io/kubernetes@v$kubernetes
of_kubernetes=$(go mod download -json "$module" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
etcd=$(sed -n 's#.*go.etcd.io/etcd/server/v3 v\([^ ]*\).*#\1#p' "$of_kubernetes")
# The staging modules are published under this number, but k8s.io/kubernetes refers to them as directories.
staging=0.${kubernetes#*.}
minor=${kubernetes%.*}
# The files replace those of the version when they are complete.
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
{
  sed -n '1,/^require (/p' go.mod
  sed -n '/^require (/,/^)/p' go.mod | grep '^\s' | grep -v '// indirect' | sed -E \
    -e "s#(go.etcd.io/etcd/[a-z]+/v3) v.*#\1 v$etcd#" \
    -e "s#(k8s.io/kubernetes) v.*#\1 v$kubernetes#" \
    -e "s#(k8s.io/(api|apimachinery|client-go|component-base)) v.*#\1 v$staging#"
  printf ')\n\nreplace (\n'
  sed -nE 's#^\s*(replace )?(k8s.io/\S+) => ./staging.*#\2#p' "$of_kubernetes" | sort | sed "s#.*#\t& => & v$staging#"
  echo ')'
} > "$new/$minor.mod"
go mod tidy -modfile="$new/$minor.mod"
mv "$new/$minor.mod" "$new/$minor.sum" versions/
