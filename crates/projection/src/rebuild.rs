//! The aggregate: one rebuild of one projection, from who asked for it to how it ended.

use event::{Aggregate, Context, events};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// What is built takes the place of what serves.
    Replace,
    /// What is built is compared with what serves, and thrown away.
    Compare,
}

impl Purpose {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Compare => "compare",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Replace, Self::Compare].into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// The projection is to be built once more out of the events, by rules of this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildRequested {
    pub projection: String,
    pub purpose: Purpose,
    pub version: i32,
}

/// How many rows of a table stand on one side alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub table: String,
    /// In what serves, and the events do not say so.
    pub only_serving: i64,
    /// That the events say, and what serves has not.
    pub only_rebuilt: i64,
}

/// Every stream is loaded. What was built serves, or was compared. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildCompleted {
    pub events: i64,
    /// Of a comparison: the tables that are not as they ought to be.
    pub differences: Vec<Difference>,
}

/// What was built is thrown away; what serves goes on. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildFailed {
    pub reason: String,
}

/// Somebody does not want it any more. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildCancelled {}

events! {
    /// The events of a `rebuild` stream.
    pub enum RebuildEvent { RebuildRequested = 1, RebuildCompleted = 1, RebuildFailed = 1, RebuildCancelled = 1 }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    UnderWay,
    Completed { events: i64, differences: Vec<Difference> },
    Failed { reason: String },
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuild {
    pub requested: RebuildRequested,
    pub status: Status,
}

#[derive(Debug, Clone)]
pub enum RebuildCommand {
    Request(RebuildRequested),
    Complete(RebuildCompleted),
    Fail { reason: String },
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RebuildRefusal {
    #[error("nobody has asked for it")]
    NotRequested,
    #[error("it has ended")]
    HasEnded,
}

impl Aggregate for Rebuild {
    const CATEGORY: &'static str = "rebuild";
    type Event = RebuildEvent;
    type Command = RebuildCommand;
    type Refusal = RebuildRefusal;

    fn evolve(state: Option<Self>, event: &RebuildEvent) -> Option<Self> {
        if let RebuildEvent::RebuildRequested(requested) = event {
            return Some(Self { requested: requested.clone(), status: Status::UnderWay });
        }
        let status = match event.clone() {
            RebuildEvent::RebuildCompleted(RebuildCompleted { events, differences }) => {
                Status::Completed { events, differences }
            }
            RebuildEvent::RebuildFailed(RebuildFailed { reason }) => Status::Failed { reason },
            RebuildEvent::RebuildRequested(_) | RebuildEvent::RebuildCancelled(_) => Status::Cancelled,
        };
        Some(Self { status, ..state? })
    }

    fn decide(
        state: Option<&Self>,
        command: RebuildCommand,
        _: &Context,
    ) -> Result<Vec<RebuildEvent>, RebuildRefusal> {
        let status = state.map(|rebuild| &rebuild.status);
        Ok(match (command, status) {
            (RebuildCommand::Request(requested), None) => vec![requested.into()],
            (RebuildCommand::Request(_), Some(_)) | (RebuildCommand::Cancel, Some(Status::Cancelled)) => {
                vec![]
            }
            (_, None) => return Err(RebuildRefusal::NotRequested),
            (RebuildCommand::Complete(completed), Some(Status::UnderWay)) => vec![completed.into()],
            (RebuildCommand::Fail { reason }, Some(Status::UnderWay)) => {
                vec![RebuildFailed { reason }.into()]
            }
            (RebuildCommand::Cancel, Some(Status::UnderWay)) => vec![RebuildCancelled {}.into()],
            (_, Some(_)) => return Err(RebuildRefusal::HasEnded),
        })
    }
}

#[cfg(test)]
mod tests;
