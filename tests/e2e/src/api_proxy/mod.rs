//! A proxy in front of the API server that records each request of one operator and can inject a fault into any of them.
//!
//! The operator's kubeconfig names it and trusts its certificate. Tokens pass through, and watches are streamed. The fault matrix uses
//! it: it [records](ApiProxy::requests) a run without faults, and repeats it with a fault at the k-th request.

mod connection;
mod connection_state;
mod recorded_request;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::kubeconfig::Endpoint;

pub use connection_state::WatchDelivery;
pub use recorded_request::RecordedRequest;

/// Before or after the API server handles a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The API server does not receive the request unless it is released.
    Before,
    /// The API server has handled the request, and the response is held.
    After,
}

/// The fault of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Holds the request until it is released or its connection ends. Tests kill the operator at this point.
    Hold(When),
    /// Closes the connection without a response, before or after the request is handled.
    Drop(When),
    /// Responds with this status in the API server's format; not handled.
    Respond(u16),
    /// Responds with this status after the request is handled.
    RespondAfter(u16),
    /// Never responds; not handled.
    Hang,
    /// Handles the request and closes the connection after half of the response's body.
    Truncate,
    /// Responds to a watch that its resource version has expired, so that the client must list again. Not handled.
    Expired,
    /// Responds to a list with the first response for this path, which may be outdated.
    FirstListResponse,
}

type Pattern = Box<dyn Fn(&RecordedRequest) -> bool + Send + Sync>;

/// A fault for matching requests.
struct FaultRule {
    pattern: Pattern,
    /// Number of matching requests to skip.
    skip: AtomicUsize,
    /// Number of requests to affect after that.
    times: AtomicUsize,
    action: Action,
    /// Number of affected requests, and whether held ones may continue.
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    hits: usize,
    released: bool,
}

impl FaultRule {
    fn applies(&self, recorded: &RecordedRequest) -> bool {
        let take = |counter: &AtomicUsize| counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        (self.pattern)(recorded) && !take(&self.skip) && take(&self.times)
    }
}

struct Shared {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    upstream: SocketAddr,
    upstream_name: ServerName<'static>,
    requests: Mutex<Vec<RecordedRequest>>,
    /// Number of earlier requests that were discarded.
    discarded: AtomicUsize,
    rules: Mutex<Vec<Arc<FaultRule>>>,
    connections: connection_state::ConnectionState,
    /// The first response to the lists of each path.
    first_lists: Mutex<HashMap<String, Bytes>>,
}

impl Shared {
    /// Records a request and returns the fault that applies to it.
    fn record(&self, mut recorded: RecordedRequest) -> (usize, Option<Arc<FaultRule>>) {
        let rule = lock(&self.rules).iter().find(|rule| rule.applies(&recorded)).cloned();
        recorded.action = rule.as_ref().map(|rule| rule.action);
        let mut all = lock(&self.requests);
        all.push(recorded);
        (self.discarded.load(Ordering::SeqCst) + all.len() - 1, rule)
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut RecordedRequest)) {
        let mut all = lock(&self.requests);
        let recorded = index.checked_sub(self.discarded.load(Ordering::SeqCst)).and_then(|index| all.get_mut(index));
        if let Some(recorded) = recorded {
            change(recorded);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running proxy. It ends when dropped.
pub struct ApiProxy {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    // Its thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl fmt::Debug for ApiProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiProxy").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl ApiProxy {
    /// Starts a proxy in front of `upstream`, on its own thread: computations of a test do not delay the operator.
    #[must_use]
    pub fn start(upstream: &Endpoint) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("the listener supports non-blocking mode");
        let address = listener.local_addr().expect("the listener is bound");
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("the certificate is created");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("the key is valid");
        let server = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
        let (upstream_address, upstream_name) = connection::address(&upstream.url);
        let shared = Arc::new(Shared {
            acceptor: TlsAcceptor::from(Arc::new(server.expect("the certificate matches its key"))),
            connector: connection::connector(&upstream.authority),
            upstream: upstream_address,
            upstream_name,
            requests: Mutex::default(),
            discarded: AtomicUsize::default(),
            rules: Mutex::default(),
            connections: connection_state::ConnectionState::default(),
            first_lists: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("it listens");
                tokio::select! {
                    () = connection::accept(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        let endpoint = Endpoint { url: format!("https://{address}"), authority: connection::base64(cert.pem().as_bytes()) };
        Self { endpoint, shared, _stop: stop }
    }

    /// Accepts connections, or breaks all of them and accepts no new one: simulates an unavailable API server.
    pub fn set_available(&self, available: bool) {
        self.shared.connections.set_available(available);
    }

    /// Breaks every current connection; new ones are accepted.
    pub fn reset_connections(&self) {
        self.shared.connections.reset_connections();
    }

    /// Sets the delivery of watch events, also for current watches.
    pub fn set_watch_delivery(&self, delivery: WatchDelivery) {
        self.shared.connections.set_watch_delivery(delivery);
    }

    /// The endpoint for a kubeconfig.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.shared.requests).clone()
    }

    /// Discards the requests so far, and the first responses to lists, so that the memory of a long run stays small.
    pub fn discard_requests(&self) {
        let mut all = lock(&self.shared.requests);
        self.shared.discarded.fetch_add(all.len(), Ordering::SeqCst);
        all.clear();
        lock(&self.shared.first_lists).clear();
    }

    /// From now on, applies `action` to the request that matches `pattern` after `skip` other matches.
    pub fn inject(&self, skip: usize, action: Action, pattern: impl Fn(&RecordedRequest) -> bool + Send + Sync + 'static) -> InjectedFault {
        self.inject_times(skip, 1, action, pattern)
    }

    /// The same for `times` consecutive requests.
    pub fn inject_times(
        &self,
        skip: usize,
        times: usize,
        action: Action,
        pattern: impl Fn(&RecordedRequest) -> bool + Send + Sync + 'static,
    ) -> InjectedFault {
        let (progress, _) = watch::channel(Progress::default());
        let rule = Arc::new(FaultRule { pattern: Box::new(pattern), skip: skip.into(), times: times.into(), action, progress });
        lock(&self.shared.rules).push(Arc::clone(&rule));
        InjectedFault { rule, shared: Arc::clone(&self.shared) }
    }
}

/// A fault of a rule. It is withdrawn when dropped; held requests stay held until their connection ends.
pub struct InjectedFault {
    rule: Arc<FaultRule>,
    shared: Arc<Shared>,
}

impl InjectedFault {
    /// Waits until a request was affected or is held. The caller sets the deadline.
    pub async fn wait_until_hit(&self) {
        let mut progress = self.rule.progress.subscribe();
        progress.wait_for(|progress| progress.hits > 0).await.expect("the rule still exists");
    }

    /// Number of affected requests.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.rule.progress.borrow().hits
    }

    /// Releases the held requests.
    pub fn release(&self) {
        self.rule.progress.send_modify(|progress| progress.released = true);
    }
}

impl Drop for InjectedFault {
    fn drop(&mut self) {
        lock(&self.shared.rules).retain(|rule| !Arc::ptr_eq(rule, &self.rule));
    }
}
