//! A proxy before the API server that sees each request of one operator, and can spoil any of them.
//!
//! The operator's kubeconfig names it and trusts its certificate; tokens pass through, and watches stream. The crash
//! matrix is built on it: a clean run is [recorded](ApiProxy::seen), and then run again with a fault at the k-th of its
//! requests.

mod connection;
mod line;
mod seen;

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

pub use line::Watches;
pub use seen::Seen;

/// Before or after the API server has handled a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It never sees the request, unless it is released.
    Before,
    /// It has done what was asked, and the answer waits.
    After,
}

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It waits there until it is released, or until its connection goes: the moment to kill the operator.
    Hold(Moment),
    /// The connection is closed without an answer, before or after the request is handled.
    Drop(Moment),
    /// It is answered with this status, as the API server words it, and not handled.
    Answer(u16),
    /// It is handled, and answered with this status all the same.
    AnswerAfter(u16),
    /// It is never answered, and never handled.
    Hang,
    /// It is handled, and half of the answer's body comes; then the connection is closed.
    Truncate,
    /// A watch is told that what it asks for is too long ago: list again. It is not handled.
    Expired,
    /// A list is answered as the first list of this path was, however long ago that is.
    AsAtFirst,
}

type Pattern = Box<dyn Fn(&Seen) -> bool + Send + Sync>;

/// An order to spoil some request.
struct Order {
    pattern: Pattern,
    /// How many more fitting requests pass untouched.
    skip: AtomicUsize,
    /// How many are hit then.
    times: AtomicUsize,
    action: Action,
    /// How many were hit, and whether held ones may go on.
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    struck: usize,
    released: bool,
}

impl Order {
    fn strikes(&self, seen: &Seen) -> bool {
        let take = |counter: &AtomicUsize| counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        (self.pattern)(seen) && !take(&self.skip) && take(&self.times)
    }
}

struct Shared {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    upstream: SocketAddr,
    upstream_name: ServerName<'static>,
    seen: Mutex<Vec<Seen>>,
    orders: Mutex<Vec<Arc<Order>>>,
    line: line::Line,
    /// The first answer to the lists of each path.
    first_lists: Mutex<HashMap<String, Bytes>>,
}

impl Shared {
    /// Notes a request, and says what is to be done to it.
    fn meet(&self, mut seen: Seen) -> (usize, Option<Arc<Order>>) {
        let order = lock(&self.orders).iter().find(|order| order.strikes(&seen)).cloned();
        seen.action = order.as_ref().map(|order| order.action);
        let mut all = lock(&self.seen);
        all.push(seen);
        (all.len() - 1, order)
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = lock(&self.seen).get_mut(index) {
            change(seen);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running proxy. It ends when this is dropped.
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
    /// Starts one before `upstream`, on a thread of its own: what a test computes does not hold up the operator.
    #[must_use]
    pub fn start(upstream: &Endpoint) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("it can be asynchronous");
        let address = listener.local_addr().expect("it is bound");
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("the key is a key");
        let server = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
        let (upstream_address, upstream_name) = connection::address(&upstream.url);
        let shared = Arc::new(Shared {
            acceptor: TlsAcceptor::from(Arc::new(server.expect("the certificate fits its key"))),
            connector: connection::connector(&upstream.authority),
            upstream: upstream_address,
            upstream_name,
            seen: Mutex::default(),
            orders: Mutex::default(),
            line: line::Line::default(),
            first_lists: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
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

    /// Breaks every connection and takes no new one, or takes them again: the API server is away, or back.
    pub fn cut(&self, away: bool) {
        self.shared.line.cut(away);
    }

    /// Breaks every connection that there is; new ones are taken.
    pub fn shake(&self) {
        self.shared.line.shake();
    }

    /// How watches are passed on from now on, those that are under way among them.
    pub fn watches(&self, how: Watches) {
        self.shared.line.watches(how);
    }

    /// What a kubeconfig has to say to reach it.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Does `action` to the request that fits `pattern` after `skip` others that do, from now on.
    pub fn strike(&self, skip: usize, action: Action, pattern: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Strike {
        self.strike_times(skip, 1, action, pattern)
    }

    /// The same for `times` requests in a row.
    pub fn strike_times(
        &self,
        skip: usize,
        times: usize,
        action: Action,
        pattern: impl Fn(&Seen) -> bool + Send + Sync + 'static,
    ) -> Strike {
        let (progress, _) = watch::channel(Progress::default());
        let order = Arc::new(Order { pattern: Box::new(pattern), skip: skip.into(), times: times.into(), action, progress });
        lock(&self.shared.orders).push(Arc::clone(&order));
        Strike { order, shared: Arc::clone(&self.shared) }
    }
}

/// A fault that was ordered. It is withdrawn when this is dropped; what it holds stays held until its connection goes.
pub struct Strike {
    order: Arc<Order>,
    shared: Arc<Shared>,
}

impl Strike {
    /// Waits until a request was hit; where it is to be held, until it is. The caller sets the deadline.
    pub async fn struck(&self) {
        let mut progress = self.order.progress.subscribe();
        progress.wait_for(|progress| progress.struck > 0).await.expect("the order is there");
    }

    /// How many requests were hit.
    #[must_use]
    pub fn count(&self) -> usize {
        self.order.progress.borrow().struck
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.order.progress.send_modify(|progress| progress.released = true);
    }
}

impl Drop for Strike {
    fn drop(&mut self) {
        lock(&self.shared.orders).retain(|order| !Arc::ptr_eq(order, &self.order));
    }
}
