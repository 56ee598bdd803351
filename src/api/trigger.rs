//! What starts a run.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Five fields of cron, as in a Kubernetes `CronJob`: each a list of `*`, a value or a range, with or without a step.
const CRON: &str = "self.matches('(?i)^ *\
    ([*]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]*)?(,([*]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]*)?)* +\
    ([*]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]*)?(,([*]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]*)?)* +\
    ([*]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]*)?\
    (,([*]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]*)?)* +\
    ([*]|(MONTH)(-(MONTH))?)(/[1-9][0-9]*)?(,([*]|(MONTH)(-(MONTH))?)(/[1-9][0-9]*)?)* +\
    ([*]|(WEEKDAY)(-(WEEKDAY))?)(/[1-9][0-9]*)?(,([*]|(WEEKDAY)(-(WEEKDAY))?)(/[1-9][0-9]*)?)* *$'\
    .replace('MONTH', '0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC')\
    .replace('WEEKDAY', '[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT'))";

/// What starts a run, in addition to the annotation `tabular-operator.dev/run-requested-at`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.schedule)")
    .message("timeZone: must not be set without schedule"))]
#[x_kube(validation = Rule::new("!has(self.startingDeadlineSeconds) || has(self.schedule)")
    .message("startingDeadlineSeconds: must not be set without schedule"))]
#[x_kube(validation = Rule::new("!(has(self.schedule) && has(self.afterRefresh))")
    .message("set at most one of schedule and afterRefresh"))]
pub struct TriggerSpec {
    /// Whether a new resource, and each change of `model` or `refresh` (if the kind has it), starts a run. Default: true, but false with
    /// `schedule` or `afterRefresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change: Option<bool>,
    /// Free text, such as a release or a commit. A new value starts a run; on a new resource, `onChange` decides. At most 256
    /// characters. Removing the token starts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub token: Option<String>,
    /// When to run, as five fields of cron: minute, hour, day of month, month, day of week. If times pass while the operator is down or the
    /// resource is suspended, one run makes up for them, within `startingDeadlineSeconds`. When clocks change, a fixed
    /// hour runs once a day: a skipped time runs immediately after the change, and a repeated time runs the first time only. An hour that
    /// begins with `*` follows local time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 100))]
    #[x_kube(validation = Rule::new(CRON)
        .message("schedule: must have five fields of cron (minute 0-59, hour 0-23, day of month 1-31, month 1-12 or JAN-DEC, day of \
            week 0-7 or SUN-SAT), such as \"0 5 * * *\"; set the time zone in timeZone"))]
    pub schedule: Option<String>,
    /// The IANA name of the time zone of `schedule`, such as `Europe/Rome`. Default: `Etc/UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^(UTC|GMT|[A-Za-z]+(/[A-Za-z0-9_+-]+){1,2})$')")
        .message("timeZone: must be an IANA name such as Europe/Rome or Etc/UTC, not an abbreviation or an offset"))]
    pub time_zone: Option<String>,
    /// How late a scheduled run may still start, in seconds, 10 to 604800. The operator skips it after that. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 604_800))]
    pub starting_deadline_seconds: Option<i32>,
    /// A `ModelRefresh` in this namespace. After each of its runs that succeeds while this resource exists, this resource runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_refresh: Option<AfterRefresh>,
}

/// Reference to the upstream `ModelRefresh`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AfterRefresh {
    /// Name of a `ModelRefresh` in this namespace.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("name: must be the name of a ModelRefresh in this namespace"))]
    pub name: String,
}

impl TriggerSpec {
    /// Whether a new resource, and a change of the model or the refresh parameters, start a run.
    #[must_use]
    pub fn runs_on_change(&self) -> bool {
        self.on_change.unwrap_or(self.schedule.is_none() && self.after_refresh.is_none())
    }
}
