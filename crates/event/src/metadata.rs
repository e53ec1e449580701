//! Who did it, because of what, and for external events: derived from where.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Seq, StreamName};

/// Who acts: `customer:…`, `operator:…`, `service:core/transfers`, `scheduler:core`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(pub String);

impl Actor {
    pub fn service(service: &str, part: &str) -> Self {
        Self(format!("service:{service}/{part}"))
    }
}

/// The kind of thing that `causation_id` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CausationKind {
    Request,
    Event,
    Deadline,
    Correction,
}

/// What made something happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Causation {
    pub kind: CausationKind,
    pub id: Uuid,
}

/// Where an external event was derived from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub service: String,
    pub stream: StreamName,
    pub seq: Seq,
    pub id: Uuid,
}

/// What stands in the `metadata` column. Unknown fields are kept out of the way, missing ones defaulted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub actor: Actor,
    pub causation_kind: CausationKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}
