//! The names of Analysis Services' servers and databases, and the addresses that they become.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::service::cloud::{Cloud, dns_label};

/// What stays as it is in one segment of a path: RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A server of a cloud, from its name `asazure://<rollout>.asazure.windows.net/<server>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerName {
    host: String,
    server: String,
    scope: String,
}

impl ServerName {
    /// Takes a server name, if it is a name, and one of this cloud.
    ///
    /// Only then may a token be sent to its host, so nothing is accepted that could lead elsewhere: no port, user,
    /// path or query, and a host of plain labels under the cloud's own suffix.
    ///
    /// # Errors
    /// One sentence that says what to write.
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
                return Err(format!("the server name must begin with asazure://: write it like {shape}"));
            }
        };
        let (host, server) = rest.split_once('/').ok_or_else(|| format!("the server name ends after its host: write it like {shape}"))?;
        let host = host.to_ascii_lowercase();
        let server = match server.split_once(':') {
            None => server,
            Some((name, suffix)) if suffix.eq_ignore_ascii_case("rw") => {
                return Err(format!(
                    "the suffix :rw is for management tools, and a refresh does not find such a server: write asazure://{host}/{name}"
                ));
            }
            Some(_) => {
                return Err(format!("the server name has a port or a suffix after its colon: write it like {shape}"));
            }
        };
        let of_cloud = |suffix: &str| host.strip_suffix(suffix).is_some_and(|region| region.split('.').all(dns_label)) && host.len() <= 253;
        let Some(service) = cloud.analysis_services.iter().find(|service| of_cloud(&service.host)) else {
            let hosts = suffixes.iter().map(|suffix| format!("*{suffix}")).collect::<Vec<_>>().join(" or ");
            return Err(format!("the server's host is not one of the operator's cloud ({}): it must be {hosts}", cloud.name));
        };
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=128).contains(&server.len()) || !server.chars().all(safe) {
            return Err(format!("the server name after the last slash must be letters and digits alone: write it like {shape}"));
        }
        Ok(Self { host, server: server.to_owned(), scope: service.scope.clone() })
    }

    /// The host that is called.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The scope that a token for this server is asked for.
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

    /// `https://<host>/servers/<server>:rw/models/`, for what concerns the server and its replicas together.
    ///
    /// Microsoft's own client synchronises there; refreshes are not found there.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("https://{}/servers/{}:rw/models/", self.host, self.server)
    }

    /// One spelling for all spellings of the same server, to tell servers apart by.
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

/// A database of a server: the `models/<name>` of its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DatabaseName(String);

impl DatabaseName {
    /// Takes a database name; any characters but control characters, as they are percent-encoded on the way.
    ///
    /// # Errors
    /// One sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the database name is empty: write the name of a model of the server".to_owned());
        }
        // Both are taken out of a path even when they are percent-encoded, and another address would be called.
        if matches!(text, "." | "..") {
            return Err(format!("the database cannot be named {text:?}"));
        }
        if text.chars().count() > 256 {
            return Err("the database name is longer than 256 characters".to_owned());
        }
        if text.chars().any(char::is_control) {
            return Err("the database name holds a control character, such as a line break".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of its refreshes under a server's base URL.
    pub(in crate::service) fn refreshes(&self, base: &str) -> Option<Url> {
        self.address(base, "refreshes")
    }

    /// The address of its synchronisations under a server's management URL.
    pub(in crate::service) fn sync(&self, base: &str) -> Option<Url> {
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
    fn a_server_of_the_cloud_becomes_its_address() {
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
    fn nothing_leads_elsewhere() {
        let rows = [
            ("https://westus.asazure.windows.net/s", "must begin with asazure://"),
            ("westus.asazure.windows.net/s", "must begin with asazure://"),
            ("é", "must begin with asazure://"),
            ("asazure://westus.asazure.windows.net", "ends after its host"),
            ("asazure://westus.asazure.windows.net/", "letters and digits alone"),
            ("asazure://westus.asazure.windows.net/s/", "letters and digits alone"),
            ("asazure://westus.asazure.windows.net/s?x", "letters and digits alone"),
            ("asazure://westus.asazure.windows.net/..", "letters and digits alone"),
            ("asazure://westus.asazure.windows.net/s:rw", "write asazure://westus.asazure.windows.net/s"),
            ("asazure://westus.asazure.windows.net/s:443", "port or a suffix"),
            ("asazure://westus.asazure.windows.net:444/s", "not one of the operator's cloud"),
            ("asazure://u@westus.asazure.windows.net/s", "not one of the operator's cloud"),
            ("asazure://.asazure.windows.net/s", "not one of the operator's cloud"),
            ("asazure://asazure.windows.net/s", "not one of the operator's cloud"),
            ("asazure://evil.com#.asazure.windows.net/s", "not one of the operator's cloud"),
            ("asazure://evil.com\\.asazure.windows.net/s", "not one of the operator's cloud"),
            ("asazure://evil.com%2f.asazure.windows.net/s", "not one of the operator's cloud"),
            ("asazure://xasazure.windows.net/s", "not one of the operator's cloud"),
            ("asazure://a.asazure.windows.net.evil.com/s", "not one of the operator's cloud"),
            ("asazure://a.asazure.chinacloudapi.cn/s", "must be *.asazure.windows.net"),
        ];
        for (name, expected) in rows {
            let message = ServerName::parse(name, &Cloud::public()).unwrap_err();
            assert!(message.contains(expected), "{name}: {message}");
        }
    }

    #[test]
    fn a_database_is_one_segment_whatever_it_holds() {
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
