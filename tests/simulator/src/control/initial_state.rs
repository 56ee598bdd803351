//! The initial state of a simulator: from a world file, or the example in `--help`.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::{
    entra::{
        Health,
        directory::{Registration, RegistrationError},
        federation::{InvalidIssuerKey, IssuerKeys},
    },
    faults::FaultRule,
    hosts::{
        CustomCloud, Service,
        custom::{self, Clouds},
    },
    imds::identities::Identity,
    state::State,
    world::settings::ModelSettings,
};

/// A world file: lists of the control API's bodies.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct InitialState {
    /// Bodies of `PUT /clouds`.
    pub clouds: Vec<CustomCloud>,
    /// Bodies of `PUT /applications`.
    pub applications: Vec<Registration>,
    /// Bodies of `PUT /issuers`.
    pub issuers: Vec<IssuerKeys>,
    /// Bodies of `PUT /managed-identities`.
    pub managed_identities: Vec<Identity>,
    /// Bodies of `PUT /models`.
    pub models: Vec<ModelSettings>,
    /// The body of `PUT /entra`.
    pub entra: Option<Health>,
    /// Bodies of `POST /faults`.
    pub faults: Vec<FaultRule>,
}

/// Reason to refuse an initial state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither JSON nor YAML, or it has an unknown field or a field of the wrong type.
    #[error("failed to read the world: {0}")]
    Read(#[from] Box<serde_saphyr::Error>),
    /// An application's ids are missing.
    #[error("an application needs a tenantId and a clientId")]
    NoIds,
    /// One of an application's certificates is invalid, or its tenant belongs to another cloud.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// An issuer's keys are invalid.
    #[error(transparent)]
    Issuer(#[from] InvalidIssuerKey),
    /// A managed identity's ids are missing.
    #[error("a managed identity needs a tenantId and a clientId")]
    NoIdentityIds,
    /// A model's server is not a supported host.
    #[error("a model's server must be asazure://<rollout>.asazure.windows.net/<server> or in a sovereign cloud; '{0}' is not")]
    Server(String),
    /// A model has no name.
    #[error("a model needs a database")]
    NoDatabase,
    /// A model has only one of the two ids, or names of both services.
    #[error("a model needs a server and a database, or a groupId and a datasetId")]
    Names,
    /// A semantic model's host is not a supported host.
    #[error("'{0}' is not a host of the Power BI API")]
    ApiHost(String),
    /// The cloud does not exist.
    #[error("unknown cloud '{0}': use public, us-government or china, or declare it with PUT /clouds")]
    NoCloud(String),
    /// A cloud cannot be declared.
    #[error(transparent)]
    Cloud(#[from] custom::Error),
    /// A status in a model's settings is not an HTTP status.
    #[error("{0} is not an HTTP status")]
    Status(u16),
}

impl InitialState {
    /// Parses a world file, JSON or YAML.
    ///
    /// # Errors
    /// When the file is invalid.
    pub fn read(text: &str) -> Result<Self, Error> {
        Ok(serde_saphyr::from_str(text).map_err(Box::new)?)
    }

    /// The example: one application with a secret, and the server and model of the documentation.
    ///
    /// # Errors
    /// Never; a test checks it.
    pub fn example() -> Result<Self, Error> {
        let initial_state = json!({
            "applications": [{
                "tenantId": "72f988bf-0000-4000-8000-000000000001",
                "clientId": "11111111-0000-4000-8000-000000000001",
                "clientSecret": "example-secret",
            }],
            "models": [{
                "server": "asazure://westus.asazure.windows.net/myserver",
                "database": "AdventureWorks",
                "notStartedMillis": 1_000,
                "durationMillis": 20_000,
            }, {
                "groupId": "f089354e-8366-4e18-aea3-4cb4a3a50b48",
                "datasetId": "cfafbeb1-8037-4d0c-896e-a46fb27ff229",
                "workspace": "Sales",
                "dataset": "AdventureWorks",
                "notStartedMillis": 1_000,
                "durationMillis": 20_000,
            }],
        });
        Self::read(&initial_state.to_string())
    }

    /// Applies the initial state.
    ///
    /// # Errors
    /// When a part of it is invalid.
    pub fn set(self, state: &State) -> Result<(), Error> {
        for cloud in self.clouds {
            state.clouds.declare(cloud)?;
        }
        for application in self.applications {
            register(state, application)?;
        }
        for issuer in self.issuers {
            state.entra.issuers.put(issuer)?;
        }
        for identity in self.managed_identities {
            put_identity(state, identity)?;
        }
        for model in self.models {
            put_model(state, model)?;
        }
        if let Some(health) = self.entra {
            state.entra.set_health(health);
        }
        for rule in self.faults {
            state.faults.add(rule);
        }
        Ok(())
    }
}

/// Registers an application.
///
/// # Errors
/// When it has no ids or an invalid certificate.
pub fn register(state: &State, registration: Registration) -> Result<(), Error> {
    if registration.tenant_id.is_empty() || registration.client_id.is_empty() {
        return Err(Error::NoIds);
    }
    if let Some(cloud) = &registration.cloud {
        check_cloud(state, cloud)?;
    }
    Ok(state.entra.directory.put(registration)?)
}

fn check_cloud(state: &State, name: &str) -> Result<(), Error> {
    state.clouds.named(name).map(|_| ()).ok_or_else(|| Error::NoCloud(name.to_owned()))
}

/// Adds a managed identity to the machine.
///
/// # Errors
/// When it has no ids or an unknown cloud.
pub fn put_identity(state: &State, identity: Identity) -> Result<(), Error> {
    if identity.tenant_id.is_empty() || identity.client_id.is_empty() {
        return Err(Error::NoIdentityIds);
    }
    check_cloud(state, &identity.cloud)?;
    state.identities.put(identity);
    Ok(())
}

/// Creates or changes a model.
///
/// # Errors
/// When its settings are invalid.
pub fn put_model(state: &State, settings: ModelSettings) -> Result<(), Error> {
    check(&settings, &state.clouds)?;
    state.world.put(settings, Timestamp::now());
    Ok(())
}

/// Checks the settings beyond their types.
///
/// # Errors
/// When they are invalid.
pub fn check(settings: &ModelSettings, clouds: &Clouds) -> Result<(), Error> {
    let stands_at = |host: &str, service| clouds.site(host).is_some_and(|site| site.service == service);
    if settings.group_id.is_some() || settings.dataset_id.is_some() {
        if settings.power_bi_ids().is_none() || !settings.server.is_empty() || !settings.database.is_empty() {
            return Err(Error::Names);
        }
        if !stands_at(&settings.api_host, Service::PowerBi) {
            return Err(Error::ApiHost(settings.api_host.clone()));
        }
    } else {
        let named = settings.server.strip_prefix("asazure://").and_then(|rest| rest.split_once('/'));
        let reachable =
            named.is_some_and(|(host, name)| stands_at(host, Service::AnalysisServices) && !name.is_empty() && !name.contains(['/', ':']));
        if !reachable {
            return Err(Error::Server(settings.server.clone()));
        }
        if settings.database.is_empty() {
            return Err(Error::NoDatabase);
        }
    }
    let statuses = [
        settings.paused_status,
        settings.delete_status,
        settings.delete_ended_status,
        settings.delete_unknown_status,
        settings.get_unknown_status,
        settings.sync.no_replica_status,
        settings.sync.refused_status,
        settings.sync.unknown_status,
        settings.power_bi.running_status,
        settings.power_bi.delete_ended_status,
        settings.scale_out.disabled_post_status,
    ];
    let scripted = settings.details.values().map(|response| response.status);
    match statuses.into_iter().chain(scripted).find(|status| !(200..=999).contains(status)) {
        Some(status) => Err(Error::Status(status)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_is_valid() {
        let initial_state = InitialState::example().unwrap();
        assert_eq!((initial_state.applications.len(), initial_state.models.len()), (1, 2));
        for model in &initial_state.models {
            check(model, &Clouds::default()).unwrap();
        }
    }

    #[test]
    fn yaml_is_parsed_and_unknown_field_is_named() {
        let initial_state =
            InitialState::read("models:\n- {server: 'asazure://a.asazure.windows.net/s', database: M, outcome: {status: failed}}\n")
                .unwrap();
        assert_eq!(initial_state.models[0].outcome.status, crate::world::settings::End::Failed);
        let error = InitialState::read("model: []").err().unwrap().to_string();
        assert!(error.contains("unknown field `model`"), "{error}");
    }

    #[test]
    fn unreachable_server_is_refused() {
        for server in ["", "westus.asazure.windows.net/s", "asazure://example.com/s", "asazure://westus.asazure.windows.net/s:rw"] {
            let settings = ModelSettings { server: server.into(), database: "M".into(), ..ModelSettings::default() };
            assert!(check(&settings, &Clouds::default()).is_err(), "{server}");
        }
    }
}
