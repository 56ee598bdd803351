// The local control plane: one program that provides a Kubernetes API without nodes, for tests and the demo. This file is its command
// line.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	etcdversion "go.etcd.io/etcd/api/v3/version"
	"k8s.io/component-base/version"
)

const about = `A Kubernetes API on this machine, for tests and experiments: a real etcd, a real
kube-apiserver, and the controllers of the kube-controller-manager that work without
nodes (namespaces, garbage collection, ServiceAccounts, root CA publishing, aggregated
ClusterRoles). It runs no pods.

It listens only on loopback, on free ports, with its own certificates. RBAC,
ServiceAccount tokens, admission, CRDs, watches, namespace deletion and owner
references work as in any cluster.`

func main() {
	// A link with the name kubectl is for tools that need kubectl on PATH.
	if filepath.Base(os.Args[0]) == "kubectl" {
		kubectl(os.Args[1:])
		return
	}
	// kubectl parses its complete command line: cobra must not see its flags.
	if len(os.Args) > 1 && os.Args[1] == "kubectl" {
		kubectl(os.Args[2:])
		return
	}
	// Otherwise, Kubernetes' packages add their flags to every command of the process.
	pflag.CommandLine = pflag.NewFlagSet("control-plane", pflag.ContinueOnError)
	root := &cobra.Command{
		Use:   "control-plane",
		Short: "A Kubernetes API on this machine, without nodes",
		Long:  about,
		Example: `  control-plane start --directory /tmp/cp --cleanup
  control-plane kubectl --kubeconfig /tmp/cp/kubeconfig get namespaces`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(startCommand(), kubectlHelp(), versionCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintf(complaints, "control-plane: %v\n", err)
		os.Exit(1)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Kubernetes, etcd and Go",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Kubernetes %s, etcd v%s, %s %s/%s\n",
				version.Get().GitVersion, etcdversion.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
