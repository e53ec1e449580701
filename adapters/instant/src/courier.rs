//! Sends what is due to the clearing house, outside any transaction, after the message stands in an event.

use std::sync::Arc;
use std::time::Duration;

use event::{Actor, Aggregate, Causation, CausationKind, Context, Personal};
use event_store::{Due, FireError, Scheduler, Store, fire};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::inbox::Inbox;
use crate::rail::{Evidence, Rail, Said, Sent};
use crate::{CallOutcome, ClearingHouse, SERVICE, Submission, SubmissionCommand, SubmissionEvent};

/// Calls that may be under way at once. More attempts wait for a place before they are started.
const CALLS_MAX: usize = 128;
const RECORD_PAUSE: Duration = Duration::from_millis(200);
/// An answer that cannot be recorded within this is asked for again, when the attempt has timed out.
const RECORD_TRIES_MAX: u32 = 10;

/// To the clearing house.
#[derive(Debug)]
struct Call {
    kind: Kind,
    message: Sent,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Pay { attempt: u32 },
    Enquire { attempt: u32, enquiry: u32 },
    Recall { recall_id: Uuid, attempt: u32 },
}

#[derive(Clone)]
pub struct Courier {
    house: ClearingHouse,
    rail: Arc<Rail>,
    places: Arc<Semaphore>,
}

impl Courier {
    pub fn new(house: ClearingHouse, rail: Arc<Rail>) -> Self {
        Self { house, rail, places: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Makes the scheduler start attempts, enquiries and recalls, and give up those that were not answered.
    #[must_use]
    pub fn install(self, scheduler: Scheduler) -> Scheduler {
        scheduler.with_fire(Submission::CATEGORY, move |store, due| Box::pin(self.clone().fire(store, due)))
    }

    async fn fire(self, store: Store, due: Due) -> Result<(), FireError> {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return Ok(()) };
        if event::mutants::active("call_before_attempt") {
            self.call_unrecorded(&store, &due).await?;
        }
        let proceed = SubmissionCommand::Proceed { deadline: due.deadline, rail: Arc::clone(&self.rail) };
        let Some(executed) = fire::<Submission>(&store, &due, proceed).await? else { return Ok(()) };
        let call = executed.events.into_iter().find_map(call_of);
        if let (Some(call), Some(submission)) = (call, executed.state) {
            tokio::spawn(async move {
                let inbox = Inbox { store: store.clone(), rail: Arc::clone(&self.rail) };
                if let Some(command) = self.make(&call, submission.payment.uetr, &due, &inbox).await {
                    record(&store, &due, command).await;
                }
                drop(place);
            });
        }
        Ok(())
    }

    async fn call_unrecorded(&self, store: &Store, due: &Due) -> Result<(), FireError> {
        let Some(id) = due.stream.uuid() else { return Ok(()) };
        if let (Some(submission), _) = store.load::<Submission>(id).await? {
            let context = context(due);
            let proceed = SubmissionCommand::Proceed { deadline: due.deadline, rail: Arc::clone(&self.rail) };
            let decided = Submission::decide(Some(&submission), proceed, &context).unwrap_or_default();
            for call in decided.into_iter().filter_map(call_of) {
                self.house.send(&call.message).await;
            }
        }
        Ok(())
    }

    /// Returns what the call came to. None: it was not answered, and times out; what was said instead is in the inbox.
    async fn make(&self, call: &Call, uetr: Uuid, due: &Due, inbox: &Inbox) -> Option<SubmissionCommand> {
        let policy = self.rail.policy;
        match (call.kind, self.house.send(&call.message).await) {
            (kind, CallOutcome::Answered(bytes)) => {
                let heard = self.rail.read(&bytes).ok().filter(|heard| heard.uetr == uetr);
                let message = Some(Personal(String::from_utf8_lossy(&bytes).into_owned()));
                let command = heard.and_then(|heard| self.answered(kind, heard.said, message));
                if command.is_none() {
                    tracing::warn!(stream = %due.stream, ?kind, "the answer is none to what was asked");
                    if let Err(error) = inbox.take(&bytes).await {
                        tracing::warn!(stream = %due.stream, %error, "what was said instead is not recorded");
                    }
                }
                command
            }
            (Kind::Pay { attempt }, CallOutcome::NotSent { reason }) => {
                Some(SubmissionCommand::RecordNotSent { attempt, reason, policy })
            }
            (Kind::Pay { attempt }, CallOutcome::Refused { reason }) => {
                Some(SubmissionCommand::RecordRefused { attempt, reason, policy })
            }
            (Kind::Recall { recall_id, .. }, CallOutcome::Taken) => {
                Some(SubmissionCommand::RecordRecallTaken { recall_id })
            }
            (Kind::Recall { recall_id, attempt }, CallOutcome::Refused { reason }) => {
                Some(SubmissionCommand::RecordRecallRefused { recall_id, attempt, reason })
            }
            (kind, outcome) => {
                tracing::warn!(stream = %due.stream, ?kind, ?outcome, "no answer, the call will time out");
                None
            }
        }
    }

    fn answered(&self, kind: Kind, said: Said, message: Evidence) -> Option<SubmissionCommand> {
        let policy = self.rail.policy;
        match (kind, said) {
            (Kind::Pay { .. }, Said::Status(answer)) => {
                Some(SubmissionCommand::RecordAnswer { answer, message, policy })
            }
            (Kind::Enquire { attempt, enquiry }, Said::Status(answer)) => {
                let answer = Some(answer);
                Some(SubmissionCommand::RecordEnquiry { attempt, enquiry, answer, message, policy })
            }
            (Kind::Enquire { attempt, enquiry }, Said::NotFound) => {
                Some(SubmissionCommand::RecordEnquiry { attempt, enquiry, answer: None, message, policy })
            }
            _ => None,
        }
    }
}

fn call_of(event: SubmissionEvent) -> Option<Call> {
    let (kind, message) = match event {
        SubmissionEvent::AttemptStarted(started) => (Kind::Pay { attempt: started.attempt }, started.message),
        SubmissionEvent::EnquiryStarted(started) => {
            (Kind::Enquire { attempt: started.attempt, enquiry: started.enquiry }, started.message)
        }
        SubmissionEvent::RecallStarted(started) => {
            let kind = Kind::Recall { recall_id: started.recall_id, attempt: started.attempt };
            (kind, Some(started.message))
        }
        _ => return None,
    };
    Some(Call { kind, message: message? })
}

fn context(due: &Due) -> Context {
    let cause = Causation { kind: CausationKind::Deadline, id: due.deadline.id };
    Context::because_of(cause, due.correlation_id, Actor::service(SERVICE, "courier"), Timestamp::now())
}

async fn record(store: &Store, due: &Due, command: SubmissionCommand) {
    let Some(id) = due.stream.uuid() else { return };
    for _ in 0..RECORD_TRIES_MAX {
        match store.execute::<Submission>(id, command.clone(), context(due)).await {
            Ok(_) => return,
            Err(error) => tracing::warn!(stream = %due.stream, %error, "the answer is not recorded yet"),
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
}
