//! Query scale-out of a semantic model: `scaleOut` in the body of `PUT /models`.

use serde::{Deserialize, Serialize};

use crate::world::timestamp::TimestampStyle;

/// The settings of query scale-out. Whatever is absent has the default that is named at the field.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ScaleOutSettings {
    /// `scaleOutStatus`: `Enabled`, `TenantSettingDisabled`, `StorageModeNotSupported`, `ReadOnlyReplicasDisabled`, `Unavailable`,
    /// or any other text. An empty text: the whole answer is empty. Default `Enabled`.
    pub status: String,
    /// Whether `status` holds only until a refresh has succeeded, which loads the model, and is `Enabled` then. Default false.
    pub until_loaded: bool,
    /// How many read-only replicas there are. Default 1.
    pub replicas: u32,
    /// Whether each commit is synchronised at once, without being asked. Default false.
    pub auto_sync: bool,
    /// How long a sync takes. Default 1000.
    pub sync_millis: u64,
    /// Whether syncs never end. Default false.
    pub stuck: bool,
    /// How far behind the status is that clients see. Default 0.
    pub status_lag_millis: u64,
    /// The status of a POST while `status` is not `Enabled`. Default 200 with the status object; 400 and more with an error.
    pub disabled_post_status: u16,
    /// How timestamps are written. Default seven digits and `Z`, as documented.
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
