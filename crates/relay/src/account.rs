//! What a sink can say about what it holds: the other side of the proof that nothing was missed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::CommitPosition;

/// Empty for a sink that keeps no record, such as the handlers of this process: their cursors stand in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkAccount {
    /// The newest event that it was given, by (epoch, place in commit order).
    pub newest: Option<Relayed>,
    pub topics: BTreeMap<String, TopicAccount>,
}

/// The session that an event went through, as its record tells: `system identifier/timeline/epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub system_identifier: u64,
    pub timeline: u32,
    /// `relay_state.epoch`: it only grows, so a higher one than the state's is proof that the database is older than
    /// the sink.
    pub epoch: i64,
}

/// An event as its record tells where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    pub origin: Origin,
    pub at: CommitPosition,
    /// Nil for a captured change, which has none.
    pub event_id: Uuid,
}

impl Origin {
    /// Whether the places in commit order of both can be compared.
    pub fn is_of_the_same_timeline(self, other: Self) -> bool {
        (self.system_identifier, self.timeline) == (other.system_identifier, other.timeline)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.system_identifier, self.timeline, self.epoch)
    }
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or(());
        let origin = Self {
            system_identifier: next()?.parse().map_err(drop)?,
            timeline: next()?.parse().map_err(drop)?,
            epoch: next()?.parse().map_err(drop)?,
        };
        parts.next().is_none().then_some(origin).ok_or(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicAccount {
    pub partitions: i32,
    /// The next offset of each partition.
    pub ends: Vec<i64>,
}
