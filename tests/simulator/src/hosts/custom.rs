//! Clouds declared at startup or by the control API: an air-gapped cloud, or a future one.

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::{Cloud, HOSTS, Service, Site, is_below};

/// A declared cloud. The body of `PUT /clouds`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomCloud {
    /// Its unique name.
    pub name: String,
    /// The host of its Entra ID, such as `login.cloud.example`.
    pub authority_host: String,
    /// Its Analysis Services, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_services: Option<AnalysisServices>,
    /// Its Power BI, if present.
    #[serde(default, rename = "powerBI", skip_serializing_if = "Option::is_none")]
    pub power_bi: Option<PowerBi>,
}

/// The location of a cloud's Analysis Services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnalysisServices {
    /// The suffix of its host names after the rollout's name, such as `asazure.cloud.example`.
    pub host_suffix: String,
    /// The audience of its tokens, such as `https://*.asazure.cloud.example`.
    pub audience: String,
}

/// The location of a cloud's Power BI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PowerBi {
    /// The host of its API, such as `api.powerbi.cloud.example`.
    pub host: String,
    /// The audience of its tokens, such as `https://analysis.cloud.example/powerbi/api`.
    pub audience: String,
}

/// Reason to refuse a cloud.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A host name is invalid.
    #[error("'{0}' is not a host name: write it in lower case, without a scheme, a port or a path")]
    Host(String),
    /// A name, a host or an audience already belongs to another cloud.
    #[error("'{0}' belongs to another cloud")]
    Taken(String),
}

impl CustomCloud {
    /// The audience for a resource of this cloud.
    pub(super) fn audience(&self, resource: &str) -> Option<&str> {
        self.audiences().find(|audience| audience.eq_ignore_ascii_case(resource))
    }

    fn audiences(&self) -> impl Iterator<Item = &str> {
        let analysis_services = self.analysis_services.iter().map(|service| service.audience.as_str());
        analysis_services.chain(self.power_bi.iter().map(|service| service.audience.as_str()))
    }

    fn hosts(&self) -> impl Iterator<Item = &str> {
        let analysis_services = self.analysis_services.iter().map(|service| service.host_suffix.as_str());
        let power_bi = self.power_bi.iter().map(|service| service.host.as_str());
        std::iter::once(self.authority_host.as_str()).chain(analysis_services).chain(power_bi)
    }

    /// The service of `host` in this cloud.
    fn site(&'static self, host: &str) -> Option<Site> {
        let site = |service, audience| Some(Site { service, cloud: Cloud::Custom(self), audience });
        if host.eq_ignore_ascii_case(&self.authority_host) {
            return site(Service::Entra, "");
        }
        if let Some(service) = &self.analysis_services
            && is_below(host, &format!(".{}", service.host_suffix))
        {
            return site(Service::AnalysisServices, &service.audience);
        }
        match &self.power_bi {
            Some(service) if host.eq_ignore_ascii_case(&service.host) => site(Service::PowerBi, &service.audience),
            Some(_) | None => None,
        }
    }
}

/// The clouds of one simulator: the real ones and the declared ones.
#[derive(Default)]
pub struct Clouds {
    declared: RwLock<Vec<&'static CustomCloud>>,
}

impl Clouds {
    /// Declares a cloud, or replaces the cloud of that name.
    ///
    /// Declared clouds stay in memory for the lifetime of the process, so that a reference to a cloud is as small as for the real ones.
    ///
    /// # Errors
    /// When a host name is invalid, or a name, a host or an audience belongs to another cloud.
    pub fn declare(&self, cloud: CustomCloud) -> Result<(), Error> {
        let is_name = |host: &str| {
            host.contains('.')
                && host.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
                && host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        };
        if let Some(host) = cloud.hosts().find(|host| !is_name(host)) {
            return Err(Error::Host(host.to_owned()));
        }
        if Cloud::REAL.iter().any(|real| real.name() == cloud.name) {
            return Err(Error::Taken(cloud.name));
        }
        let mut declared = self.declared.write();
        let others: Vec<_> = declared.iter().copied().filter(|other| other.name != cloud.name).collect();
        let taken_host = cloud.hosts().find(|host| {
            HOSTS.iter().any(|(name, ..)| name.trim_start_matches('.') == *host)
                || others.iter().any(|other| other.hosts().any(|name| name == *host))
        });
        let taken_audience = cloud.audiences().find(|audience| {
            HOSTS.iter().any(|(.., known)| known.eq_ignore_ascii_case(audience))
                || others.iter().any(|other| other.audience(audience).is_some())
        });
        if let Some(taken) = taken_host.or(taken_audience) {
            return Err(Error::Taken(taken.to_owned()));
        }
        *declared = others;
        declared.push(Box::leak(Box::new(cloud)));
        Ok(())
    }

    /// The service and cloud of `host`, if it is a name of one of the services.
    #[must_use]
    pub fn site(&self, host: &str) -> Option<Site> {
        let host = host.strip_suffix('.').unwrap_or(host);
        super::site(host).or_else(|| self.declared.read().iter().find_map(|cloud| cloud.site(host)))
    }

    /// The cloud of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Cloud> {
        let declared = self.declared();
        let all = Cloud::REAL.into_iter().chain(declared.into_iter().map(Cloud::Custom));
        all.into_iter().find(|cloud| cloud.name() == name)
    }

    /// The declared clouds.
    #[must_use]
    pub fn declared(&self) -> Vec<&'static CustomCloud> {
        self.declared.read().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(name: &str, suffix: &str) -> CustomCloud {
        CustomCloud {
            name: name.into(),
            authority_host: format!("login.{suffix}"),
            analysis_services: Some(AnalysisServices {
                host_suffix: format!("asazure.{suffix}"),
                audience: format!("https://*.asazure.{suffix}"),
            }),
            power_bi: Some(PowerBi { host: format!("api.powerbi.{suffix}"), audience: format!("https://analysis.{suffix}/powerbi/api") }),
        }
    }

    #[test]
    fn declared_cloud_has_its_hosts_and_audiences() {
        let clouds = Clouds::default();
        assert_eq!(clouds.site("login.cloud.example"), None);
        clouds.declare(cloud("a", "cloud.example")).unwrap();
        let site = clouds.site("west.asazure.cloud.example").unwrap();
        assert_eq!((site.service, site.audience), (Service::AnalysisServices, "https://*.asazure.cloud.example"));
        assert_eq!(clouds.site("API.powerbi.cloud.example.").unwrap().service, Service::PowerBi);
        let authority = clouds.site("login.cloud.example").unwrap().cloud;
        assert_eq!(super::super::authority_host(authority), "login.cloud.example");
        assert_eq!(super::super::audience("https://*.asazure.cloud.example", authority), Some("https://*.asazure.cloud.example"));
        assert_eq!(super::super::audience("https://*.asazure.windows.net", authority), None);
        assert_eq!(clouds.site("westus.asazure.windows.net").unwrap().cloud, Cloud::Public);
        assert_eq!((clouds.named("a"), clouds.named("china"), clouds.named("b")), (Some(authority), Some(Cloud::China), None));
        clouds.declare(cloud("a", "other.example")).unwrap();
        assert_eq!((clouds.site("login.cloud.example"), clouds.declared().len()), (None, 1));
    }

    #[test]
    fn invalid_or_taken_host_is_refused() {
        let clouds = Clouds::default();
        for host in ["https://login.example", "login.example:443", "Login.example", "login", "login..example", ""] {
            let broken = CustomCloud { authority_host: host.into(), ..cloud("a", "cloud.example") };
            assert_eq!(clouds.declare(broken), Err(Error::Host(host.into())));
        }
        let taken = CustomCloud { authority_host: "login.microsoftonline.com".into(), ..cloud("a", "cloud.example") };
        assert!(matches!(clouds.declare(taken), Err(Error::Taken(_))));
        assert!(matches!(clouds.declare(cloud("public", "cloud.example")), Err(Error::Taken(_))));
        clouds.declare(cloud("a", "cloud.example")).unwrap();
        assert!(matches!(clouds.declare(cloud("b", "cloud.example")), Err(Error::Taken(_))));
        let mut borrowed = cloud("c", "third.example");
        borrowed.power_bi.as_mut().unwrap().audience = "https://analysis.windows.net/powerbi/api".into();
        assert!(matches!(clouds.declare(borrowed), Err(Error::Taken(_))));
    }
}
