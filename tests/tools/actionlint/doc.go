// Package actionlint pins the linter of the workflows. As a separate module, its dependencies do not affect the tools of tests/tools/third-party.
package actionlint
