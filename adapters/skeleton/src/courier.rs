//! Sends what is due to the rail, outside any transaction, after `AttemptStarted` is committed.

use std::sync::Arc;
use std::time::Duration;

use event::{Actor, Causation, CausationKind, Context};
use event_store::{Due, FireError, Scheduler, Store, fire};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::{
    AttemptStarted, CallOutcome, Line, RetryPolicy, SERVICE, Submission, SubmissionCommand, SubmissionEvent,
};

/// Calls that may be under way at once. More attempts wait for a place before they are started.
const CALLS_MAX: usize = 64;
const RECORD_PAUSE: Duration = Duration::from_millis(200);
/// An answer that cannot be recorded within this is asked for again, when the attempt has timed out.
const RECORD_TRIES_MAX: u32 = 10;

#[derive(Clone)]
pub struct Courier {
    line: Line,
    policy: RetryPolicy,
    places: Arc<Semaphore>,
}

impl Courier {
    pub fn new(line: Line, policy: RetryPolicy) -> Self {
        Self { line, policy, places: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Makes the scheduler send what is due, and give up what was not answered.
    #[must_use]
    pub fn install(self, scheduler: Scheduler) -> Scheduler {
        scheduler.with_fire::<Submission>(move |store, due| Box::pin(self.clone().proceed(store, due)))
    }

    async fn proceed(self, store: Store, due: Due) -> Result<(), FireError> {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return Ok(()) };
        let proceed = SubmissionCommand::Proceed { deadline: due.deadline, policy: self.policy };
        let Some(executed) = fire::<Submission>(&store, &due, proceed).await? else { return Ok(()) };
        let started = executed.events.into_iter().find_map(|event| match event {
            SubmissionEvent::AttemptStarted(started) => Some(started),
            _ => None,
        });
        if let Some(started) = started {
            tokio::spawn(async move {
                self.call(&store, &due, started).await;
                drop(place);
            });
        }
        Ok(())
    }

    async fn call(&self, store: &Store, due: &Due, AttemptStarted { attempt, message, .. }: AttemptStarted) {
        let policy = self.policy;
        let command = match self.line.send(message.0).await {
            CallOutcome::Settled { at, message } => {
                SubmissionCommand::RecordSettled { at, message: message.into() }
            }
            CallOutcome::Rejected { reason_code, message } => {
                SubmissionCommand::RecordRejected { reason_code, message: message.into() }
            }
            CallOutcome::NotSent { reason } => SubmissionCommand::RecordNotSent { attempt, reason, policy },
            CallOutcome::Unknown { reason } => {
                tracing::warn!(stream = %due.stream, attempt, reason, "no answer, the attempt will time out");
                return;
            }
        };
        record(store, due, command).await;
    }
}

async fn record(store: &Store, due: &Due, command: SubmissionCommand) {
    let Some(id) = due.stream.uuid() else { return };
    let cause = Causation { kind: CausationKind::Deadline, id: due.deadline.id };
    for _ in 0..RECORD_TRIES_MAX {
        let actor = Actor::service(SERVICE, "courier");
        let context = Context::because_of(cause, due.correlation_id, actor, Timestamp::now());
        match store.execute::<Submission>(id, command.clone(), context).await {
            Ok(_) => return,
            Err(error) => tracing::warn!(stream = %due.stream, %error, "the answer is not recorded yet"),
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
}
