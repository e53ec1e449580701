//! Sends what is due to the clearing house, outside any transaction, after the attempt is an event.

use std::sync::Arc;
use std::time::Duration;

use event::{Actor, Aggregate, Causation, CausationKind, Context};
use event_store::{Due, FireError, Scheduler, Store, fire};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::{
    CallOutcome, ClearingHouse, EnquiryOutcome, RetryPolicy, SERVICE, Submission, SubmissionCommand,
    SubmissionEvent,
};

/// Calls that may be under way at once. More attempts wait for a place before they are started.
const CALLS_MAX: usize = 128;
const RECORD_PAUSE: Duration = Duration::from_millis(200);
/// An answer that cannot be recorded within this is asked for again, when the attempt has timed out.
const RECORD_TRIES_MAX: u32 = 10;

/// To the clearing house.
#[derive(Debug)]
enum Call {
    Pay { attempt: u32 },
    Enquire { attempt: u32, enquiry: u32 },
}

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

    /// Makes the scheduler start attempts and enquiries, and give up those that were not answered.
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
        let call = executed.events.iter().find_map(|event| match event {
            SubmissionEvent::AttemptStarted(started) => Some(Call::Pay { attempt: started.attempt }),
            SubmissionEvent::EnquiryStarted(started) => {
                Some(Call::Enquire { attempt: started.attempt, enquiry: started.enquiry })
            }
            _ => None,
        });
        if let (Some(call), Some(submission)) = (call, executed.state) {
            tokio::spawn(async move {
                if let Some(command) = self.make(&call, &submission, &due).await {
                    record(&store, &due, command).await;
                }
                drop(place);
            });
        }
        Ok(())
    }

    /// Returns what the call came to. None: it was not answered, and times out.
    async fn make(&self, call: &Call, submission: &Submission, due: &Due) -> Option<SubmissionCommand> {
        let policy = self.policy;
        let unanswered = |reason: String| {
            tracing::warn!(stream = %due.stream, ?call, reason, "no answer, the call will time out");
        };
        match *call {
            Call::Pay { attempt } => match self.house.pay(&submission.payment).await {
                CallOutcome::Answered(answer) => Some(SubmissionCommand::RecordAnswer(answer)),
                CallOutcome::NotSent { reason } => {
                    Some(SubmissionCommand::RecordNotSent { attempt, reason, policy })
                }
                CallOutcome::Refused { reason } => {
                    Some(SubmissionCommand::RecordRefused { attempt, reason, policy })
                }
                CallOutcome::Unknown { reason } => {
                    unanswered(reason);
                    None
                }
            },
            Call::Enquire { attempt, enquiry } => match self.house.enquire(submission.payment.uetr).await {
                EnquiryOutcome::Answered(answer) => {
                    Some(SubmissionCommand::RecordEnquiry { attempt, enquiry, answer: Some(answer), policy })
                }
                EnquiryOutcome::NotFound => {
                    Some(SubmissionCommand::RecordEnquiry { attempt, enquiry, answer: None, policy })
                }
                EnquiryOutcome::Unanswered { reason } => {
                    unanswered(reason);
                    None
                }
            },
        }
    }
}

async fn record(store: &Store, due: &Due, command: SubmissionCommand) {
    let Some(id) = due.stream.uuid() else { return };
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
