//! Query scale-out of a semantic model: `scaleOut` in the body of `PUT /models`.

use serde::{Deserialize, Serialize};

use crate::world::timestamp::TimestampStyle;

/// The settings of query scale-out. Each field's comment names its default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ScaleOutSettings {
    /// `scaleOutStatus`: `Enabled`, `TenantSettingDisabled`, `StorageModeNotSupported`, `ReadOnlyReplicasDisabled`, `Unavailable`, or any
    /// other text. Empty: the whole response is empty. Default `Enabled`.
    pub status: String,
    /// Whether `status` becomes `Enabled` after the first successful refresh, which loads the model. Default false.
    pub until_loaded: bool,
    /// Number of read-only replicas. Default 1.
    pub replicas: u32,
    /// Whether each commit is synchronized automatically. Default false.
    pub auto_sync: bool,
    /// The duration of a sync. Default 1000.
    pub sync_millis: u64,
    /// Whether syncs never end. Default false.
    pub stuck: bool,
    /// How far the visible status lags behind. Default 0.
    pub status_lag_millis: u64,
    /// The status of a POST while `status` is not `Enabled`. Default 200 with the status object; 400 and above with an error.
    pub disabled_post_status: u16,
    /// The format of timestamps. Default seven digits and `Z`, as documented.
    pub timestamp_style: TimestampStyle,
}

impl Default for ScaleOutSettings {
    fn default() -> Self {
        Self {
            status: "Enabled".to_owned(),
            until_loaded: false,
            replicas: 1,
            auto_sync: false,
            sync_millis: 1_000,
            stuck: false,
            status_lag_millis: 0,
            disabled_post_status: 200,
            timestamp_style: TimestampStyle::default(),
        }
    }
}
