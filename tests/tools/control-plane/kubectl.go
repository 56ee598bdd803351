// kubectl as a subcommand, so that tests and the demo do not depend on an installed kubectl of another version.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
)

// kubectl runs kubectl with these arguments. On failure it exits the process.
func kubectl(arguments []string) {
	if assets := os.Getenv(assetsVariable); assets != "" {
		if path := filepath.Join(assets, "kubectl"); executable(path) {
			err := syscall.Exec(path, append([]string{"kubectl"}, arguments...), os.Environ())
			fmt.Fprintf(os.Stderr, "control-plane: failed to run %s: %v\n", path, err)
			os.Exit(1)
		}
	}
	// kubectl reads os.Args itself, to find plugins.
	os.Args = append([]string{"kubectl"}, arguments...)
	if err := cli.RunNoErrOutput(kubectlcmd.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

// kubectlHelp lists the subcommand in this program's help. It never runs: main checks for kubectl first.
func kubectlHelp() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl ...",
		Short:              "kubectl, with all of its own arguments (also under a link named kubectl)",
		DisableFlagParsing: true,
		Run:                func(*cobra.Command, []string) {},
	}
}
