//! Given/when/then tests of an aggregate, without a database.
//!
//! ```ignore
//! given::<Account>([opened(), deposited(100)]).when(reserve(120)).then([rejected(120)]);
//! ```

use std::fmt::Debug;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Actor, Aggregate, Context, DomainEvent};

/// The history that a test starts from.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let events: Vec<_> = events.into_iter().collect();
    Given { state: A::fold(None, &events), context: context() }
}

/// A context of a fixed time and a request, for tests.
pub fn context() -> Context {
    Context::for_request(Uuid::now_v7(), Actor("customer:test".to_owned()), Timestamp::UNIX_EPOCH)
}

pub struct Given<A: Aggregate> {
    state: Option<A>,
    context: Context,
}

pub struct Then<A: Aggregate> {
    before: Option<A>,
    outcome: Result<Vec<A::Event>, A::Refusal>,
}

impl<A: Aggregate> Given<A> {
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.context.now = now;
        self
    }

    pub fn when(self, command: A::Command) -> Then<A> {
        let outcome = A::decide(self.state.as_ref(), command, &self.context);
        Then { before: self.state, outcome }
    }
}

impl<A: Aggregate> Then<A>
where
    A::Event: PartialEq + Debug,
{
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Self {
        let expected: Vec<_> = expected.into_iter().collect();
        match &self.outcome {
            Ok(events) => assert_eq!(events, &expected),
            Err(refusal) => panic!("refused: {refusal:?}, expected {expected:?}"),
        }
        self
    }

    /// For events with ids that the test does not know.
    #[track_caller]
    pub fn then_types(self, expected: &[&str]) -> Self {
        match &self.outcome {
            Ok(events) => {
                let types: Vec<_> = events.iter().map(DomainEvent::event_type).collect();
                assert_eq!(types, expected);
            }
            Err(refusal) => panic!("refused: {refusal:?}, expected {expected:?}"),
        }
        self
    }

    #[track_caller]
    pub fn then_refused(self, expected: &A::Refusal)
    where
        A::Refusal: PartialEq,
    {
        match self.outcome {
            Ok(events) => panic!("decided {events:?}, expected the refusal {expected:?}"),
            Err(refusal) => assert_eq!(&refusal, expected),
        }
    }

    /// The state after the decided events.
    #[track_caller]
    pub fn state(self) -> Option<A> {
        let events = self.outcome.unwrap_or_else(|refusal| panic!("refused: {refusal:?}"));
        A::fold(self.before, &events)
    }
}
