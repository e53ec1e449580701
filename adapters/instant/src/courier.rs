//! Sends what is due to the clearing house, outside any transaction, after the message stands in an event.

use std::sync::Arc;
use std::time::Duration;

use adapter::{Circuit, CircuitPolicy};
use event::{Actor, Aggregate, Causation, CausationKind, Context, Personal};
use event_store::{Due, FireError, Scheduler, Store, fire};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::correspondence::{Correspondence, Outcome};
use crate::inbox::Inbox;
use crate::rail::{Rail, Sent};
use crate::{CallOutcome, ClearingHouse, Hold, HoldReason, Inbound, SERVICE, Submission};

/// Calls that may be under way at once. More attempts wait for a place before they are started.
const CALLS_MAX: usize = 128;
const RECORD_PAUSE: Duration = Duration::from_millis(200);
/// An answer that cannot be recorded within this is asked for again, when the attempt has timed out.
const RECORD_TRIES_MAX: u32 = 10;

#[derive(Clone)]
pub struct Courier {
    house: ClearingHouse,
    rail: Arc<Rail>,
    circuit: Circuit,
    places: Arc<Semaphore>,
}

impl Courier {
    pub fn new(house: ClearingHouse, rail: Arc<Rail>, circuit: CircuitPolicy) -> Self {
        let circuit = Circuit::new(SERVICE, circuit);
        Self { house, rail, circuit, places: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Makes the scheduler send what is due about payments there and here, and give up what was not answered.
    #[must_use]
    pub fn install(self, scheduler: Scheduler) -> Scheduler {
        self.clone().install_for::<Inbound>(self.install_for::<Submission>(scheduler))
    }

    fn install_for<A: Correspondence>(self, scheduler: Scheduler) -> Scheduler {
        scheduler.with_fire::<A>(move |store, due| Box::pin(self.clone().fire::<A>(store, due)))
    }

    async fn fire<A: Correspondence>(self, store: Store, due: Due) -> Result<(), FireError> {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return Ok(()) };
        if event::mutants::active("call_before_attempt") {
            self.call_unrecorded::<A>(&store, &due).await?;
        }
        let proceed = A::proceed(due.deadline, Arc::clone(&self.rail), self.hold());
        let Some(executed) = fire::<A>(&store, &due, proceed).await? else { return Ok(()) };
        let message = executed.events.into_iter().find_map(A::message_of);
        if let (Some((purpose, message)), Some(state)) = (message, executed.state) {
            tokio::spawn(async move {
                let inbox = Inbox { store: store.clone(), rail: Arc::clone(&self.rail) };
                if let Some(command) = self.send::<A>(purpose, &message, &state, &due, &inbox).await {
                    record::<A>(&store, &due, command).await;
                }
                drop(place);
            });
        }
        Ok(())
    }

    /// Whether new payments have to wait.
    fn hold(&self) -> Option<Hold> {
        let now = Timestamp::now();
        let closed =
            || self.rail.calendar.closed_until(now).map(|until| Hold { reason: HoldReason::Closed, until });
        let silent =
            || self.circuit.open_until(now).map(|until| Hold { reason: HoldReason::NoAnswer, until });
        closed().or_else(silent)
    }

    /// Calls the house, and takes note of whether it is there.
    async fn call(&self, message: &Sent, store: &Store) -> CallOutcome {
        let outcome = self.house.send(message).await;
        let is_changed = match &outcome {
            CallOutcome::Answered(_) | CallOutcome::Taken | CallOutcome::Refused { .. } => {
                self.circuit.succeeded()
            }
            CallOutcome::NotSent { reason } | CallOutcome::Unknown { reason } => {
                self.circuit.failed(Timestamp::now(), reason)
            }
        };
        if is_changed {
            self.circuit.record(store);
        }
        outcome
    }

    async fn call_unrecorded<A: Correspondence>(&self, store: &Store, due: &Due) -> Result<(), FireError> {
        let Some(id) = due.stream.uuid() else { return Ok(()) };
        if let (Some(state), _) = store.load::<A>(id).await? {
            let proceed = A::proceed(due.deadline, Arc::clone(&self.rail), None);
            let decided = A::decide(Some(&state), proceed, &context(due)).unwrap_or_default();
            for (_, message) in decided.into_iter().filter_map(A::message_of) {
                self.house.send(&message).await;
            }
        }
        Ok(())
    }

    /// Returns what the message came to. None: it was not answered, and times out; what was said instead is in the inbox.
    async fn send<A: Correspondence>(
        &self,
        purpose: A::Purpose,
        message: &Sent,
        about: &A,
        due: &Due,
        inbox: &Inbox,
    ) -> Option<A::Command> {
        let outcome = match self.call(message, &inbox.store).await {
            CallOutcome::Answered(bytes) => {
                let heard =
                    self.rail.read(&bytes).ok().filter(|heard| heard.is_about(about.uetr(), about.amount()));
                let message = Some(Personal(String::from_utf8_lossy(&bytes).into_owned()));
                let command = heard.and_then(|heard| {
                    A::outcome(purpose, Outcome::Answered { heard, message }, self.rail.policy)
                });
                if command.is_none() {
                    tracing::warn!(stream = %due.stream, ?purpose, "the answer is none to what was asked");
                    if let Err(error) = inbox.take(&bytes).await {
                        tracing::warn!(stream = %due.stream, %error, "what was said instead is not recorded");
                    }
                }
                return command;
            }
            CallOutcome::Taken => Outcome::Taken,
            CallOutcome::NotSent { reason } => Outcome::NotSent { reason },
            CallOutcome::Refused { reason } => Outcome::Refused { reason },
            CallOutcome::Unknown { reason } => {
                tracing::warn!(stream = %due.stream, ?purpose, reason, "no answer, the call will time out");
                return None;
            }
        };
        let command = A::outcome(purpose, outcome, self.rail.policy);
        if command.is_none() {
            tracing::warn!(stream = %due.stream, ?purpose, "this says nothing of it, the call will time out");
        }
        command
    }
}

fn context(due: &Due) -> Context {
    let cause = Causation { kind: CausationKind::Deadline, id: due.deadline.id };
    Context::because_of(cause, due.correlation_id, Actor::service(SERVICE, "courier"), Timestamp::now())
}

async fn record<A: Aggregate>(store: &Store, due: &Due, command: A::Command) {
    let Some(id) = due.stream.uuid() else { return };
    for _ in 0..RECORD_TRIES_MAX {
        match store.execute::<A>(id, command.clone(), context(due)).await {
            Ok(_) => return,
            Err(error) => tracing::warn!(stream = %due.stream, %error, "the answer is not recorded yet"),
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
}
