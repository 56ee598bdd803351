// Certificates and tokens that establish trust between the API server and its clients only.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// The name of the kubeconfig's context and cluster.
const contextName = "control-plane"

// serviceClusterIP is the address that a Service named kubernetes would have: the first of serviceRange.
const (
	serviceRange     = "10.0.0.0/24"
	serviceClusterIP = "10.0.0.1"
)

// credentials are the files of one directory, and its two tokens.
type credentials struct {
	authority         string // the certificate of the authority
	certificate, key  string // of the API server
	serviceAccountKey string
	tokenFile         string
	adminToken        string
	controllerToken   string
}

// ensureCredentials creates the credentials of a directory, or reads those of an earlier run, so that clients keep working across a
// restart.
func ensureCredentials(directory string) (*credentials, error) {
	at := func(name string) string { return filepath.Join(directory, name) }
	made := &credentials{
		authority: at("ca.crt"), certificate: at("apiserver.crt"), key: at("apiserver.key"),
		serviceAccountKey: at("service-accounts.key"), tokenFile: at("tokens.csv"),
	}
	// The tokens are written last: if they exist, the other files exist too.
	lines, err := os.ReadFile(made.tokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return nil, err
		}
		if err := made.generate(); err != nil {
			return nil, fmt.Errorf("failed to create certificates: %w", err)
		}
		lines, err = os.ReadFile(made.tokenFile)
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(lines)) {
		token, rest, _ := strings.Cut(line, ",")
		if strings.HasPrefix(rest, "admin,") {
			made.adminToken = token
		} else {
			made.controllerToken = token
		}
	}
	return made, nil
}

func (c *credentials) generate() error {
	now := time.Now()
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "control-plane-ca"},
		// Valid since an hour ago, for clients whose clock is slightly behind.
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(serviceClusterIP)},
		DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local"},
	}
	// The authority's key is never written: no further certificate is needed.
	authorityCertificate, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return err
	}
	serverCertificate, err := x509.CreateCertificate(rand.Reader, server, authority, serverKey.Public(), authorityKey)
	if err != nil {
		return err
	}
	// RSA, because identity providers that exchange a ServiceAccount's token expect RS256.
	serviceAccountKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	tokens := fmt.Sprintf("%s,admin,admin,system:masters\n%s,system:kube-controller-manager,controllers,system:masters\n",
		randomToken(), randomToken())
	return errors.Join(
		writePEM(c.authority, "CERTIFICATE", authorityCertificate),
		writePEM(c.certificate, "CERTIFICATE", serverCertificate),
		writeKey(c.key, serverKey),
		writeKey(c.serviceAccountKey, serviceAccountKey),
		os.WriteFile(c.tokenFile, []byte(tokens), 0o600),
	)
}

func writeKey(path string, key crypto.PrivateKey) error {
	bytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", bytes)
}

func writePEM(path, kind string, bytes []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600)
}

func randomToken() string {
	bytes := make([]byte, 32)
	rand.Read(bytes) // never fails
	return hex.EncodeToString(bytes)
}

// writeKubeconfig writes the administrator's kubeconfig, with all data embedded so that the file can be copied.
func (c *credentials) writeKubeconfig(path, server string) error {
	authority, err := os.ReadFile(c.authority)
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[contextName] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: c.adminToken}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: "admin"}
	config.CurrentContext = contextName
	return clientcmd.WriteToFile(*config, path)
}
