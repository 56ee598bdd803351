//! One sample of a process: its memory, descriptors, tasks, metric series, and the entries of its collections.

use std::time::Duration;

/// Timeout of a scrape: a frozen process does not respond.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Each resource of the metrics has one of these series.
const INFO: &str = "tabular_operator_resource_info{";
const ENTRIES: &str = "tabular_operator_tracked_entries{collection=\"";

/// The values of a process by name, always in the same order: [`MEMORY`], [`DESCRIPTORS`], [`TASKS`], the numbers of resources and series
/// in the metrics, and the collections.
pub type Values = Vec<(String, u64)>;

pub const MEMORY: &str = "memory";
pub const DESCRIPTORS: &str = "file descriptors";
pub const TASKS: &str = "tasks";
pub const IN_METRICS: &str = "resources in the metrics";
pub const RESOURCE_SERIES: &str = "series of resources";
pub const OTHER_SERIES: &str = "other series";
/// The start of the names of collections.
pub const COLLECTION: &str = "entries: ";

/// The metrics of a replica.
pub struct Scraper {
    url: String,
    http: reqwest::Client,
}

impl Scraper {
    pub fn new(address: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().expect("the client is created");
        Self { url: format!("http://{address}/metrics"), http }
    }

    async fn text(&self) -> Option<String> {
        self.http.get(&self.url).send().await.ok()?.text().await.ok()
    }

    /// Whether the process responds and leads.
    pub async fn leads(&self) -> bool {
        self.text().await.is_some_and(|text| text.lines().any(|line| line == "tabular_operator_is_leader 1"))
    }

    /// The values of a process, and whether it leads. `None` if it does not respond.
    pub async fn sample(&self, pid: u32) -> Option<(Values, bool)> {
        // First, so that the connection of the scrape is not counted.
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        let text = self.text().await?;
        let (mut in_metrics, mut of_resources, mut others, mut tasks, mut leads, mut entries) = (0, 0, 0, 0, false, Vec::new());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            *(if line.contains("exported_namespace=\"") { &mut of_resources } else { &mut others }) += 1;
            in_metrics += u64::from(line.starts_with(INFO));
            let value = line.rsplit(' ').next().and_then(|value| value.parse().ok());
            if let Some((name, _)) = line.strip_prefix(ENTRIES).and_then(|rest| rest.split_once('"')) {
                entries.push((format!("{COLLECTION}{name}"), value?));
            } else if line.starts_with("tabular_operator_tasks ") {
                tasks = value?;
            } else if line == "tabular_operator_is_leader 1" {
                leads = true;
            }
        }
        entries.sort_unstable();
        let mut values = vec![
            (MEMORY.to_owned(), resident_kib(pid)?),
            (DESCRIPTORS.to_owned(), u64::try_from(descriptors).ok()?),
            (TASKS.to_owned(), tasks),
            (IN_METRICS.to_owned(), in_metrics),
            (RESOURCE_SERIES.to_owned(), of_resources),
            (OTHER_SERIES.to_owned(), others),
        ];
        values.extend(entries);
        Some((values, leads))
    }
}

/// The resident memory of a process, unless it has ended.
fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}
