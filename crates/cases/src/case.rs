//! The aggregate: one reason why a person has to look at one thing.

use event::{Aggregate, Context, StreamName, derived_id, events};
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    pub stream: StreamName,
    /// What is at stake.
    pub amount: Money,
}

/// A person has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRaised {
    pub subject: Subject,
    pub reason: String,
}

/// Once more, for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRaisedAgain {}

/// The reason is gone by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseWithdrawn {}

/// Somebody looks after it; nobody any more, where it is for nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseAssigned {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What somebody has found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseNoted {
    pub note: String,
}

/// A person has ended it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResolved {
    pub resolution: String,
    /// That has mended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction_id: Option<Uuid>,
}

/// It was not resolved after all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseReopened {
    pub reason: String,
}

events! {
    /// The events of a `case` stream.
    pub enum CaseEvent {
        CaseRaised = 1,
        CaseRaisedAgain = 1,
        CaseWithdrawn = 1,
        CaseAssigned = 1,
        CaseNoted = 1,
        CaseResolved = 1,
        CaseReopened = 1,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Open,
    /// The reason was gone by itself.
    Withdrawn,
    Resolved {
        resolution: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        correction_id: Option<Uuid>,
    },
}

impl Status {
    pub const NAMES: [&'static str; 3] = ["open", "withdrawn", "resolved"];

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Withdrawn => "withdrawn",
            Self::Resolved { .. } => "resolved",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    pub subject: Subject,
    pub reason: String,
    pub status: Status,
    /// Who looks after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<String>,
}

#[derive(Debug, Clone)]
pub enum CaseCommand {
    Raise {
        subject: Subject,
        reason: String,
    },
    Withdraw,
    /// None: to nobody.
    Assign {
        to: Option<String>,
    },
    Note {
        note: String,
    },
    Resolve {
        resolution: String,
        correction_id: Option<Uuid>,
    },
    Reopen {
        reason: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaseRefusal {
    #[error("nobody has raised it")]
    NotRaised,
    #[error("it is {0}")]
    NotNow(&'static str),
}

/// One for each thing and reason.
pub fn case_id(subject: Uuid, reason: &str) -> Uuid {
    derived_id(subject, reason, 0)
}

impl Aggregate for Case {
    const CATEGORY: &'static str = "case";
    type Event = CaseEvent;
    type Command = CaseCommand;
    type Refusal = CaseRefusal;

    fn evolve(state: Option<Self>, event: &CaseEvent) -> Option<Self> {
        if let CaseEvent::CaseRaised(CaseRaised { subject, reason }) = event {
            let (subject, reason) = (subject.clone(), reason.clone());
            return Some(Self { subject, reason, status: Status::Open, assigned_to: None });
        }
        let case = state?;
        Some(match event.clone() {
            CaseEvent::CaseRaised(_) | CaseEvent::CaseNoted(_) => case,
            CaseEvent::CaseRaisedAgain(_) | CaseEvent::CaseReopened(_) => {
                Self { status: Status::Open, ..case }
            }
            CaseEvent::CaseWithdrawn(_) => Self { status: Status::Withdrawn, ..case },
            CaseEvent::CaseAssigned(CaseAssigned { to }) => Self { assigned_to: to, ..case },
            CaseEvent::CaseResolved(CaseResolved { resolution, correction_id }) => {
                Self { status: Status::Resolved { resolution, correction_id }, ..case }
            }
        })
    }

    fn decide(
        state: Option<&Self>,
        command: CaseCommand,
        _: &Context,
    ) -> Result<Vec<CaseEvent>, CaseRefusal> {
        match (state, command) {
            (None, CaseCommand::Raise { subject, reason }) => Ok(vec![CaseRaised { subject, reason }.into()]),
            // What was raised before there were cases has none.
            (None, CaseCommand::Withdraw) => Ok(vec![]),
            (None, _) => Err(CaseRefusal::NotRaised),
            (Some(case), command) => case.proceed(command),
        }
    }
}

impl Case {
    pub fn is_open(&self) -> bool {
        self.status == Status::Open
    }

    fn proceed(&self, command: CaseCommand) -> Result<Vec<CaseEvent>, CaseRefusal> {
        let not_now = || Err(CaseRefusal::NotNow(self.status.as_str()));
        Ok(match command {
            CaseCommand::Raise { .. } if !self.is_open() => vec![CaseRaisedAgain {}.into()],
            CaseCommand::Withdraw if self.is_open() => vec![CaseWithdrawn {}.into()],
            CaseCommand::Raise { .. } | CaseCommand::Withdraw => vec![],
            CaseCommand::Assign { to } if self.assigned_to == to => vec![],
            CaseCommand::Assign { to } if self.is_open() => vec![CaseAssigned { to }.into()],
            // Also what is learnt later.
            CaseCommand::Note { note } => vec![CaseNoted { note }.into()],
            CaseCommand::Resolve { resolution, correction_id } if self.is_open() => {
                vec![CaseResolved { resolution, correction_id }.into()]
            }
            CaseCommand::Reopen { reason } if !self.is_open() => vec![CaseReopened { reason }.into()],
            CaseCommand::Assign { .. } | CaseCommand::Resolve { .. } | CaseCommand::Reopen { .. } => {
                return not_now();
            }
        })
    }
}

#[cfg(test)]
mod tests;
