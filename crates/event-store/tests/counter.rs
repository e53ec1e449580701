//! An aggregate that counts, and that can wait for a deadline.

use event::{Actor, Aggregate, Context, Deadline, events};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) by: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitStarted {
    pub(crate) deadline: Deadline,
    pub(crate) stubborn: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitEnded {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitExpired {
    pub(crate) deadline_id: Uuid,
}

events! {
    pub enum CounterEvent { Counted = 1, WaitStarted = 1, WaitEnded = 1, WaitExpired = 1 }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counter {
    pub(crate) count: u64,
    pub(crate) waits: Option<WaitStarted>,
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Count,
    Wait(SignedDuration),
    /// Waits, and will not hear of the end of it.
    WaitStubbornly(SignedDuration),
    EndWait,
    Expire(Deadline),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Stubborn;

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Event = CounterEvent;
    type Command = Command;
    type Refusal = Stubborn;

    fn evolve(state: Option<Self>, event: &CounterEvent) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        match event {
            CounterEvent::Counted(counted) => state.count += counted.by,
            CounterEvent::WaitStarted(wait) => state.waits = Some(wait.clone()),
            CounterEvent::WaitEnded(_) | CounterEvent::WaitExpired(_) => state.waits = None,
        }
        Some(state)
    }

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<CounterEvent>, Stubborn> {
        let waits = state.and_then(|state| state.waits.as_ref());
        let wait = |limit, stubborn| {
            let deadline = Deadline::after(limit, context);
            vec![WaitStarted { deadline, stubborn }.into()]
        };
        Ok(match (command, waits) {
            (Command::Count, _) => vec![Counted { by: 1 }.into()],
            (Command::Wait(limit), _) => wait(limit, false),
            (Command::WaitStubbornly(limit), _) => wait(limit, true),
            (Command::EndWait, Some(_)) => vec![WaitEnded {}.into()],
            (Command::Expire(deadline), Some(waits)) if waits.deadline == deadline => {
                if waits.stubborn {
                    return Err(Stubborn);
                }
                vec![WaitExpired { deadline_id: deadline.id }.into()]
            }
            (Command::EndWait | Command::Expire(_), _) => vec![],
        })
    }

    fn deadline(&self) -> Option<Deadline> {
        self.waits.as_ref().map(|waits| waits.deadline)
    }

    fn on_deadline(deadline: Deadline) -> Option<Command> {
        Some(Command::Expire(deadline))
    }
}

pub(crate) fn request() -> Context {
    Context::for_request(Uuid::now_v7(), Actor("customer:test".to_owned()), Timestamp::now())
}
