//! The aggregate: one reason why a person has to look at one thing.

use std::convert::Infallible;

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

events! {
    /// The events of a `case` stream.
    pub enum CaseEvent { CaseRaised = 1, CaseRaisedAgain = 1, CaseWithdrawn = 1 }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    pub subject: Subject,
    pub reason: String,
    pub is_open: bool,
}

#[derive(Debug, Clone)]
pub enum CaseCommand {
    Raise { subject: Subject, reason: String },
    Withdraw,
}

/// One for each thing and reason.
pub fn case_id(subject: Uuid, reason: &str) -> Uuid {
    derived_id(subject, reason, 0)
}

impl Aggregate for Case {
    const CATEGORY: &'static str = "case";
    type Event = CaseEvent;
    type Command = CaseCommand;
    type Refusal = Infallible;

    fn evolve(state: Option<Self>, event: &CaseEvent) -> Option<Self> {
        match (state, event) {
            (_, CaseEvent::CaseRaised(CaseRaised { subject, reason })) => {
                Some(Self { subject: subject.clone(), reason: reason.clone(), is_open: true })
            }
            (Some(case), CaseEvent::CaseRaisedAgain(_)) => Some(Self { is_open: true, ..case }),
            (Some(case), CaseEvent::CaseWithdrawn(_)) => Some(Self { is_open: false, ..case }),
            (None, _) => None,
        }
    }

    fn decide(state: Option<&Self>, command: CaseCommand, _: &Context) -> Result<Vec<CaseEvent>, Infallible> {
        Ok(match (state, command) {
            (None, CaseCommand::Raise { subject, reason }) => vec![CaseRaised { subject, reason }.into()],
            (Some(case), CaseCommand::Raise { .. }) if !case.is_open => vec![CaseRaisedAgain {}.into()],
            (Some(case), CaseCommand::Withdraw) if case.is_open => vec![CaseWithdrawn {}.into()],
            // What was raised before there were cases has none.
            (Some(_), _) | (None, CaseCommand::Withdraw) => vec![],
        })
    }
}

#[cfg(test)]
mod tests;
