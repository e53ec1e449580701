//! Sends what is due to the clearing house, outside any transaction, after the attempt is an event.

use std::sync::Arc;
use std::time::Duration;

use event::{Actor, Aggregate, Causation, CausationKind, Context};
use event_store::{Due, FireError, Scheduler, Store, fire};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::{
    CallOutcome, ClearingHouse, RetryPolicy, SERVICE, Submission, SubmissionCommand, SubmissionEvent,
};

/// Calls that may be under way at once. More attempts wait for a place before they are started.
const CALLS_MAX: usize = 128;
const RECORD_PAUSE: Duration = Duration::from_millis(200);
/// An answer that cannot be recorded within this is asked for again, when the attempt has timed out.
const RECORD_TRIES_MAX: u32 = 10;

#[derive(Clone)]
pub struct Courier {
    house: ClearingHouse,
    policy: RetryPolicy,
    places: Arc<Semaphore>,
}

impl Courier {
    pub fn new(house: ClearingHouse, policy: RetryPolicy) -> Self {
        Self { house, policy, places: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Makes the scheduler start attempts, and give up those that were not answered.
    #[must_use]
    pub fn install(self, scheduler: Scheduler) -> Scheduler {
        scheduler.with_fire(Submission::CATEGORY, move |store, due| Box::pin(self.clone().fire(store, due)))
    }

    async fn fire(self, store: Store, due: Due) -> Result<(), FireError> {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return Ok(()) };
        if event::mutants::active("call_before_attempt")
            && let Some(id) = due.stream.uuid()
            && let (Some(submission), _) = store.load::<Submission>(id).await?
        {
            self.house.pay(&submission.payment).await;
        }
        let proceed = SubmissionCommand::Proceed { deadline: due.deadline, policy: self.policy };
        let Some(executed) = fire::<Submission>(&store, &due, proceed).await? else { return Ok(()) };
        let started = executed.events.iter().find_map(|event| match event {
            SubmissionEvent::AttemptStarted(started) => Some(started.attempt),
            _ => None,
        });
        if let (Some(attempt), Some(submission)) = (started, executed.state) {
            tokio::spawn(async move {
                let outcome = self.house.pay(&submission.payment).await;
                self.record(&store, &due, attempt, outcome).await;
                drop(place);
            });
        }
        Ok(())
    }

    async fn record(&self, store: &Store, due: &Due, attempt: u32, outcome: CallOutcome) {
        let Some(id) = due.stream.uuid() else { return };
        let policy = self.policy;
        let command = match outcome {
            CallOutcome::Answered(answer) => SubmissionCommand::RecordAnswer(answer),
            CallOutcome::NotSent { reason } => SubmissionCommand::RecordNotSent { attempt, reason, policy },
            CallOutcome::Refused { reason } => SubmissionCommand::RecordRefused { attempt, reason, policy },
            CallOutcome::Unknown { reason } => {
                tracing::warn!(stream = %due.stream, attempt, reason, "no answer, the attempt will time out");
                return;
            }
        };
        for _ in 0..RECORD_TRIES_MAX {
            let cause = Causation { kind: CausationKind::Deadline, id: due.deadline.id };
            let actor = Actor::service(SERVICE, "courier");
            let context = Context::because_of(cause, due.correlation_id, actor, Timestamp::now());
            match store.execute::<Submission>(id, command.clone(), context).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(stream = %due.stream, %error, "the answer is not recorded yet"),
            }
            tokio::time::sleep(RECORD_PAUSE).await;
        }
    }
}
