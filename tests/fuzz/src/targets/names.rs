//! Names and the URLs that are built from them. A token must be sent only to the hosts of the cloud.

use tabular_operator::azure::analysis_services::{DatabaseName, ServerName};
use tabular_operator::azure::cloud::Cloud;
use tabular_operator::azure::fuzzing;
use tabular_operator::azure::power_bi::ModelName;
use tabular_operator::operation::ModelIds;
use url::Url;

use crate::invariants;
use crate::response::{ResponseInput, line};

/// A page of workspaces or semantic models. Ids are GUIDs, and names are bounded.
pub fn lookup(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    match fuzzing::names(&input.response) {
        Ok((rows, next)) => {
            assert!(input.is_success() && !input.has_body_fault);
            for (id, name) in rows {
                invariants::bounded(&name, 512);
                let by_ids = ModelName::by_ids(&id, &id).unwrap();
                assert_eq!(by_ids.ids(), Some(&ModelIds { group_id: id.clone(), dataset_id: id }));
            }
            assert!(next.is_none_or(|next| next.chars().count() <= 2048));
        }
        Err(error) => invariants::service_error(&error),
    }
}

/// The name of a server and, on the second line, of a database. The URL has a host of the cloud, and one path segment per name.
pub fn server(input: &[u8]) {
    let (server, database) = line(input);
    let (Ok(server), Ok(database)) = (std::str::from_utf8(server), std::str::from_utf8(database)) else { return };
    let database = DatabaseName::parse(database);
    for cloud in [Cloud::public(), Cloud::us_government(), Cloud::china()] {
        let server = match ServerName::parse(server, &cloud) {
            Ok(server) => server,
            Err(message) => {
                assert!(!message.is_empty());
                continue;
            }
        };
        let suffixes: Vec<&str> = cloud.analysis_services.iter().map(|service| service.host.as_str()).collect();
        assert!(suffixes.iter().any(|suffix| server.host().ends_with(suffix)), "{server}");
        assert!(cloud.analysis_services.iter().any(|service| service.scope == server.scope()), "{server}");
        assert_eq!(ServerName::parse(&server.to_string(), &cloud).as_ref(), Ok(&server));
        let Ok(database) = &database else { continue };
        for (url, last) in [(fuzzing::refreshes(&server, database), "refreshes"), (fuzzing::sync(&server, database), "sync")] {
            let url = url.unwrap();
            assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some(server.host()), None), "{url}");
            assert!(url.query().is_none() && url.fragment().is_none() && url.username().is_empty(), "{url}");
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            assert!(segments.len() == 5 && segments[0] == "servers" && segments[2] == "models" && segments[4] == last, "{url}");
        }
    }
}

/// A cloud file. Each of its hosts is only a host, without a path, a query or credentials.
pub fn cloud_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let cloud = match Cloud::from_file_text(text) {
        Ok(cloud) => cloud,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let origin = |address: &str, with_port: bool| {
        let url = Url::parse(address).unwrap();
        assert!(url.scheme() == "https" && url.username().is_empty() && url.password().is_none(), "{address}");
        assert!(url.path() == "/" && url.query().is_none() && url.fragment().is_none(), "{address}");
        assert!(with_port || url.port().is_none(), "{address}");
        assert_eq!(
            url.as_str().trim_end_matches('/'),
            address.trim_end_matches('/').trim_end_matches(":443"),
            "parsing changes the address"
        );
    };
    origin(&cloud.authority_host, true);
    for service in &cloud.analysis_services {
        origin(&format!("https://westus{}", service.host), false);
        check_scope(&service.scope);
    }
    if let Some(service) = &cloud.power_bi {
        origin(&format!("https://{}", service.host), true);
        check_scope(&service.scope);
    }
    assert!(!cloud.analysis_services.is_empty() || cloud.power_bi.is_some());
}

fn check_scope(scope: &str) {
    assert!(scope.ends_with("/.default") && !scope.chars().any(|c| c.is_control() || c == ' '), "{scope:?}");
}
