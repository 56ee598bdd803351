//! The real names of the services: which hosts the simulator answers for, and which resource belongs to which cloud.
//!
//! Sources: "Asynchronous refresh with the REST API" of Azure Analysis Services (the audience with its literal star), the
//! national-cloud pages of Entra ID, Power BI and Analysis Services for the sovereign names.

pub mod custom;

pub use self::custom::CustomCloud;

/// A cloud with Entra ID authorities of its own. GCC has its own Power BI host but uses the public authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Azure public, and the authority of GCC.
    Public,
    /// Azure US government: GCC High and `DoD`.
    UsGovernment,
    /// Azure China, operated by 21Vianet.
    China,
    /// One that was declared.
    Custom(&'static CustomCloud),
}

impl Cloud {
    /// Those that are always there.
    pub const REAL: [Self; 3] = [Self::Public, Self::UsGovernment, Self::China];

    /// What the control API calls it.
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

/// A service of Azure that has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Entra ID, which issues tokens.
    Entra,
    /// Azure Analysis Services.
    AnalysisServices,
    /// The Power BI REST API.
    PowerBi,
    /// The metadata service of the machine, which is reached without a tunnel.
    Metadata,
}

/// What stands behind a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The service that answers.
    pub service: Service,
    /// The cloud whose authority issues its tokens.
    pub cloud: Cloud,
    /// The audience that a token for this host must have; empty for Entra ID, which asks for none.
    pub audience: &'static str,
}

impl Site {
    /// Whether a token for this audience opens it.
    #[must_use]
    pub fn accepts(&self, audience: &str) -> bool {
        audience == self.audience || ALIASES.iter().any(|&(alias, meant, _)| alias == audience && meant == self.audience)
    }
}

/// A host name, or a suffix when it begins with a dot, and what stands behind it.
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

/// Audiences that name one of the table above in another way: the Power BI documentation asks for this one.
const ALIASES: &[(&str, &str, Cloud)] = &[("https://api.powerbi.com", "https://analysis.windows.net/powerbi/api", Cloud::Public)];

/// What stands behind `host`, if it is one of the services' real names.
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

/// The audience of a token for `resource` (a scope without `/.default`), where `cloud` issues tokens for it.
///
/// A resource of another cloud is as unknown to an authority as one that does not exist (AADSTS500011).
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

/// The host of the issuer that version 2 of a cloud's authority gives for itself.
#[must_use]
pub fn issuer_host_v2(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Public | Cloud::UsGovernment => authority_host(cloud),
        Cloud::China => "login.partner.microsoftonline.cn",
        Cloud::Custom(custom) => &custom.authority_host,
    }
}

/// The authority of a cloud, under the name that its documentation gives.
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
    fn knows_the_real_names_and_nothing_else() {
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
    fn a_resource_belongs_to_one_cloud() {
        assert_eq!(audience("https://*.asazure.windows.net", Cloud::Public), Some("https://*.asazure.windows.net"));
        assert_eq!(audience("https://*.asazure.windows.net", Cloud::China), None);
        assert_eq!(audience("https://westus.asazure.windows.net", Cloud::Public), None);
        assert_eq!(
            audience("https://analysis.usgovcloudapi.net/powerbi/api", Cloud::Public),
            Some("https://analysis.usgovcloudapi.net/powerbi/api")
        );
    }
}
