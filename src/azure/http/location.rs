//! The operation id in the `Location` of a response, if the `Location` is trustworthy.

use url::Url;

use crate::operation::OperationId;

/// The target of a `Location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::azure) enum LocationTarget {
    /// A URL on the called host.
    SameOrigin(Url),
    /// A URL on another host, or without TLS. Nothing is sent there. Contains the host, for the log.
    OtherOrigin(String),
    /// Not a URL.
    Invalid,
}

/// The target of a `Location` relative to the called URL. Scheme, host and port must be the same.
pub(in crate::azure) fn target(location: &str, called: &Url) -> LocationTarget {
    let Ok(url) = called.join(location) else {
        return LocationTarget::Invalid;
    };
    let same = url.scheme() == called.scheme()
        && url.host_str() == called.host_str()
        && url.port_or_known_default() == called.port_or_known_default()
        && url.username().is_empty()
        && url.password().is_none();
    if same { LocationTarget::SameOrigin(url) } else { LocationTarget::OtherOrigin(url.host_str().unwrap_or_default().to_owned()) }
}

/// The id at the end of `…/refreshes/<id>`.
///
/// Analysis Services documentation, asynchronous refresh: "The Location header in the response includes the refresh ID". Observed as an
/// absolute URL; a relative one is supported too.
pub(in crate::azure) fn refresh_id(url: &Url) -> Option<OperationId> {
    let mut segments = url.path_segments()?.rev().skip_while(|segment| segment.is_empty());
    let id = segments.next()?;
    let collection = segments.next()?;
    if collection.eq_ignore_ascii_case("refreshes") { OperationId::parse(id) } else { None }
}

/// Whether a `Location` refers to one operation, on any host: `…/refreshes/<id>`, `…/sync/<id>` or `…?operationId=<id>`.
pub(in crate::azure) fn names_operation(location: &str, called: &Url) -> bool {
    let Ok(url) = called.join(location) else { return false };
    let in_query = url.query_pairs().any(|(name, id)| name.eq_ignore_ascii_case("operationid") && OperationId::parse(&id).is_some());
    let of_sync = || {
        let mut segments = url.path_segments()?.rev().skip_while(|segment| segment.is_empty());
        let (id, collection) = (segments.next()?, segments.next()?);
        OperationId::parse(id).filter(|_| collection.eq_ignore_ascii_case("sync"))
    };
    in_query || refresh_id(&url).or_else(of_sync).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_location_on_called_host_identifies_operation() {
        let called = Url::parse("https://w.asazure.windows.net/servers/s/models/m/refreshes").unwrap();
        let rows = [
            ("https://w.asazure.windows.net/servers/s/models/m/refreshes/1a-2B", Some("1a-2B")),
            ("https://W.ASAZURE.windows.net:443/servers/s/models/m/Refreshes/1/", Some("1")),
            ("https://w.asazure.windows.net/servers/s/models/m/refreshes/1?api=2", Some("1")),
            ("/servers/s/models/m/refreshes/1", Some("1")),
            ("refreshes/1", Some("1")),
            ("//w.asazure.windows.net/x/refreshes/1", Some("1")),
            ("https://w.asazure.windows.net:444/servers/s/models/m/refreshes/1", None),
            ("http://w.asazure.windows.net/servers/s/models/m/refreshes/1", None),
            ("https://u@w.asazure.windows.net/servers/s/models/m/refreshes/1", None),
            ("https://evil.example.com/servers/s/models/m/refreshes/1", None),
            ("//evil.example.com/refreshes/1", None),
            ("https://w.asazure.windows.net/servers/s/models/m/refreshes", None),
            ("https://w.asazure.windows.net/servers/s/models/m/sync/1", None),
            ("https://w.asazure.windows.net/refreshes/a%20b", None),
            ("", None),
            ("https://", None),
        ];
        for (location, expected) in rows {
            let found = match target(location, &called) {
                LocationTarget::SameOrigin(url) => refresh_id(&url),
                LocationTarget::OtherOrigin(_) | LocationTarget::Invalid => None,
            };
            assert_eq!(found.as_ref().map(OperationId::as_str), expected, "{location}");
            assert!(expected.is_none() || names_operation(location, &called), "{location}");
        }
    }

    #[test]
    fn location_of_an_operation_is_recognized() {
        let called = Url::parse("https://w.asazure.windows.net/servers/s/models/m/sync").unwrap();
        let rows = [
            ("/servers/s/models/m/refreshes/1a", true),
            ("/servers/s:rw/models/m/sync/1a/", true),
            ("sync?operationId=1a", true),
            ("https://w.asazure.windows.net/operations?OPERATIONID=1a", true),
            ("/servers/s/models/m/refreshes", false),
            ("/servers/s:rw/models/m/sync", false),
            ("/servers/s:rw/models/m/sync?operationId=", false),
            ("/login/cd5e16c6-6d4e-4347-86a0-762bdf5b4875", false),
            ("https://evil.example.com/refreshes/1a", true),
            ("https://evil.example.com/refreshes", false),
            ("", false),
        ];
        for (location, expected) in rows {
            assert_eq!(names_operation(location, &called), expected, "{location}");
        }
    }
}
