//! How the state of a long stream is kept, so that it need not be folded from its first event.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// What reads and writes the kept states of an aggregate. One that was kept under another version is ignored.
pub struct Snapshots<A> {
    pub version: i16,
    pub write: fn(&A) -> Result<Box<RawValue>, serde_json::Error>,
    pub read: fn(&str) -> Result<A, serde_json::Error>,
}

impl<A: Serialize + DeserializeOwned> Snapshots<A> {
    /// A new version for a new shape, and for an `evolve` that makes something else of the same events: `samples::check_state` notices both.
    pub const fn of_version(version: i16) -> Self {
        Self { version, write: serde_json::value::to_raw_value, read }
    }
}

fn read<A: DeserializeOwned>(json: &str) -> Result<A, serde_json::Error> {
    serde_json::from_str(json)
}
