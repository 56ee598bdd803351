// etcd, the storage of the API server. One member, on loopback, without fsync: a test's data need not survive a power failure.
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdServer is a running etcd.
type etcdServer struct {
	url    string
	failed <-chan error
	// stop stops it and returns after it has stopped.
	stop func()
}

func startEtcd(ctx context.Context, directory string) (*etcdServer, error) {
	if assets := os.Getenv(assetsVariable); assets != "" {
		return startEtcdChild(ctx, assets, directory)
	}
	// Port 0 throughout: the listeners exist before their port numbers are used.
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config := embed.NewConfig()
	config.Dir = filepath.Join(directory, "etcd")
	config.ListenClientUrls, config.AdvertiseClientUrls = anyPort, anyPort
	config.ListenPeerUrls, config.AdvertisePeerUrls = anyPort, anyPort
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.EnableGRPCGateway = false
	// The only voter need not wait long before it elects itself.
	config.TickMs, config.ElectionMs = 20, 100
	// Every entry since the last snapshot stays in memory, and there is no follower that could request one.
	config.SnapshotCount, config.SnapshotCatchUpEntries = 1000, 100
	config.LogLevel = "warn"
	// Without a limit, each request counts as slow and is logged.
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	config.LogOutputs = []string{embed.StdErrLogOutput}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("failed to start etcd: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return nil, fmt.Errorf("etcd failed: %w", err)
	case <-ctx.Done():
		server.Close()
		return nil, ctx.Err()
	}
	return &etcdServer{url: "http://" + server.Clients[0].Addr().String(), failed: server.Err(), stop: server.Close}, nil
}

func startEtcdChild(ctx context.Context, assets, directory string) (*etcdServer, error) {
	path, err := asset(assets, "etcd")
	if err != nil {
		return nil, err
	}
	clientPort, err := freePort()
	if err != nil {
		return nil, err
	}
	peerPort, err := freePort()
	if err != nil {
		return nil, err
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", clientPort), fmt.Sprintf("http://127.0.0.1:%d", peerPort)
	// It stops on request, not with ctx: the API server still writes during its shutdown.
	childCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	failed, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		if err := runChild(childCtx, path, []string{
			"--data-dir=" + filepath.Join(directory, "etcd"),
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
			"--unsafe-no-fsync", "--log-level=warn",
		}); err != nil {
			failed <- err
		}
	}()
	stop := func() { cancel(); <-ended }
	if err := waitForOK(ctx, http.DefaultClient, client+"/health", failed); err != nil {
		stop()
		return nil, fmt.Errorf("etcd did not become ready: %w", err)
	}
	return &etcdServer{url: client, failed: failed, stop: stop}, nil
}

// waitForOK polls a page until it responds with 200, its server has failed, or ctx ends.
func waitForOK(ctx context.Context, client *http.Client, page string, failed <-chan error) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}
