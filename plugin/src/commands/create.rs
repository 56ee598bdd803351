//! `create`: prints the manifest of a new resource.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use tabular_operator::api::{AnalysisServicesModel, Kind, Model, PowerBiModel, RefreshObject, RefreshType};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::manifests::{Access, Checker, Identity, OperatorAccount, Template, write};
use crate::session::Session;

const REFRESH_EXAMPLES: &str = "\
Examples:
  kubectl tabular create refresh sales --url https://app.powerbi.com/groups/GROUP/datasets/DATASET \\
      --secret pbi-sp --schedule \"0 5 * * *\" --time-zone Europe/Rome --stale-after 26h > sales.yaml
      A semantic model by its address in the portal, refreshed every day.

  kubectl tabular create refresh orders --server asazure://westus.asazure.windows.net/myserver \\
      --database Orders --secret aas-sp --with-access --table DimDate --partition FactOrders/2026-11
      A table and a partition, and the permission for the operator to read the Secret.";

const SYNC_EXAMPLES: &str = "\
Examples:
  kubectl tabular create sync sales-replicas --after sales | kubectl apply -n bi -f -
      The replicas of the model that the refresh sales refreshes, after each of its runs.

  kubectl tabular create sync orders --server asazure://westus.asazure.windows.net/myserver \\
      --database Orders --service-account bi-refresher --schedule \"*/30 * * * *\"
      A model on a schedule.";

/// What to create.
#[derive(Debug, Subcommand)]
pub enum CreateCommand {
    /// Print the manifest of a ModelRefresh.
    #[command(after_help = REFRESH_EXAMPLES)]
    Refresh(RefreshArgs),
    /// Print the manifest of a ModelSync.
    #[command(after_help = SYNC_EXAMPLES)]
    Sync(SyncArgs),
}

/// The arguments of `create refresh`.
#[derive(Args, Debug)]
pub struct RefreshArgs {
    #[command(flatten)]
    pub(super) common: ManifestArgs,
    /// Processing of the model or its tables.
    #[arg(long = "type", value_name = "TYPE", default_value = "full", value_parser = types())]
    pub r#type: RefreshType,
    /// Table to refresh. Repeat the flag for more. Default: the whole model.
    #[arg(long = "table", value_name = "TABLE")]
    pub tables: Vec<String>,
    /// Partition to refresh; the table ends at the first slash. Repeat the flag for more.
    #[arg(long = "partition", value_name = "TABLE/PARTITION", value_parser = partition)]
    pub partitions: Vec<RefreshObject>,
    /// Maximum age of the data, such as 26h or 7d.
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub stale_after: Option<i64>,
}

/// The arguments of `create sync`.
#[derive(Args, Debug)]
pub struct SyncArgs {
    #[command(flatten)]
    pub(super) common: ManifestArgs,
}

/// The arguments for both kinds.
#[derive(Args, Debug)]
#[group(skip)]
pub struct ManifestArgs {
    /// Name of the resource.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Namespace to write into the manifest. Default: none.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Analysis Services: server, such as asazure://westus.asazure.windows.net/myserver.
    #[arg(long, value_name = "SERVER", requires = "database", group = "model", help_heading = "Model")]
    pub server: Option<String>,
    /// Analysis Services: database.
    #[arg(long, value_name = "DATABASE", requires = "server", help_heading = "Model")]
    pub database: Option<String>,
    /// Power BI: workspace, by name or id.
    #[arg(long, value_name = "WORKSPACE", requires = "dataset", group = "model", help_heading = "Model")]
    pub workspace: Option<String>,
    /// Power BI: semantic model, by name or id as the workspace.
    #[arg(long, value_name = "DATASET", requires = "workspace", help_heading = "Model")]
    pub dataset: Option<String>,
    /// Power BI: address of the semantic model in the portal, for its ids.
    #[arg(long, value_name = "URL", value_parser = portal, group = "model", help_heading = "Model")]
    pub url: Option<PowerBiModel>,

    /// Secret with a service principal.
    #[arg(long, value_name = "NAME", group = "identity", help_heading = "Identity")]
    pub secret: Option<String>,
    /// ServiceAccount that is federated with Microsoft Entra ID.
    #[arg(long, value_name = "NAME", group = "identity", help_heading = "Identity")]
    pub service_account: Option<String>,
    /// Managed identity: user-assigned by its client id, or system-assigned.
    #[arg(
        long, value_name = "CLIENT_ID", num_args = 0..=1, require_equals = true, default_missing_value = "", group = "identity",
        help_heading = "Identity"
    )]
    pub managed_identity: Option<String>,
    /// The operator's own identity.
    #[arg(long, group = "identity", help_heading = "Identity")]
    pub operator_identity: bool,
    /// Also print the Role and the RoleBinding that let the operator use the Secret or the ServiceAccount.
    #[arg(long, help_heading = "Identity")]
    pub with_access: bool,
    /// ServiceAccount of the operator, for --with-access.
    ///
    /// The default is that of a Helm release tabular-operator in the namespace tabular-system. The chart names the
    /// ServiceAccount with the full name of the release.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "tabular-system/tabular-operator", help_heading = "Identity")]
    pub operator_service_account: OperatorAccount,

    /// Schedule in cron, such as "0 5 * * *".
    #[arg(long, value_name = "CRON", conflicts_with = "after", help_heading = "Trigger")]
    pub schedule: Option<String>,
    /// Time zone of the schedule, such as Europe/Rome. Default: UTC.
    #[arg(long, value_name = "ZONE", requires = "schedule", help_heading = "Trigger")]
    pub time_zone: Option<String>,
    /// Run after each successful run of this ModelRefresh.
    #[arg(long, value_name = "REFRESH", help_heading = "Trigger")]
    pub after: Option<String>,
    /// Start no run until spec.suspend is set to false.
    #[arg(long, help_heading = "Trigger")]
    pub suspend: bool,
}

impl CreateCommand {
    /// Prints the manifest.
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let (args, template) = self.template()?;
        let checker = Checker::new(&[template.kind]).map_err(|error| bug(&error))?;
        let findings = checker.check(template.kind, &template.resource());
        if let Some((last, others)) = findings.split_last() {
            for finding in others {
                session.note(&format!("error: {finding}"));
            }
            return Err(usage(last.to_string()));
        }
        session.print_text(&text(&args, &template)?);
        Ok(Exit::Success)
    }

    fn template(self) -> Result<(ManifestArgs, Template), Failure> {
        let (kind, common, refresh) = match self {
            Self::Refresh(RefreshArgs { common, r#type, tables, partitions, stale_after }) => {
                let tables = tables.into_iter().map(|table| RefreshObject { table, partition: None });
                (Kind::ModelRefresh, common, Some((r#type, tables.chain(partitions).collect(), stale_after)))
            }
            Self::Sync(SyncArgs { common }) => (Kind::ModelSync, common, None),
        };
        let (r#type, objects, stale_after) =
            refresh.map_or((None, Vec::new(), None), |(r#type, objects, stale)| (Some(r#type), objects, stale));
        let (model, identity) = (model(&common)?, identity(&common));
        // A sync has the model and the identity of its upstream, and a rule of its definition forbids the identity alone.
        let inherits = kind == Kind::ModelSync && common.after.is_some();
        if model.is_none() && !inherits {
            let upstream = if kind == Kind::ModelSync { ", or --after" } else { "" };
            return Err(usage(format!("set the model: --server and --database, --workspace and --dataset, or --url{upstream}")));
        }
        if identity.is_none() && !(inherits && model.is_none()) {
            return Err(usage("set the identity: --secret, --service-account, --managed-identity or --operator-identity"));
        }
        let template = Template {
            kind,
            name: common.name.clone(),
            namespace: common.namespace.clone(),
            model,
            identity,
            r#type,
            objects,
            schedule: common.schedule.clone(),
            time_zone: common.time_zone.clone(),
            after: common.after.clone(),
            stale_after,
            suspend: common.suspend,
        };
        Ok((common, template))
    }
}

/// The manifests, as YAML.
fn text(args: &ManifestArgs, template: &Template) -> Result<String, Failure> {
    let mut access = Access::default();
    if args.with_access {
        let found = template.access(&args.operator_service_account);
        access = found.ok_or_else(|| usage("--with-access requires --secret or --service-account"))?;
    }
    access.resources.push(template.resource());
    let resources = write(&access.resources).map_err(|error| bug(&error))?;
    Ok(access.comment + &resources)
}

fn bug(error: &str) -> Failure {
    Failure::new(format!("failed to write the manifest: {error}"))
}

fn usage(sentence: impl Into<String>) -> Failure {
    Failure::with_exit(Exit::Usage, sentence)
}

fn model(args: &ManifestArgs) -> Result<Option<Model>, Failure> {
    if let (Some(server), Some(database)) = (&args.server, &args.database) {
        let analysis_services = AnalysisServicesModel { server: server.clone(), database: database.clone() };
        return Ok(Some(Model { analysis_services: Some(analysis_services), power_bi: None }));
    }
    let power_bi = match (&args.workspace, &args.dataset) {
        (Some(workspace), Some(dataset)) => Some(by_name_or_id(workspace, dataset)?),
        _ => args.url.clone(),
    };
    Ok(power_bi.map(|power_bi| Model { analysis_services: None, power_bi: Some(power_bi) }))
}

fn by_name_or_id(workspace: &str, dataset: &str) -> Result<PowerBiModel, Failure> {
    match (is_guid(workspace), is_guid(dataset)) {
        (true, true) => Ok(by_id(workspace, dataset)),
        (false, false) => {
            let (workspace, dataset) = (Some(workspace.to_owned()), Some(dataset.to_owned()));
            Ok(PowerBiModel { group_id: None, dataset_id: None, workspace, dataset })
        }
        _ => Err(usage("--workspace and --dataset must be two names or two ids")),
    }
}

fn by_id(group: &str, dataset: &str) -> PowerBiModel {
    PowerBiModel { group_id: Some(group.to_owned()), dataset_id: Some(dataset.to_owned()), workspace: None, dataset: None }
}

fn identity(args: &ManifestArgs) -> Option<Identity> {
    let secret = args.secret.clone().map(Identity::Secret);
    let account = || args.service_account.clone().map(Identity::ServiceAccount);
    let managed = || args.managed_identity.clone().map(|id| Identity::Managed(Some(id).filter(|id| !id.is_empty())));
    secret.or_else(account).or_else(managed).or_else(|| args.operator_identity.then_some(Identity::Operator))
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// The ids in an address of the portal, such as `https://app.powerbi.com/groups/…/datasets/…/details`.
fn portal(text: &str) -> Result<PowerBiModel, String> {
    let path = text.strip_prefix("https://").and_then(|rest| rest.split(['?', '#']).next()).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let after = |names: &[&str]| parts.iter().position(|part| names.contains(part)).and_then(|index| parts.get(index + 1).copied());
    match (after(&["groups", "workspaces"]), after(&["datasets", "semanticmodels"])) {
        (Some(group), Some(dataset)) if is_guid(group) && is_guid(dataset) => Ok(by_id(group, dataset)),
        (Some("me"), _) => Err("the model is in My workspace, where only its owner can refresh it: move it to a workspace".to_owned()),
        _ => Err("must be the address of a semantic model, such as https://app.powerbi.com/groups/GROUP/datasets/DATASET".to_owned()),
    }
}

const TYPES: [RefreshType; 6] = [
    RefreshType::Full,
    RefreshType::ClearValues,
    RefreshType::Calculate,
    RefreshType::DataOnly,
    RefreshType::Automatic,
    RefreshType::Defragment,
];

fn types() -> impl TypedValueParser<Value = RefreshType> {
    let of = |name: String| TYPES.into_iter().find(|kind| kind.as_str() == name).unwrap_or_default();
    PossibleValuesParser::new(TYPES.map(RefreshType::as_str)).map(of)
}

fn partition(text: &str) -> Result<RefreshObject, String> {
    match text.split_once('/') {
        Some((table, partition)) if !table.is_empty() && !partition.is_empty() => {
            Ok(RefreshObject { table: table.to_owned(), partition: Some(partition.to_owned()) })
        }
        _ => Err("must be TABLE/PARTITION".to_owned()),
    }
}

/// An age of data in seconds: a duration, or whole days. The definition has the bounds.
fn age(text: &str) -> Result<i64, String> {
    const DAY: i64 = 86_400;
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()).and_then(|days| days.checked_mul(DAY));
    let other = || text.parse::<i64>().ok().or_else(|| text.parse::<jiff::SignedDuration>().ok().map(|duration| duration.as_secs()));
    days.or_else(other).ok_or_else(|| "must be a duration such as 26h, 90m or 7d".to_owned())
}

#[cfg(test)]
mod tests;
