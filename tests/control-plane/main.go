// The local control plane: one program that is a Kubernetes API without nodes, for tests and the demo.
// This file is its command line.
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

const about = `A Kubernetes API on this machine, for tests and for trying things: a real etcd, a real
kube-apiserver, and those of the kube-controller-manager's controllers that mean
something without nodes (namespaces, garbage collection, ServiceAccounts, root CA
publishing, aggregated ClusterRoles). Nothing runs pods.

It listens on loopback only, on free ports, with certificates of its own. RBAC,
ServiceAccount tokens, admission, CRDs, watches, namespace deletion and owner
references work as in any cluster.`

func main() {
	// A link with the name kubectl serves those tools that look for one on PATH.
	if filepath.Base(os.Args[0]) == "kubectl" {
		kubectl(os.Args[1:])
		return
	}
	// kubectl parses its own command line, all of it: cobra here must not see a flag of it.
	if len(os.Args) > 1 && os.Args[1] == "kubectl" {
		kubectl(os.Args[2:])
		return
	}
	// Kubernetes' packages add their flags to every command of the process otherwise.
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
		Short: "Say which Kubernetes, etcd and Go this is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Kubernetes %s, etcd v%s, %s %s/%s\n",
				version.Get().GitVersion, etcdversion.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
