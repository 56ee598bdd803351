//! The paths of Power BI: `/v1.0/myorg/groups[/<group>/datasets[/<dataset>/…]]`.

use uuid::Uuid;

use crate::call::Call;

/// A parsed request to Power BI.
pub struct Request {
    /// The workspace in the path.
    pub group: Option<Uuid>,
    /// The semantic model in the path.
    pub dataset: Option<Uuid>,
    /// The operation in the path.
    pub operation: Option<Uuid>,
    /// The route of the request.
    pub(super) route: Route,
    /// The original path, for the `Location`.
    pub(super) raw: String,
}

/// The service's routes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// All workspaces.
    Groups,
    /// The semantic models of a workspace.
    Datasets,
    /// One semantic model.
    Dataset,
    /// All refreshes of a semantic model.
    Refreshes,
    /// One refresh.
    Refresh,
    /// The sync of its replicas.
    Sync,
    /// The sync status of the replicas.
    SyncStatus,
    /// No route of the service.
    Unknown,
}

impl Request {
    /// Parses a path. The fixed segments are case-insensitive.
    #[must_use]
    pub fn parse(call: &Call) -> Self {
        let path = call.path.trim_end_matches('/');
        let segments: Vec<_> = path.split('/').skip(1).map(str::to_ascii_lowercase).collect();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let (route, group, dataset, operation) = match segments.as_slice() {
            ["v1.0", "myorg", "groups"] => (Route::Groups, None, None, None),
            ["v1.0", "myorg", "groups", group, "datasets"] => (Route::Datasets, Some(*group), None, None),
            ["v1.0", "myorg", "groups", group, "datasets", dataset, rest @ ..] => {
                let (route, operation) = match rest {
                    [] => (Route::Dataset, None),
                    ["refreshes"] => (Route::Refreshes, None),
                    ["refreshes", id] => (Route::Refresh, Some(*id)),
                    ["queryscaleout", "sync"] => (Route::Sync, None),
                    ["queryscaleout", "syncstatus"] => (Route::SyncStatus, None),
                    _ => (Route::Unknown, None),
                };
                (route, Some(*group), Some(*dataset), operation)
            }
            _ => (Route::Unknown, None, None, None),
        };
        let id = |text: Option<&str>| text.and_then(|text| Uuid::try_parse(text).ok());
        Self { group: id(group), dataset: id(dataset), operation: id(operation), route, raw: path.to_owned() }
    }

    /// The route's name in the ledger.
    #[must_use]
    pub fn route(&self) -> &'static str {
        match self.route {
            Route::Groups => "groups",
            Route::Datasets => "datasets",
            Route::Dataset => "dataset",
            Route::Refreshes => "refreshes",
            Route::Refresh => "refresh",
            Route::Sync => "sync",
            Route::SyncStatus => "syncStatus",
            Route::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Request {
        Request::parse(&Call {
            host: "api.powerbi.com".into(),
            method: hyper::Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers: hyper::HeaderMap::new(),
            body: bytes::Bytes::new(),
            now: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn paths_are_parsed() {
        let (group, dataset, id) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        let model = format!("/v1.0/myorg/groups/{group}/datasets/{dataset}");
        for (path, route) in [
            ("/v1.0/myOrg/Groups/".to_owned(), "groups"),
            (format!("/v1.0/myorg/groups/{group}/datasets"), "datasets"),
            (model.clone(), "dataset"),
            (format!("{model}/refreshes"), "refreshes"),
            (format!("{model}/Refreshes/{id}"), "refresh"),
            (format!("{model}/queryScaleOut/sync"), "sync"),
            (format!("{model}/queryScaleOut/syncStatus"), "syncStatus"),
            (format!("{model}/sync"), "unknown"),
            (format!("/v1.0/myorg/datasets/{dataset}/refreshes"), "unknown"),
            ("/".to_owned(), "unknown"),
        ] {
            assert_eq!(parse(&path).route(), route, "{path}");
        }
        let request = parse(&format!("{model}/refreshes/{id}"));
        assert_eq!((request.group, request.dataset, request.operation), (Some(group), Some(dataset), Some(id)));
        assert_eq!(parse("/v1.0/myorg/groups/x/datasets/y/refreshes").group, None);
    }
}
