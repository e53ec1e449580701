//! What can happen to a correction.

use event::{Actor, Deadline, events};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{At, Kind, Preview, ReasonCode};

/// Which one it is of many that are corrected together; the first is 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub bulk_id: Uuid,
    pub number: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionRequested {
    #[serde(rename = "correction")]
    pub kind: Kind,
    pub reason_code: ReasonCode,
    /// Where it can be read up: a ticket, the rail's message, a statement.
    pub evidence: String,
    /// An earlier correction that was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    pub by: Actor,
    /// How many others have to approve. Fixed with the request: a setting that changes later changes nothing that is under way.
    pub approvals: u8,
    /// Until when it has to be executed.
    pub deadline: Deadline,
}

/// What it would do. What was approved of an earlier preview does not count for this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionPreviewed {
    pub preview: Preview,
    pub by: Actor,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionApproved {
    pub preview_hash: String,
    pub by: Actor,
}

/// Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionRejected {
    pub reason: String,
    pub by: Actor,
}

/// Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionExpired {
    pub deadline_id: Uuid,
}

/// It would not do any more what its preview shows: nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionStale {
    pub reason: String,
    pub by: Actor,
}

/// Of a part of a bulk correction: it could not be done, and nothing was. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionFailed {
    pub reason: String,
    pub by: Actor,
}

/// It was done, in the same transaction. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionExecuted {
    pub preview_hash: String,
    /// The events that mend.
    pub events: Vec<At>,
    pub by: Actor,
}

events! {
    /// The events of a `correction` stream.
    pub enum CorrectionEvent {
        CorrectionRequested = 1,
        CorrectionPreviewed = 1,
        CorrectionApproved = 1,
        CorrectionRejected = 1,
        CorrectionExpired = 1,
        CorrectionStale = 1,
        CorrectionFailed = 1,
        CorrectionExecuted = 1,
    }
}
