//! An endpoint: where somebody wants to be told what.

use event::{Aggregate, Context, events};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long the secret before still signs.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRegistered {
    pub endpoint_id: Uuid,
    pub url: String,
    /// Categories of external streams.
    pub contracts: Vec<String>,
}

/// It is told nothing, and nothing is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointPaused {
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointResumed {}

/// The secret before signs beside the new one until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRotated {
    pub generation: u32,
    pub previous_until: Timestamp,
}

/// Once more, what has happened then and later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRequested {
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRemoved {}

events! {
    /// The events of a `webhook` stream.
    pub enum EndpointEvent {
        EndpointRegistered = 1,
        EndpointPaused = 1,
        EndpointResumed = 1,
        SecretRotated = 1,
        ReplayRequested = 1,
        EndpointRemoved = 1,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    Paused,
    Removed,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Removed => "removed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    pub id: Uuid,
    pub url: String,
    pub contracts: Vec<String>,
    pub status: Status,
    /// Of a pause.
    pub reason: Option<String>,
    /// Of its secret.
    pub generation: u32,
    pub previous_until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub enum EndpointCommand {
    Register { endpoint_id: Uuid, url: String, contracts: Vec<String> },
    Pause { reason: String },
    Resume,
    RotateSecret,
    Replay { since: Timestamp },
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointRefusal {
    #[error("no such endpoint is registered")]
    NotRegistered,
    #[error("the endpoint is registered already")]
    AlreadyRegistered,
    #[error("the secret before still signs: it is rotated once a day")]
    RotatedLately,
    #[error("a replay begins in the past")]
    NotInThePast,
}

impl Aggregate for Endpoint {
    const CATEGORY: &'static str = "webhook";
    type Event = EndpointEvent;
    type Command = EndpointCommand;
    type Refusal = EndpointRefusal;

    fn evolve(state: Option<Self>, event: &EndpointEvent) -> Option<Self> {
        if let EndpointEvent::EndpointRegistered(registered) = event {
            return Some(Self {
                id: registered.endpoint_id,
                url: registered.url.clone(),
                contracts: registered.contracts.clone(),
                status: Status::Active,
                reason: None,
                generation: 1,
                previous_until: None,
            });
        }
        let endpoint = state?;
        Some(match event {
            EndpointEvent::EndpointRegistered(_) | EndpointEvent::ReplayRequested(_) => endpoint,
            EndpointEvent::EndpointPaused(EndpointPaused { reason }) => {
                Self { status: Status::Paused, reason: Some(reason.clone()), ..endpoint }
            }
            EndpointEvent::EndpointResumed(_) => Self { status: Status::Active, reason: None, ..endpoint },
            EndpointEvent::SecretRotated(SecretRotated { generation, previous_until }) => {
                Self { generation: *generation, previous_until: Some(*previous_until), ..endpoint }
            }
            EndpointEvent::EndpointRemoved(_) => Self { status: Status::Removed, ..endpoint },
        })
    }

    fn decide(
        state: Option<&Self>,
        command: EndpointCommand,
        context: &Context,
    ) -> Result<Vec<EndpointEvent>, EndpointRefusal> {
        let Some(endpoint) = state else {
            return match command {
                EndpointCommand::Register { endpoint_id, url, contracts } => {
                    Ok(vec![EndpointRegistered { endpoint_id, url, contracts }.into()])
                }
                _ => Err(EndpointRefusal::NotRegistered),
            };
        };
        let (status, now) = (endpoint.status, context.now);
        Ok(match command {
            EndpointCommand::Register { .. } => return Err(EndpointRefusal::AlreadyRegistered),
            _ if status == Status::Removed => return Err(EndpointRefusal::NotRegistered),
            EndpointCommand::Pause { .. } if status == Status::Paused => vec![],
            EndpointCommand::Pause { reason } => vec![EndpointPaused { reason }.into()],
            EndpointCommand::Resume if status == Status::Active => vec![],
            EndpointCommand::Resume => vec![EndpointResumed {}.into()],
            EndpointCommand::RotateSecret if endpoint.previous_until.is_some_and(|until| now < until) => {
                return Err(EndpointRefusal::RotatedLately);
            }
            EndpointCommand::RotateSecret => {
                let previous_until = now.saturating_add(OVERLAP).unwrap_or(now);
                vec![SecretRotated { generation: endpoint.generation + 1, previous_until }.into()]
            }
            EndpointCommand::Replay { since } if since > now => return Err(EndpointRefusal::NotInThePast),
            EndpointCommand::Replay { since } => vec![ReplayRequested { since }.into()],
            EndpointCommand::Remove => vec![EndpointRemoved {}.into()],
        })
    }
}

#[cfg(test)]
mod tests;
