//! Resolves the names of a workspace and a semantic model to their ids.

use std::marker::PhantomData;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{IgnoredAny, MapAccess};
use tokio::time::Instant;
use url::Url;

use super::names::{groups, parse_guid};
use super::similar_names::RequestedName;
use crate::azure::classify;
use crate::azure::http::REDIRECTS;
use crate::azure::http::json_array::NEXT_PAGE;
use crate::azure::http::lenient_json::{Fields, List, Object, Text};
use crate::azure::http::location::{self, LocationTarget};
use crate::azure::session::Session;
use crate::operation::{CallKind, ModelExistence, ModelIds, ModelLookup, ServiceError, ServiceErrorKind, ServiceKind};

/// Maximum number of pages of one list. Power BI does not document pages for these lists, but may return a link to a next one.
const MAX_PAGES: usize = 20;
/// The timeout of the search for workspaces with a similar name.
const SIMILAR_NAMES_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum number of rows of a page: more than fit into the largest response.
const MAX_ROWS: usize = 250_000;

/// Sends `GET groups?$filter=name eq '…'`, and then `GET groups/<id>/datasets`, within the timeout of one call. If no workspace has the
/// name, sends `GET groups` instead, for the message.
pub(in crate::azure) async fn resolve(session: &Session, host: &str, workspace: &str, dataset: &str) -> ModelLookup {
    let Some(groups) = groups(host) else {
        return ModelLookup::Failed(ServiceError::new(ServiceErrorKind::Rejected, "the Power BI host of the cloud results in no URL"));
    };
    let deadline = session.deadline();
    match search(session, &groups, (&RequestedName::new(workspace), &RequestedName::new(dataset)), deadline).await {
        Ok(ids) => ModelLookup::Found(ids),
        Err(LookupError::Ambiguous(sentence)) => ModelLookup::Ambiguous(sentence),
        Err(LookupError::Call(error)) => ModelLookup::Failed(error),
    }
}

/// Why there are no ids.
#[derive(Debug, PartialEq, Eq)]
enum LookupError {
    Ambiguous(String),
    Call(ServiceError),
}

async fn search(
    session: &Session,
    groups: &Url,
    (workspace, dataset): (&RequestedName<'_>, &RequestedName<'_>),
    deadline: Instant,
) -> Result<ModelIds, LookupError> {
    let rows = matching_rows(session, filtered(groups, workspace.name), deadline, |row| workspace.matches(&row.name)).await?;
    let group_id = match only_match(rows, workspace.name) {
        Ok(id) => id,
        // The filter is exact, so only the list of all workspaces has similar names. If it is not available, the message is less precise.
        Err(0) => {
            let similar = similar_workspaces(session, groups, workspace, deadline).await.unwrap_or_default();
            return Err(LookupError::Ambiguous(ambiguous_message("workspace", workspace, 0, similar)));
        }
        Err(count) => return Err(LookupError::Ambiguous(ambiguous_message("workspace", workspace, count, Vec::new()))),
    };
    let mut datasets = groups.clone();
    datasets.set_path(&format!("{}/{group_id}/datasets", groups.path()));
    let rows = matching_rows(session, datasets, deadline, |row| dataset.matches(&row.name) || dataset.resembles(&row.name)).await?;
    let (rows, similar): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| dataset.matches(&row.name));
    match only_match(rows, dataset.name) {
        Ok(dataset_id) => Ok(ModelIds { group_id, dataset_id }),
        Err(count) => Err(LookupError::Ambiguous(ambiguous_message("semantic model", dataset, count, similar))),
    }
}

/// The workspaces with a similar name, from the first page of the list. The message about a missing workspace is worth no long wait, and
/// neither an error nor a throttle of this request affects any other.
async fn similar_workspaces(session: &Session, groups: &Url, workspace: &RequestedName<'_>, deadline: Instant) -> Option<Vec<Row>> {
    let deadline = deadline.min(Instant::now() + SIMILAR_NAMES_TIMEOUT);
    let incoming = session.get(CallKind::Resolve, groups.clone(), deadline, &REDIRECTS).await.ok()?;
    let page = page_of(&incoming.read_whole().await).ok()?;
    Some(page.rows.into_iter().filter(|row| workspace.resembles(&row.name)).collect())
}

/// Sends `GET groups/<id>/datasets` to check whether the semantic model is in its workspace. If the identity has no access to the
/// workspace, Power BI reports that the workspace does not exist.
pub(in crate::azure) async fn find(session: &Session, host: &str, ids: &ModelIds) -> ModelExistence {
    let Some(mut datasets) = groups(host) else {
        return ModelExistence::Failed(ServiceError::new(ServiceErrorKind::Rejected, "the Power BI host of the cloud results in no URL"));
    };
    datasets.set_path(&format!("{}/{}/datasets", datasets.path(), ids.group_id));
    match matching_rows(session, datasets, session.deadline(), |row| row.id == ids.dataset_id).await {
        Ok(rows) if rows.is_empty() => ModelExistence::Absent,
        Ok(_) => ModelExistence::Exists,
        Err(LookupError::Call(error)) => ModelExistence::Failed(error),
        Err(LookupError::Ambiguous(message)) => ModelExistence::Failed(ServiceError::new(ServiceErrorKind::InvalidResponse, message)),
    }
}

/// The list of workspaces with this name. `OData` doubles a quote within a text.
fn filtered(groups: &Url, name: &str) -> Url {
    let quoted = format!("name eq '{}'", name.replace('\'', "''"));
    let mut url = groups.clone();
    url.set_query(Some(&format!("$filter={}", utf8_percent_encode(&quoted, NON_ALPHANUMERIC))));
    url
}

/// The matching rows of a list, over all pages.
async fn matching_rows(session: &Session, list: Url, deadline: Instant, matches: impl Fn(&Row) -> bool) -> Result<Vec<Row>, LookupError> {
    let (mut found, mut url) = (Vec::new(), list);
    for _ in 0..MAX_PAGES {
        let incoming = session.get(CallKind::Resolve, url.clone(), deadline, &REDIRECTS).await.map_err(LookupError::Call)?;
        let mut response = incoming.read_whole().await;
        session.record_throttle_and_token(&mut response);
        let page = page_of(&response).map_err(LookupError::Call)?;
        found.extend(page.rows.into_iter().filter(|row| matches(row)));
        match page.next.as_deref().map(|next| location::target(next, &url)) {
            None => return Ok(found),
            Some(LocationTarget::SameOrigin(next)) => url = next,
            Some(LocationTarget::OtherOrigin(_) | LocationTarget::Invalid) => {
                let message = "the next page of the list is on another host, and the operator does not request it".to_owned();
                return Err(LookupError::Call(ServiceError::new(ServiceErrorKind::InvalidResponse, message)));
            }
        }
    }
    Err(LookupError::Ambiguous("there are too many workspaces or semantic models to search: set groupId and datasetId".to_owned()))
}

/// The page in a response.
pub(in crate::azure) fn page_of(response: &crate::azure::http::Response) -> Result<Page, ServiceError> {
    Page::read(classify::body_text(ServiceKind::PowerBi, response)?)
        .ok_or_else(|| ServiceError::new(ServiceErrorKind::InvalidResponse, "the response of the service is not a list of names"))
}

/// The id of the only row with this name, or the number of rows. An exact match takes precedence over a match that ignores case. For
/// workspaces, the service itself decides which names match.
fn only_match(rows: Vec<Row>, name: &str) -> Result<String, usize> {
    let distinct = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let same = distinct(rows.iter().filter(|row| row.name == name).map(|row| row.id.clone()).collect());
    let alike = distinct(rows.into_iter().map(|row| row.id).collect());
    match (<[String; 1]>::try_from(same), <[String; 1]>::try_from(alike)) {
        (Ok([id]), _) | (Err(_), Ok([id])) => Ok(id),
        (Err(_), Err(ids)) => Err(ids.len()),
    }
}

/// The message for a name of which there are this many, and these similar ones.
fn ambiguous_message(what: &str, requested: &RequestedName<'_>, count: usize, similar: Vec<Row>) -> String {
    let name = requested.name;
    match count {
        0 if !similar.is_empty() => requested.missing(what, similar.into_iter().map(|row| row.name).collect()),
        0 => format!(
            "no {what} named {name:?} is visible to this identity: check the name and its case (copy the name from Power BI: it may contain spaces or letters that look like others), or set groupId and datasetId, and grant the identity the role Contributor in the workspace"
        ),
        _ => format!("{count} {what}s are named {name:?}: set groupId and datasetId"),
    }
}

/// A workspace or a semantic model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::azure) struct Row {
    pub(in crate::azure) id: String,
    pub(in crate::azure) name: String,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::azure) struct Page {
    pub(in crate::azure) rows: Vec<Row>,
    pub(in crate::azure) next: Option<String>,
}

impl Page {
    /// Parses `{"value": [{"id", "name"}], "@odata.nextLink"}`. Ignores a row whose id is not a GUID, or that has no name.
    fn read(body: &[u8]) -> Option<Self> {
        let Object(fields) = serde_json::from_slice::<Object<PageFields>>(body).ok()?;
        Some(Self { rows: fields.rows?, next: fields.next.at_most(2048) })
    }
}

#[derive(Default)]
struct PageFields {
    rows: Option<Vec<Row>>,
    next: Text,
}

impl Fields for PageFields {
    const EXPECTED: &'static str = "a list of names";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "value" => self.rows = Some(value.next_value_seed(List { limit: MAX_ROWS, keep: RowFields::row, of: PhantomData })?),
            name if NEXT_PAGE.contains(&name) => self.next = value.next_value()?,
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct RowFields {
    id: Text,
    name: Text,
}

impl RowFields {
    fn row(self) -> Option<Row> {
        Some(Row { id: parse_guid(&self.id.0?)?, name: self.name.name(512).unwrap_or_default() })
    }
}

impl Fields for RowFields {
    const EXPECTED: &'static str = "a workspace or a semantic model";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "id" => self.id = value.next_value()?,
            "name" => self.name = value.next_value()?,
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";
    const B: &str = "cfafbeb1-8037-4d0c-896e-a46fb27ff229";

    #[test]
    fn name_is_quoted_and_encoded() {
        let groups = groups("api.powerbi.com").unwrap();
        let rows = [
            ("Sales", "%27Sales%27"),
            ("O'Brien & ä/#", "%27O%27%27Brien%20%26%20%C3%A4%2F%23%27"),
            ("' or 1 eq 1", "%27%27%27%20or%201%20eq%201%27"),
        ];
        for (name, expected) in rows {
            let expected = format!("https://api.powerbi.com/v1.0/myorg/groups?$filter=name%20eq%20{expected}");
            assert_eq!(filtered(&groups, name).as_str(), expected);
        }
    }

    #[test]
    fn one_match_is_found_and_several_are_ambiguous() {
        let row = |id: &str, name: &str| Row { id: id.to_owned(), name: name.to_owned() };
        let rows = [
            (vec![], Err(0)),
            (vec![row(A, "Sales")], Ok(A)),
            (vec![row(A, "SALES")], Ok(A)),
            (vec![row(A, "SALES"), row(B, "Sales")], Ok(B)),
            (vec![row(A, "Sales "), row(B, "Sales")], Ok(B)),
            (vec![row(A, "SALES"), row(B, "sales")], Err(2)),
            (vec![row(A, "Sales"), row(B, "Sales")], Err(2)),
            (vec![row(A, "Sales"), row(A, "Sales")], Ok(A)),
        ];
        for (rows, expected) in rows {
            assert_eq!(only_match(rows.clone(), "Sales").as_deref().map_err(|count| *count), expected, "{rows:?}");
        }
    }

    #[test]
    fn invalid_rows_of_a_page_are_ignored() {
        let page = Page::read(
            format!(
                r#"{{"@odata.context":"x","@odata.count":4,"value":[{{"id":"{}","name":" Sales ","isReadOnly":false}},
                {{"id":"../x","name":"Sales"}},{{"name":"Sales"}},{{"id":"{B}"}},{{"id":7,"name":[]}}],"@odata.nextLink":"https://x/?$skip=1"}}"#,
                A.to_uppercase()
            )
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(
            page,
            Page {
                rows: vec![Row { id: A.to_owned(), name: " Sales ".to_owned() }, Row { id: B.to_owned(), name: String::new() }],
                next: Some("https://x/?$skip=1".to_owned()),
            }
        );
        assert_eq!(Page::read(br#"{"VALUE":null}"#).unwrap(), Page::default());
        for body in ["", "[]", "{}", "null", "<html>", r#"{"error":{"code":"x"}}"#, r#"{"value":[{]}"#, r#"{"value":[1]}"#] {
            assert_eq!(Page::read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn next_page_link_is_found_by_each_name() {
        for name in ["@odata.nextLink", "odata.nextLink", "nextLink", "NextLink"] {
            let page = Page::read(format!(r#"{{"value":[],"{name}":"https://x/?$skip=1"}}"#).as_bytes()).unwrap();
            assert_eq!(page.next.as_deref(), Some("https://x/?$skip=1"), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = Page::read(&body);
        }
    }
}
