//! The real names of the services: the hosts that the simulator serves, and the audiences of each cloud.
//!
//! Sources: "Asynchronous refresh with the REST API" of Azure Analysis Services (the audience with its literal star), the national-cloud
//! pages of Entra ID, Power BI and Analysis Services for the sovereign names.

pub mod custom;

pub use self::custom::CustomCloud;

/// A cloud with its own Entra ID authorities. GCC has its own Power BI host but uses the public authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Azure public, and the authority of GCC.
    Public,
    /// Azure US government: GCC High and `DoD`.
    UsGovernment,
    /// Azure China, operated by 21Vianet.
    China,
    /// A declared cloud.
    Custom(&'static CustomCloud),
}

impl Cloud {
    /// The clouds that always exist.
    pub const REAL: [Self; 3] = [Self::Public, Self::UsGovernment, Self::China];

    /// Its name in the control API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::UsGovernment => "us-government",
            Self::China => "china",
            Self::Custom(custom) => &custom.name,
        }
    }
}

/// A service of Azure with its own host names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Entra ID, which issues tokens.
    Entra,
    /// Azure Analysis Services.
    AnalysisServices,
    /// The Power BI REST API.
    PowerBi,
    /// The metadata service of the machine, which clients reach without a tunnel.
    Metadata,
}

/// The service and cloud of a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The service.
    pub service: Service,
    /// The cloud whose authority issues its tokens.
    pub cloud: Cloud,
    /// The audience that a token for this host must have; empty for Entra ID, which requires none.
    pub audience: &'static str,
}

impl Site {
    /// Whether the host accepts a token for this audience.
    #[must_use]
    pub fn accepts(&self, audience: &str) -> bool {
        audience == self.audience || ALIASES.iter().any(|&(alias, meant, _)| alias == audience && meant == self.audience)
    }
}

/// Host names, or suffixes if they start with a dot, with their service, cloud and audience.
const HOSTS: &[(&str, Service, Cloud, &str)] = &[
    ("login.microsoftonline.com", Service::Entra, Cloud::Public, ""),
    ("login.microsoft.com", Service::Entra, Cloud::Public, ""),
    ("login.windows.net", Service::Entra, Cloud::Public, ""),
    ("login.microsoftonline.us", Service::Entra, Cloud::UsGovernment, ""),
    ("login.chinacloudapi.cn", Service::Entra, Cloud::China, ""),
    ("login.partner.microsoftonline.cn", Service::Entra, Cloud::China, ""),
    (".asazure.windows.net", Service::AnalysisServices, Cloud::Public, "https://*.asazure.windows.net"),
    (".asazure.usgovcloudapi.net", Service::AnalysisServices, Cloud::UsGovernment, "https://*.asazure.usgovcloudapi.net"),
    (".asazure.chinacloudapi.cn", Service::AnalysisServices, Cloud::China, "https://*.asazure.chinacloudapi.cn"),
    ("api.powerbi.com", Service::PowerBi, Cloud::Public, "https://analysis.windows.net/powerbi/api"),
    ("api.powerbigov.us", Service::PowerBi, Cloud::Public, "https://analysis.usgovcloudapi.net/powerbi/api"),
    ("api.high.powerbigov.us", Service::PowerBi, Cloud::UsGovernment, "https://high.analysis.usgovcloudapi.net/powerbi/api"),
    ("api.mil.powerbigov.us", Service::PowerBi, Cloud::UsGovernment, "https://mil.analysis.usgovcloudapi.net/powerbi/api"),
    ("api.powerbi.cn", Service::PowerBi, Cloud::China, "https://analysis.chinacloudapi.cn/powerbi/api"),
];

/// Other names of audiences in the table above: the Power BI documentation uses this one.
const ALIASES: &[(&str, &str, Cloud)] = &[("https://api.powerbi.com", "https://analysis.windows.net/powerbi/api", Cloud::Public)];

/// The service and cloud of `host`, if it is one of the services' real names.
#[must_use]
pub fn site(host: &str) -> Option<Site> {
    let host = host.strip_suffix('.').unwrap_or(host);
    HOSTS
        .iter()
        .find(|(name, ..)| if name.starts_with('.') { is_below(host, name) } else { host.eq_ignore_ascii_case(name) })
        .map(|&(_, service, cloud, audience)| Site { service, cloud, audience })
}

/// Whether `host` is one label below `suffix`, as `westus.asazure.windows.net` is.
fn is_below(host: &str, suffix: &str) -> bool {
    let Some(cut) = host.len().checked_sub(suffix.len()) else {
        return false;
    };
    host.is_char_boundary(cut)
        && host[cut..].eq_ignore_ascii_case(suffix)
        && !host[..cut].is_empty()
        && host[..cut].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The audience of a token for `resource` (a scope without `/.default`), if `cloud` issues tokens for it.
///
/// An authority does not distinguish a resource of another cloud from one that does not exist (AADSTS500011).
#[must_use]
pub fn audience(resource: &str, cloud: Cloud) -> Option<&'static str> {
    let resource = resource.strip_suffix('/').unwrap_or(resource);
    if let Cloud::Custom(custom) = cloud {
        return custom.audience(resource);
    }
    HOSTS
        .iter()
        .filter(|(_, service, ..)| *service != Service::Entra)
        .map(|&(_, _, of, audience)| (audience, of))
        .chain(ALIASES.iter().map(|&(alias, _, of)| (alias, of)))
        .find(|(audience, of)| *of == cloud && audience.eq_ignore_ascii_case(resource))
        .map(|(audience, _)| audience)
}

/// Whether `host` is a name of the authority of `cloud`.
#[must_use]
pub fn is_authority(host: &str, cloud: Cloud) -> bool {
    match cloud {
        Cloud::Public | Cloud::UsGovernment | Cloud::China => {
            site(host).is_some_and(|site| site.service == Service::Entra && site.cloud == cloud)
        }
        Cloud::Custom(custom) => host.eq_ignore_ascii_case(&custom.authority_host),
    }
}

/// The host of the issuer in the tokens of a cloud.
#[must_use]
pub fn issuer_host(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Public | Cloud::UsGovernment => "sts.windows.net",
        Cloud::China => "sts.chinacloudapi.cn",
        Cloud::Custom(custom) => &custom.authority_host,
    }
}

/// The host of the issuer in version 2 of a cloud's authority.
#[must_use]
pub fn issuer_host_v2(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Public | Cloud::UsGovernment => authority_host(cloud),
        Cloud::China => "login.partner.microsoftonline.cn",
        Cloud::Custom(custom) => &custom.authority_host,
    }
}

/// The authority of a cloud, under its documented name.
#[must_use]
pub fn authority_host(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Public => "login.microsoftonline.com",
        Cloud::UsGovernment => "login.microsoftonline.us",
        Cloud::China => "login.chinacloudapi.cn",
        Cloud::Custom(custom) => &custom.authority_host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_host_names_are_known() {
        assert_eq!(site("westus.asazure.windows.net").unwrap().service, Service::AnalysisServices);
        assert_eq!(site("LOGIN.microsoftonline.us").unwrap().cloud, Cloud::UsGovernment);
        assert_eq!(site("api.powerbi.cn").unwrap().service, Service::PowerBi);
        for foreign in
            ["asazure.windows.net", ".asazure.windows.net", "a.b.asazure.windows.net", "example.com", "api.powerbi.com.evil.test"]
        {
            assert_eq!(site(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn resource_belongs_to_one_cloud() {
        assert_eq!(audience("https://*.asazure.windows.net", Cloud::Public), Some("https://*.asazure.windows.net"));
        assert_eq!(audience("https://*.asazure.windows.net", Cloud::China), None);
        assert_eq!(audience("https://westus.asazure.windows.net", Cloud::Public), None);
        assert_eq!(
            audience("https://analysis.usgovcloudapi.net/powerbi/api", Cloud::Public),
            Some("https://analysis.usgovcloudapi.net/powerbi/api")
        );
    }
}
