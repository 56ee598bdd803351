//! The paths of Analysis Services: `/servers/<server>/models/<model>/refreshes[/<id>]`.

use percent_encoding::percent_decode_str;
use uuid::Uuid;

use crate::call::Call;

/// A request to Analysis Services, taken apart.
pub struct Request {
    /// The server's name, `asazure://<host>/<server>`.
    pub server: Option<String>,
    /// The database's name.
    pub database: Option<String>,
    /// The operation that the path names.
    pub operation: Option<Uuid>,
    /// What it is about.
    pub(super) route: Route,
    /// The path as it came, for the `Location`.
    pub(super) raw: String,
}

/// The service's routes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// All operations of a model.
    Refreshes,
    /// One of them.
    Refresh,
    /// Nothing that the service has.
    Unknown,
}

impl Request {
    /// Takes a path apart. The fixed words are compared without regard to case.
    #[must_use]
    pub fn parse(call: &Call) -> Self {
        let path = call.path.trim_end_matches('/');
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
        let (server, database, rest) = match segments.as_slice() {
            [servers, server, models, database, rest @ ..] if is(servers, "servers") && is(models, "models") => {
                (Some(*server), Some(*database), rest)
            }
            _ => (None, None, &[][..]),
        };
        let (route, operation) = match rest {
            [refreshes] if is(refreshes, "refreshes") => (Route::Refreshes, None),
            [refreshes, id] if is(refreshes, "refreshes") => (Route::Refresh, Uuid::try_parse(id).ok()),
            _ => (Route::Unknown, None),
        };
        let decoded = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        Self {
            server: server.map(|server| format!("asazure://{}/{}", call.host, decoded(server))),
            database: database.map(decoded),
            operation,
            route,
            raw: path.to_owned(),
        }
    }

    /// The route's name in the ledger.
    #[must_use]
    pub fn route(&self) -> &'static str {
        match self.route {
            Route::Refreshes => "refreshes",
            Route::Refresh => "refresh",
            Route::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Request {
        Request::parse(&Call {
            host: "westus.asazure.windows.net".into(),
            method: hyper::Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers: hyper::HeaderMap::new(),
            body: bytes::Bytes::new(),
            now: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn takes_paths_apart() {
        let request = parse("/Servers/my/Models/Adventure%20Works/refreshes/");
        assert_eq!(request.route(), "refreshes");
        assert_eq!(request.server.as_deref(), Some("asazure://westus.asazure.windows.net/my"));
        assert_eq!(request.database.as_deref(), Some("Adventure Works"));
        let id = Uuid::new_v4();
        let request = parse(&format!("/servers/my/models/M/refreshes/{}", id.to_string().to_uppercase()));
        assert_eq!((request.route(), request.operation), ("refresh", Some(id)));
        for unknown in ["/", "/servers/my/models/M", "/servers/my/models/M/refreshes/1/2", "/x/my/y/M/refreshes"] {
            assert_eq!(parse(unknown).route(), "unknown", "{unknown}");
        }
    }
}
