//! The requests of one watch. Pages of its lists are bounded in bytes, however large the resources are. The library requests pages with a
//! fixed number of resources, and holds each page in memory both encoded and decoded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::http::request::Parts;
use hyper::{Request, Response, Uri};
use kube::Client;
use kube::client::Body;

/// The maximum size of a page in bytes, unless it contains a single resource.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// The intended size of a page in bytes, so that the next one is rarely too large.
const TARGET_PAGE_BYTES: usize = MAX_PAGE_BYTES / 4 * 3;
/// The number of resources in the first page, and the maximum of any page.
const FIRST_PAGE_ITEMS: usize = 16;
const MAX_PAGE_ITEMS: usize = 500;

/// A client for one watch, which sends through `client`. It calls `on_watch` when the API server starts to send changes.
pub(super) fn client(client: Client, on_watch: impl Fn() + Send + Sync + 'static) -> Client {
    let pages = Arc::new(Pages { limit: AtomicUsize::new(FIRST_PAGE_ITEMS), on_watch });
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request| {
        let (client, pages) = (client.clone(), Arc::clone(&pages));
        async move { pages.send(&client, request).await }.boxed()
    });
    Client::new(service, namespace)
}

struct Pages<F> {
    /// The number of resources in the next page.
    limit: AtomicUsize,
    on_watch: F,
}

impl<F: Fn()> Pages<F> {
    async fn send(&self, client: &Client, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        if parameters(request.uri()).any(|(key, _)| key == "limit") {
            return self.page(client, request.into_parts().0).await;
        }
        let response = client.send(request).await?;
        if response.status().is_success() {
            (self.on_watch)();
        }
        Ok(response)
    }

    /// Reads one page, and retries with fewer resources if it is too large.
    async fn page(&self, client: &Client, request: Parts) -> Result<Response<Body>, kube::Error> {
        loop {
            let limit = self.limit.load(Ordering::Relaxed);
            let mut limited = Request::new(Body::empty());
            *limited.uri_mut() = with_limit(&request.uri, limit)?;
            limited.headers_mut().clone_from(&request.headers);
            let (head, body) = client.send(limited).await?.into_parts();
            if !head.status.is_success() {
                return Ok(Response::from_parts(head, body));
            }
            if let Some(page) = read(body, if limit > 1 { MAX_PAGE_BYTES } else { usize::MAX }).await? {
                let next = limit.saturating_mul(TARGET_PAGE_BYTES) / page.len().max(1);
                self.limit.store(next.clamp(1, MAX_PAGE_ITEMS.min(limit.saturating_mul(4))), Ordering::Relaxed);
                return Ok(Response::from_parts(head, Body::from(page)));
            }
            self.limit.store((limit / 4).max(1), Ordering::Relaxed);
        }
    }
}

/// The bytes of a body. `None` if there are more than `most`, the rest of which is not read.
async fn read(mut body: Body, most: usize) -> Result<Option<Bytes>, kube::Error> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes.freeze()))
}

fn parameters(uri: &Uri) -> impl Iterator<Item = (&str, &str)> {
    uri.query().unwrap_or_default().split('&').filter_map(|parameter| parameter.split_once('='))
}

fn with_limit(uri: &Uri, limit: usize) -> Result<Uri, kube::Error> {
    let mut limited = format!("{}?limit={limit}", uri.path());
    for (key, value) in parameters(uri).filter(|(key, _)| *key != "limit") {
        limited.extend(["&", key, "=", value]);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(limited.parse().map_err(invalid)?);
    Uri::from_parts(parts).map_err(invalid)
}

fn invalid(error: impl Into<hyper::http::Error>) -> kube::Error {
    kube::Error::HttpError(error.into())
}
