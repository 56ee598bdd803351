// Package actionlint pins the linter of the workflows, in a module of its own: so its libraries change no version of a tool of tests/tools.
package actionlint
