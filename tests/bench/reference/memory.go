// What the process remembers: the newest version of each running resource, and the identities in Secrets.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// How long an identity that was read serves a submission, and a poll: as in the operator.
	submitTTL = time.Second
	pollTTL   = time.Minute
)

// Memory has what the informer cache does not show yet. Without it, a poll shortly after a write could read the version before the write.
type Memory struct {
	mutex   sync.Mutex
	running map[types.NamespacedName]*remembered
}

type remembered struct {
	// The version that this process wrote, until the cache shows it.
	written *ModelRefresh
	// When the progress was last recorded.
	progress time.Time
}

// newest returns the newer one of the cached version and the one that this process wrote last.
func (m *Memory) newest(cached *ModelRefresh) (*ModelRefresh, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known, found := m.running[client.ObjectKeyFromObject(cached)]
	if !found || known.written == nil || known.written.UID != cached.UID {
		return cached, nil
	}
	order, err := resourceversion.CompareResourceVersion(known.written.ResourceVersion, cached.ResourceVersion)
	if err != nil {
		return nil, err
	}
	if order > 0 {
		return known.written.deepCopy(), nil
	}
	known.written = nil
	return cached, nil
}

// remember keeps a version that this process wrote.
func (m *Memory) remember(written *ModelRefresh) { m.entry(written).written = written }

// mayRecordProgress returns whether enough time has passed since the progress was recorded, and if so, counts it as recorded now.
func (m *Memory) mayRecordProgress(object *ModelRefresh) bool {
	entry := m.entry(object)
	if time.Since(entry.progress) < progressInterval {
		return false
	}
	entry.progress = time.Now()
	return true
}

func (m *Memory) forget(name types.NamespacedName) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.running, name)
}

// entry returns the entry of a resource. Only one reconciliation of a resource is in progress, so its owner may change it.
func (m *Memory) entry(object *ModelRefresh) *remembered {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	name := client.ObjectKeyFromObject(object)
	if m.running == nil {
		m.running = map[types.NamespacedName]*remembered{}
	}
	if m.running[name] == nil {
		m.running[name] = new(remembered)
	}
	return m.running[name]
}

// Identities reads the Secrets of resources, each at most once within the time that the caller accepts.
type Identities struct {
	client client.Reader
	mutex  sync.Mutex
	known  map[types.NamespacedName]*knownIdentity
}

type knownIdentity struct {
	mutex    sync.Mutex
	identity Identity
	read     time.Time
}

func (i *Identities) resolve(ctx context.Context, object *ModelRefresh, ttl time.Duration) (Identity, error) {
	name := types.NamespacedName{Namespace: object.Namespace, Name: object.Spec.Credentials.ServicePrincipalRef.Name}
	i.mutex.Lock()
	known, found := i.known[name]
	if !found {
		known = new(knownIdentity)
		i.known[name] = known
	}
	i.mutex.Unlock()
	known.mutex.Lock()
	defer known.mutex.Unlock()
	if time.Since(known.read) < ttl {
		return known.identity, nil
	}
	secret := new(corev1.Secret)
	if err := i.client.Get(ctx, name, secret); err != nil {
		return Identity{}, err
	}
	value := func(key string) string { return string(secret.Data[key]) }
	known.identity = Identity{value("tenantId"), value("clientId"), value("clientSecret")}
	if known.identity.tenant == "" || known.identity.client == "" || known.identity.secret == "" {
		return Identity{}, fmt.Errorf("Secret %s needs the keys tenantId, clientId and clientSecret", name)
	}
	known.read = time.Now()
	return known.identity, nil
}
