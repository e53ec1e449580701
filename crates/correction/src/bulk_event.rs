//! What can happen to a bulk correction.

use event::{Actor, Deadline, events};
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ReasonCode;

/// The list is frozen: each of its items is a `correction` from the same transaction on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkRequested {
    pub items: u32,
    /// Of what is to be corrected, in its order.
    pub list_hash: String,
    pub reason_code: ReasonCode,
    pub evidence: String,
    /// So many of the first that can be done are done before a person looks once more.
    pub canary: u32,
    pub per_second: u32,
    pub by: Actor,
    /// How long it waits for people, each time.
    pub person_within_ms: i64,
    /// Until when it has to be started.
    pub deadline: Deadline,
}

/// What all of it would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkPreviewed {
    /// Of the list, and of what each item would do.
    pub hash: String,
    /// Of what is at stake, by currency.
    pub totals: Vec<Money>,
    /// How many can be done.
    pub ready: u32,
    /// How many cannot. They have failed.
    pub refused: u32,
    /// The last of those that are done before a person looks once more.
    pub canary_to: u32,
    /// How many others have to approve.
    pub approvals: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkApproved {
    pub hash: String,
    pub by: Actor,
}

/// The rest is left. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkRejected {
    pub reason: String,
    pub by: Actor,
}

/// Nobody has gone on with it. The rest is left. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkExpired {
    pub deadline_id: Uuid,
}

/// The first ones are done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkStarted {
    pub by: Actor,
}

/// A person looks at what has become of the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkCanaryEnded {
    pub executed: u32,
    pub failed: u32,
    pub deadline: Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkPaused {
    pub by: Actor,
    pub deadline: Deadline,
}

/// It goes on, after the first ones or after a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkResumed {
    pub by: Actor,
}

/// What is done stays. The rest is left. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkAborted {
    pub reason: String,
    pub by: Actor,
}

/// Each item has come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkEnded {
    pub executed: u32,
    pub failed: u32,
    /// That were not done because it was over before.
    pub left: u32,
}

events! {
    /// The events of a `bulk` stream.
    pub enum BulkEvent {
        BulkRequested = 1,
        BulkPreviewed = 1,
        BulkApproved = 1,
        BulkRejected = 1,
        BulkExpired = 1,
        BulkStarted = 1,
        BulkCanaryEnded = 1,
        BulkPaused = 1,
        BulkResumed = 1,
        BulkAborted = 1,
        BulkEnded = 1,
    }
}
