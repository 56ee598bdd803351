//! The Azure clouds: the hosts that calls may go to, and the audiences of their tokens.

use serde::Deserialize;
use url::Url;

/// A service of a cloud: its host, and the scope of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAddress {
    /// The host, with a port if it is not the default; for Analysis Services the suffix, with its leading dot.
    pub host: String,
    /// The scope of a token request, `<audience>/.default`.
    pub scope: String,
}

/// One cloud.
///
/// Sources of the hosts: the Power BI documentation (embedding in national clouds); the Analysis Services documentation ("the audience
/// must have the `*` character as the subdomain").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// `public`, `us-government`, `us-government-high`, `us-government-dod`, `china` or `custom`.
    pub name: String,
    /// Host for token requests, such as `https://login.microsoftonline.com`; always https, without a path.
    pub authority_host: String,
    /// Analysis Services: host suffixes with their scopes. GCC has two, because its tenants are in the public directory and may have
    /// servers in either cloud.
    pub analysis_services: Vec<ServiceAddress>,
    /// Power BI, if the cloud has it.
    pub power_bi: Option<ServiceAddress>,
    /// Host of the Power BI portal, for links only: the operator never calls it. A cloud file may omit it.
    pub power_bi_portal: Option<String>,
}

/// Error in a cloud file, as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CloudError(String);

const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";
const US_AUTHORITY: &str = "https://login.microsoftonline.us";
const PUBLIC_SERVERS: &str = ".asazure.windows.net";
const US_SERVERS: &str = ".asazure.usgovcloudapi.net";

impl Cloud {
    /// The names that [`Cloud::by_name`] accepts.
    pub const NAMES: [&'static str; 5] = ["public", "us-government", "us-government-high", "us-government-dod", "china"];

    /// The public Azure cloud.
    #[must_use]
    pub fn public() -> Self {
        Self::documented("public", PUBLIC_AUTHORITY, &[PUBLIC_SERVERS], "powerbi.com", "analysis.windows.net")
    }

    /// US government, GCC. Its directory is the public one.
    #[must_use]
    pub fn us_government() -> Self {
        let servers = [US_SERVERS, PUBLIC_SERVERS];
        Self::documented("us-government", PUBLIC_AUTHORITY, &servers, "powerbigov.us", "analysis.usgovcloudapi.net")
    }

    /// US government, GCC High.
    #[must_use]
    pub fn us_government_high() -> Self {
        let (api, tokens) = ("high.powerbigov.us", "high.analysis.usgovcloudapi.net");
        Self::documented("us-government-high", US_AUTHORITY, &[US_SERVERS], api, tokens)
    }

    /// US government, Department of Defense.
    #[must_use]
    pub fn us_government_dod() -> Self {
        let (api, tokens) = ("mil.powerbigov.us", "mil.analysis.usgovcloudapi.net");
        Self::documented("us-government-dod", US_AUTHORITY, &[US_SERVERS], api, tokens)
    }

    /// China, operated by 21Vianet. Its authority has two host names for the same service: Microsoft's documentation uses
    /// `login.partner.microsoftonline.cn`, the SDKs `login.chinacloudapi.cn`. The operator calls the second one. A cloud file may name the
    /// first one.
    #[must_use]
    pub fn china() -> Self {
        let authority = "https://login.chinacloudapi.cn";
        let (api, tokens) = ("powerbi.cn", "analysis.chinacloudapi.cn");
        Self::documented("china", authority, &[".asazure.chinacloudapi.cn"], api, tokens)
    }

    /// The cloud with this name, one of [`Cloud::NAMES`].
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "public" => Some(Self::public()),
            "us-government" => Some(Self::us_government()),
            "us-government-high" => Some(Self::us_government_high()),
            "us-government-dod" => Some(Self::us_government_dod()),
            "china" => Some(Self::china()),
            _ => None,
        }
    }

    /// A cloud whose API and portal are `api.<power_bi>` and `app.<power_bi>`.
    fn documented(name: &str, authority: &str, servers: &[&str], power_bi: &str, power_bi_tokens: &str) -> Self {
        let server = |suffix: &&str| ServiceAddress { host: (*suffix).to_owned(), scope: format!("https://*{suffix}/.default") };
        Self {
            name: name.to_owned(),
            authority_host: authority.to_owned(),
            analysis_services: servers.iter().map(server).collect(),
            power_bi: Some(ServiceAddress {
                host: format!("api.{power_bi}"),
                scope: format!("https://{power_bi_tokens}/powerbi/api/.default"),
            }),
            power_bi_portal: Some(format!("app.{power_bi}")),
        }
    }

    /// A custom cloud, from the text of its file (YAML):
    ///
    /// ```yaml
    /// authority: https://login.example.com
    /// analysisServices: {hostSuffix: .asazure.example.com, audience: "https://*.asazure.example.com"}
    /// powerBI: {host: api.powerbi.example.com, audience: https://analysis.example.com/powerbi/api}
    /// ```
    ///
    /// One of the two services is optional. `powerBI` may have a `portal`, such as `app.powerbi.example.com`, for links to the operations.
    ///
    /// # Errors
    /// One sentence that names the field and the remedy.
    pub fn from_file_text(text: &str) -> Result<Self, CloudError> {
        let file: File = yaml(text).map_err(|error| CloudError(format!("failed to parse the cloud file: {error}")))?;
        if file.analysis_services.is_none() && file.power_bi.is_none() {
            return Err(CloudError("the cloud file contains no service; set analysisServices, powerBI or both".to_owned()));
        }
        let analysis_services = file.analysis_services.map(|service| {
            let suffix = service.host_suffix.strip_prefix('.').unwrap_or(&service.host_suffix);
            let host = format!(".{}", host_name("analysisServices.hostSuffix", suffix)?);
            Ok(ServiceAddress { host, scope: scope("analysisServices.audience", &service.audience)? })
        });
        let portal = file.power_bi.as_ref().and_then(|service| service.portal.as_deref());
        let power_bi_portal = portal.map(|host| host_and_port("powerBI.portal", host)).transpose()?;
        let power_bi = file.power_bi.map(|service| {
            let host = host_and_port("powerBI.host", &service.host)?;
            Ok(ServiceAddress { host, scope: scope("powerBI.audience", &service.audience)? })
        });
        Ok(Self {
            name: "custom".to_owned(),
            authority_host: format!("https://{}", host_and_port("authority", &file.authority)?),
            analysis_services: analysis_services.transpose()?.into_iter().collect(),
            power_bi: power_bi.transpose()?,
            power_bi_portal,
        })
    }
}

/// Parses the file. An error is one line, without an excerpt of the file.
fn yaml(text: &str) -> Result<File, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    authority: String,
    analysis_services: Option<AnalysisServicesFile>,
    #[serde(rename = "powerBI")]
    power_bi: Option<PowerBiFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AnalysisServicesFile {
    host_suffix: String,
    audience: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PowerBiFile {
    host: String,
    audience: String,
    portal: Option<String>,
}

/// Converts `https://host[:port]` or `host[:port]` to `host[:port]`.
fn host_and_port(field: &str, value: &str) -> Result<String, CloudError> {
    let text = value.trim();
    let example = if field == "authority" { "https://login.example.com" } else { "api.example.com" };
    let wrong = |what: &str| CloudError(format!("{field} in the cloud file {what}; use a value such as {example}"));
    refuse_plain_http(field, text)?;
    let address = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&address).map_err(|_| wrong("is not a host"))?;
    if url.scheme() != "https" {
        return Err(wrong("is not an https address"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("contains a user name or a password"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a path, a query or a fragment"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("has no host"))?;
    Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// A token must not be sent without encryption.
fn refuse_plain_http(field: &str, text: &str) -> Result<(), CloudError> {
    let plain = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
    let refused = || CloudError(format!("{field} in the cloud file must use https:// because tokens must be encrypted"));
    if plain { Err(refused()) } else { Ok(()) }
}

/// A host name in lower case.
fn host_name(field: &str, value: &str) -> Result<String, CloudError> {
    refuse_plain_http(field, value.trim())?;
    let name = value.trim().to_ascii_lowercase();
    if name.split('.').count() >= 2 && name.split('.').all(is_dns_label) {
        return Ok(name);
    }
    Err(CloudError(format!("{field} in the cloud file is not a suffix of a host name; use a value such as .asazure.example.com")))
}

/// Whether a text is one label of a host name: letters, digits and inner hyphens, at most 63 characters.
pub(super) fn is_dns_label(label: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&label.len()) && label.chars().all(plain) && !label.starts_with('-') && !label.ends_with('-')
}

/// `<audience>/.default`. The audience is an https or api URI and may contain a literal `*`.
fn scope(field: &str, audience: &str) -> Result<String, CloudError> {
    let audience = audience.trim().trim_end_matches('/');
    let audience = audience.strip_suffix("/.default").unwrap_or(audience);
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
    let rest = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("api://"));
    match rest {
        Some(rest) if !rest.is_empty() && rest.chars().all(plain) => Ok(format!("{audience}/.default")),
        _ => Err(CloudError(format!("{field} in the cloud file is not an audience; use a value such as https://*.asazure.example.com"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_name_resolves_to_its_cloud() {
        for name in Cloud::NAMES {
            let cloud = Cloud::by_name(name).unwrap();
            assert_eq!(cloud.name, name);
            assert!(cloud.authority_host.starts_with("https://login."));
        }
        assert_eq!(Cloud::by_name("Public"), None);
        assert_eq!(Cloud::public().analysis_services[0].scope, "https://*.asazure.windows.net/.default");
        assert_eq!(Cloud::china().power_bi.unwrap().scope, "https://analysis.chinacloudapi.cn/powerbi/api/.default");
    }

    /// The table of the Power BI documentation on national clouds. The audience of Analysis Services has a literal star.
    #[test]
    fn clouds_have_documented_hosts_and_audiences() {
        let (public, us, china) = ("login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn");
        let (windows, gov, cn) = ("asazure.windows.net", "asazure.usgovcloudapi.net", "asazure.chinacloudapi.cn");
        let rows = [
            ("public", public, "api.powerbi.com", "analysis.windows.net", vec![windows]),
            ("us-government", public, "api.powerbigov.us", "analysis.usgovcloudapi.net", vec![gov, windows]),
            ("us-government-high", us, "api.high.powerbigov.us", "high.analysis.usgovcloudapi.net", vec![gov]),
            ("us-government-dod", us, "api.mil.powerbigov.us", "mil.analysis.usgovcloudapi.net", vec![gov]),
            ("china", china, "api.powerbi.cn", "analysis.chinacloudapi.cn", vec![cn]),
        ];
        assert_eq!(rows.len(), Cloud::NAMES.len());
        for (name, authority, host, tokens, servers) in rows {
            let cloud = Cloud::by_name(name).unwrap();
            assert_eq!(cloud.authority_host, format!("https://{authority}"));
            let power_bi = ServiceAddress { host: host.to_owned(), scope: format!("https://{tokens}/powerbi/api/.default") };
            assert_eq!(cloud.power_bi, Some(power_bi));
            assert_eq!(cloud.power_bi_portal, Some(host.replace("api.", "app.")));
            let server = |name: &&str| ServiceAddress { host: format!(".{name}"), scope: format!("https://*.{name}/.default") };
            assert_eq!(cloud.analysis_services, servers.iter().map(server).collect::<Vec<_>>());
        }
    }

    #[test]
    fn cloud_file_is_parsed() {
        let cloud = Cloud::from_file_text(
            "authority: https://login.example.com:8443/\n\
             analysisServices: {hostSuffix: asazure.example.com, audience: 'https://*.asazure.example.com'}\n\
             powerBI: {host: api.example.com, audience: https://analysis.example.com/powerbi/api, portal: https://app.example.com}\n",
        )
        .unwrap();
        assert_eq!(cloud.power_bi_portal.as_deref(), Some("app.example.com"));
        assert_eq!(cloud.authority_host, "https://login.example.com:8443");
        assert_eq!(cloud.analysis_services[0].host, ".asazure.example.com");
        assert_eq!(cloud.analysis_services[0].scope, "https://*.asazure.example.com/.default");
        assert_eq!(cloud.power_bi.unwrap().scope, "https://analysis.example.com/powerbi/api/.default");
    }

    #[test]
    fn cloud_file_error_is_one_sentence() {
        let power_bi =
            |host: &str, audience: &str| format!("authority: l.example.com\npowerBI: {{host: '{host}', audience: '{audience}'}}");
        let service = "analysisServices: {hostSuffix: .a.example.com, audience: 'https://*.a.example.com'}";
        let rows = [
            (format!("authority: http://login.example.com\n{service}"), "authority in the cloud file must use https"),
            (format!("authority: https://u:p@login.example.com\n{service}"), "contains a user name"),
            (format!("authority: https://login.example.com/tenant\n{service}"), "has a path, a query or a fragment"),
            (format!("authority: ''\n{service}"), "is not a host"),
            ("authority: https://login.example.com".to_owned(), "contains no service"),
            (service.to_owned(), "missing field `authority`"),
            (format!("authorty: x\n{service}"), "unknown field `authorty`"),
            (format!("authority: HTTP://l.example.com\n{service}"), "authority in the cloud file must use https"),
            (power_bi("http://api.example.com", "https://a.example.com"), "powerBI.host in the cloud file must use https"),
            (
                power_bi("https://api.example.com/v1.0", "https://a.example.com"),
                "powerBI.host in the cloud file has a path, a query or a fragment",
            ),
            (power_bi("api.example.com?x", "https://a.example.com"), "powerBI.host in the cloud file has a path, a query or a fragment"),
            (power_bi("ftp://api.example.com", "https://a.example.com"), "powerBI.host in the cloud file is not an https address"),
            (
                power_bi("api.example.com", "https://a.example.com").replace('}', ", portal: 'https://app.example.com/x'}"),
                "powerBI.portal in the cloud file has a path",
            ),
            (power_bi("", "https://a.example.com"), "powerBI.host in the cloud file is not a host"),
            (power_bi("api.example.com", "http://a.example.com"), "powerBI.audience in the cloud file is not an audience"),
            (power_bi("api.example.com", ""), "powerBI.audience in the cloud file is not an audience"),
            ("authority: l.example.com\npowerBI: {host: api.example.com}".to_owned(), "missing field `audience`"),
            (
                service.replace(".a.example.com,", "http://a.example.com,") + "\nauthority: https://l.example.com",
                "hostSuffix in the cloud file must use https",
            ),
            (service.replace(".a.example.com,", "com,") + "\nauthority: https://l.example.com", "not a suffix of a host name"),
            (service.replace("https://*", "http://*") + "\nauthority: https://l.example.com", "is not an audience"),
            ("- nonsense".to_owned(), "failed to parse"),
        ];
        for (text, expected) in rows {
            let message = Cloud::from_file_text(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}\n{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
