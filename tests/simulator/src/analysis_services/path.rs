//! The paths of Analysis Services: `/servers/<server>/models/<model>/refreshes[/<id>]`, and
//! `/servers/<server>:rw/models/<model>/sync[?operationId=<id>]`.

use percent_encoding::percent_decode_str;
use uuid::Uuid;

use crate::call::Call;

/// Suffix of a server's name that addresses its management node.
const MANAGEMENT: &str = ":rw";

/// A parsed request to Analysis Services.
pub struct Request {
    /// The server's name, `asazure://<host>/<server>`.
    pub server: Option<String>,
    /// The database's name.
    pub database: Option<String>,
    /// The operation in the path.
    pub operation: Option<Uuid>,
    /// The route of the request.
    pub(super) route: Route,
    /// The original path, for the `Location`.
    pub(super) raw: String,
    /// Whether the path names the server's management node. Refresh routes do not support the suffix: there, it is part of the name.
    pub(super) management: bool,
    /// The number of the `Location` that the client followed.
    pub(super) location: Option<u64>,
    /// Whether the path names an operation, by a valid id or not.
    pub(super) names_operation: bool,
}

/// The service's routes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// All operations of a model.
    Refreshes,
    /// One operation.
    Refresh,
    /// The syncs of a model.
    Sync,
    /// No route of the service.
    Unknown,
}

impl Request {
    /// Parses a path. The fixed segments are case-insensitive.
    #[must_use]
    pub fn parse(call: &Call) -> Self {
        let path = call.path.trim_end_matches('/');
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let is = |segment: &str, name: &str| segment.eq_ignore_ascii_case(name);
        let (server, database, rest) = match segments.as_slice() {
            [servers, server, models, database, rest @ ..] if is(servers, "servers") && is(models, "models") => {
                (Some(*server), Some(*database), rest)
            }
            _ => (None, None, &[][..]),
        };
        let query =
            |name: &str| form_urlencoded::parse(call.query.as_bytes()).find(|(key, _)| is(key, name)).map(|(_, value)| value.into_owned());
        let (route, operation) = match rest {
            [refreshes] if is(refreshes, "refreshes") => (Route::Refreshes, None),
            [refreshes, id] if is(refreshes, "refreshes") => (Route::Refresh, Some((*id).to_owned())),
            [sync] if is(sync, "sync") => (Route::Sync, query("operationId")),
            [sync, id] if is(sync, "sync") => (Route::Sync, Some((*id).to_owned())),
            _ => (Route::Unknown, None),
        };
        let decoded = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let mut name = server.map(decoded);
        let mut management = false;
        if let (Route::Sync, Some(name)) = (route, &mut name)
            && name.to_ascii_lowercase().ends_with(MANAGEMENT)
        {
            name.truncate(name.len() - MANAGEMENT.len());
            management = true;
        }
        Self {
            server: name.map(|name| format!("asazure://{}/{name}", call.host)),
            database: database.map(decoded),
            operation: operation.as_ref().and_then(|id| Uuid::try_parse(id).ok()),
            route,
            raw: path.to_owned(),
            management,
            location: query("location").and_then(|number| number.parse().ok()),
            names_operation: operation.is_some(),
        }
    }

    /// The route's name in the ledger.
    #[must_use]
    pub fn route(&self) -> &'static str {
        match self.route {
            Route::Refreshes => "refreshes",
            Route::Refresh => "refresh",
            Route::Sync => "sync",
            Route::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Request {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Request::parse(&Call {
            host: "westus.asazure.windows.net".into(),
            method: hyper::Method::GET,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: hyper::HeaderMap::new(),
            body: bytes::Bytes::new(),
            now: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn paths_are_parsed() {
        let request = parse("/Servers/my/Models/Adventure%20Works/refreshes/");
        assert_eq!(request.route(), "refreshes");
        assert_eq!(request.server.as_deref(), Some("asazure://westus.asazure.windows.net/my"));
        assert_eq!(request.database.as_deref(), Some("Adventure Works"));
        let id = Uuid::new_v4();
        let request = parse(&format!("/servers/my/models/M/refreshes/{}", id.to_string().to_uppercase()));
        assert_eq!((request.route(), request.operation), ("refresh", Some(id)));
        let request = parse(&format!("/servers/my:RW/models/M/sync?location=3&OperationId={id}"));
        assert_eq!((request.route(), request.operation, request.management, request.location), ("sync", Some(id), true, Some(3)));
        assert_eq!(request.server.as_deref(), Some("asazure://westus.asazure.windows.net/my"));
        let request = parse(&format!("/servers/my/models/M/sync/{id}"));
        assert_eq!((request.route(), request.operation, request.management), ("sync", Some(id), false));
        assert_eq!(parse("/servers/my:rw/models/M/refreshes").server.as_deref(), Some("asazure://westus.asazure.windows.net/my:rw"));
        for unknown in ["/", "/servers/my/models/M", "/servers/my/models/M/refreshes/1/2", "/x/my/y/M/refreshes"] {
            assert_eq!(parse(unknown).route(), "unknown", "{unknown}");
        }
    }
}
