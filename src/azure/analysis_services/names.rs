//! The names of servers and databases of Analysis Services, and their URLs.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::azure::cloud::{Cloud, is_dns_label};

/// Characters that are not encoded in a path segment: the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A server of a cloud, parsed from `asazure://<rollout>.asazure.windows.net/<server>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerName {
    host: String,
    server: String,
    scope: String,
}

impl ServerName {
    /// Parses a server name of this cloud.
    ///
    /// A token is sent to the host of the result. Therefore nothing is accepted that could lead to another host: no port, user, path or
    /// query, and only plain labels under the suffix of the cloud.
    ///
    /// # Errors
    /// One sentence with the remedy.
    pub fn parse(text: &str, cloud: &Cloud) -> Result<Self, String> {
        let suffixes: Vec<&str> = cloud.analysis_services.iter().map(|service| service.host.as_str()).collect();
        let Some(first) = suffixes.first() else {
            return Err(format!("the operator's cloud ({}) has no Analysis Services", cloud.name));
        };
        let shape = format!("asazure://<region>{first}/<server>");
        let text = text.trim();
        let scheme = "asazure://";
        let rest = match text.get(..scheme.len()) {
            Some(start) if start.eq_ignore_ascii_case(scheme) => text.get(scheme.len()..).unwrap_or_default(),
            _ => {
                return Err(format!("must start with asazure://, such as {shape}"));
            }
        };
        let (host, server) =
            rest.split_once('/').ok_or_else(|| format!("must contain the name of the server after the host, such as {shape}"))?;
        let host = host.to_ascii_lowercase();
        let server = match server.split_once(':') {
            None => server,
            Some((name, suffix)) if suffix.eq_ignore_ascii_case("rw") => {
                return Err(format!("must not end with :rw, which is for management tools: use asazure://{host}/{name}"));
            }
            Some(_) => {
                return Err(format!("must not contain a port or a suffix after the name: use a value such as {shape}"));
            }
        };
        let of_cloud =
            |suffix: &str| host.strip_suffix(suffix).is_some_and(|region| region.split('.').all(is_dns_label)) && host.len() <= 253;
        let Some(service) = cloud.analysis_services.iter().find(|service| of_cloud(&service.host)) else {
            let hosts = suffixes.iter().map(|suffix| format!("*{suffix}")).collect::<Vec<_>>().join(" or ");
            return Err(format!("host is not in the operator's cloud ({}): it must be {hosts}", cloud.name));
        };
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=128).contains(&server.len()) || !server.chars().all(safe) {
            return Err(format!("must have only letters and digits after the last slash, such as {shape}"));
        }
        Ok(Self { host, server: server.to_owned(), scope: service.scope.clone() })
    }

    /// The host of the calls.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The scope of tokens for this server.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// `https://<host>/servers/<server>/models/`.
    ///
    /// Analysis Services documentation, asynchronous refresh, "Base URL".
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("https://{}/servers/{}/models/", self.host, self.server)
    }

    /// `https://<host>/servers/<server>:rw/models/`, for requests about the server together with its replicas.
    ///
    /// Microsoft's own client uses this URL for syncs. Refreshes are not available there.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("https://{}/servers/{}:rw/models/", self.host, self.server)
    }

    /// The normalized name, to distinguish servers.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.host, self.server.to_ascii_lowercase())
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asazure://{}/{}", self.host, self.server)
    }
}

/// A database of a server: the `models/<name>` of its URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DatabaseName(String);

impl DatabaseName {
    /// Parses a database name. It may contain all characters except control characters, because the URL encodes them.
    ///
    /// # Errors
    /// One sentence that describes the problem.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("must not be empty: set it to the name of a database of the server".to_owned());
        }
        // URL parsers remove both from a path even if they are percent-encoded, which would result in another URL.
        if matches!(text, "." | "..") {
            return Err(format!("must not be {text:?}"));
        }
        if text.chars().count() > 256 {
            return Err("must have at most 256 characters".to_owned());
        }
        if text.chars().any(char::is_control) {
            return Err("must not contain control characters, such as a line break".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of its refreshes, from the base URL of a server.
    pub(in crate::azure) fn refreshes(&self, base: &str) -> Option<Url> {
        self.address(base, "refreshes")
    }

    /// The URL of its syncs, from the management URL of a server.
    pub(in crate::azure) fn sync(&self, base: &str) -> Option<Url> {
        self.address(base, "sync")
    }

    fn address(&self, base: &str, what: &str) -> Option<Url> {
        let database = utf8_percent_encode(&self.0, SEGMENT);
        Url::parse(&format!("{base}{database}/{what}")).ok()
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_of_the_cloud_has_its_url() {
        let server = ServerName::parse("asazure://WestUS.asazure.windows.net/MyServer", &Cloud::public()).unwrap();
        assert_eq!(server.base_url(), "https://westus.asazure.windows.net/servers/MyServer/models/");
        assert_eq!(server.management_url(), "https://westus.asazure.windows.net/servers/MyServer:rw/models/");
        assert_eq!(server.to_string(), "asazure://westus.asazure.windows.net/MyServer");
        assert_eq!(server.key(), "westus.asazure.windows.net/myserver");
        let gov = Cloud::us_government();
        for (name, scope) in [
            ("asazure://a.asazure.usgovcloudapi.net/s", "https://*.asazure.usgovcloudapi.net/.default"),
            ("asazure://a.b.asazure.windows.net/s", "https://*.asazure.windows.net/.default"),
        ] {
            assert_eq!(ServerName::parse(name, &gov).unwrap().scope(), scope);
        }
    }

    #[test]
    fn invalid_server_name_is_rejected() {
        let rows = [
            ("https://westus.asazure.windows.net/s", "must start with asazure://"),
            ("westus.asazure.windows.net/s", "must start with asazure://"),
            ("é", "must start with asazure://"),
            ("asazure://westus.asazure.windows.net", "name of the server after the host"),
            ("asazure://westus.asazure.windows.net/", "only letters and digits"),
            ("asazure://westus.asazure.windows.net/s/", "only letters and digits"),
            ("asazure://westus.asazure.windows.net/s?x", "only letters and digits"),
            ("asazure://westus.asazure.windows.net/..", "only letters and digits"),
            ("asazure://westus.asazure.windows.net/s:rw", "use asazure://westus.asazure.windows.net/s"),
            ("asazure://westus.asazure.windows.net/s:443", "port or a suffix"),
            ("asazure://westus.asazure.windows.net:444/s", "not in the operator's cloud"),
            ("asazure://u@westus.asazure.windows.net/s", "not in the operator's cloud"),
            ("asazure://.asazure.windows.net/s", "not in the operator's cloud"),
            ("asazure://asazure.windows.net/s", "not in the operator's cloud"),
            ("asazure://evil.com#.asazure.windows.net/s", "not in the operator's cloud"),
            ("asazure://evil.com\\.asazure.windows.net/s", "not in the operator's cloud"),
            ("asazure://evil.com%2f.asazure.windows.net/s", "not in the operator's cloud"),
            ("asazure://xasazure.windows.net/s", "not in the operator's cloud"),
            ("asazure://a.asazure.windows.net.evil.com/s", "not in the operator's cloud"),
            ("asazure://a.asazure.chinacloudapi.cn/s", "must be *.asazure.windows.net"),
        ];
        for (name, expected) in rows {
            let message = ServerName::parse(name, &Cloud::public()).unwrap_err();
            assert!(message.contains(expected), "{name}: {message}");
        }
    }

    #[test]
    fn database_is_one_encoded_segment() {
        let base = "https://westus.asazure.windows.net/servers/s/models/";
        let rows = [
            ("AdventureWorks", "AdventureWorks"),
            ("Sales 2026/Q1", "Sales%202026%2FQ1"),
            ("a%2e?#+é", "a%252e%3F%23%2B%C3%A9"),
            ("...", "..."),
        ];
        for (name, segment) in rows {
            let url = DatabaseName::parse(name).unwrap().refreshes(base).unwrap();
            assert_eq!(url.as_str(), format!("{base}{segment}/refreshes"), "{name}");
            let base = base.replace("/s/", "/s:rw/");
            assert_eq!(DatabaseName::parse(name).unwrap().sync(&base).unwrap().as_str(), format!("{base}{segment}/sync"), "{name}");
        }
        for name in ["", " ", ".", "..", "a\nb", &"x".repeat(257)] {
            assert!(DatabaseName::parse(name).is_err(), "{name}");
        }
    }
}
