//! Where the clearing house delivers what is no answer, or one whose connection had gone: `POST /iso20022`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use event::{Actor, Aggregate, Causation, CausationKind, Context, Personal, RecordedEvent, Seq};
use event_store::{ExecuteError, Store};
use jiff::Timestamp;
use metrics::counter;
use uuid::Uuid;

use crate::rail::{Evidence, Heard, Rail, Said};
use crate::unmatched::{KeepUnmatched, Unmatched};
use crate::{RetryPolicy, SERVICE, Submission, SubmissionCommand};

/// A submission has a few events an attempt and enquiry, and few of both.
const EVENTS_MAX: u32 = 1_000;
/// Far above what a message may have, so that one that is too large is kept as well. No house sends more.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;
const UNMATCHED: &str = "lunaria_unmatched_messages_total";

#[derive(Clone)]
pub(crate) struct Inbox {
    pub(crate) store: Store,
    pub(crate) rail: Arc<Rail>,
}

/// Not for the public: whoever reaches it is taken for the house.
pub fn router(store: Store, rail: Arc<Rail>) -> Router {
    // So that the first one is a step, and not the beginning of a series.
    counter!(UNMATCHED, "service" => SERVICE).increment(0);
    Router::new()
        .route("/iso20022", post(receive))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Inbox { store, rail })
}

/// 204 when the message is recorded: with its payment, as a duplicate, or as one that matches nothing. The house repeats
/// anything else.
async fn receive(State(inbox): State<Inbox>, bytes: Bytes) -> Result<StatusCode, (StatusCode, &'static str)> {
    inbox.take(&bytes).await.map(|()| StatusCode::NO_CONTENT).map_err(|error| {
        tracing::warn!(%error, "a message could not be recorded, the house repeats it");
        (StatusCode::SERVICE_UNAVAILABLE, "try again\n")
    })
}

impl Inbox {
    /// Records a message with its payment, as a duplicate, or as one that matches nothing.
    pub(crate) async fn take(&self, bytes: &[u8]) -> Result<(), event_store::Error> {
        match self.rail.read(bytes) {
            Ok(heard) => self.record(heard, bytes).await,
            Err(reason) => self.keep(reason.to_string(), bytes).await,
        }
    }

    async fn record(&self, heard: Heard, bytes: &[u8]) -> Result<(), event_store::Error> {
        let Heard { payment_id, uetr, said } = heard;
        let (submission, _) = self.store.load::<Submission>(payment_id).await?;
        if submission.is_none_or(|submission| submission.payment.uetr != uetr) {
            return self.keep("no such payment was submitted".to_owned(), bytes).await;
        }
        let Some(asked) = self.last_asked(payment_id, &said).await? else {
            return self.keep("no such payment was sent".to_owned(), bytes).await;
        };
        let message = Some(Personal(String::from_utf8_lossy(bytes).into_owned()));
        let Some(command) = command(said, message, self.rail.policy) else {
            return self.keep("nobody has asked".to_owned(), bytes).await;
        };
        let context = context(asked.id, asked.correlation_id, CausationKind::Event);
        match self.store.execute::<Submission>(payment_id, command, context).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Refused(refusal)) => self.keep(refusal.to_string(), bytes).await,
            Err(ExecuteError::Store(error)) => Err(error),
        }
    }

    async fn keep(&self, reason: String, bytes: &[u8]) -> Result<(), event_store::Error> {
        tracing::warn!(reason, bytes = bytes.len(), "a message of the clearing house matches nothing");
        counter!(UNMATCHED, "service" => SERVICE).increment(1);
        let keep = KeepUnmatched { reason, message: bytes.to_vec() };
        let id = keep.id();
        match self.store.execute::<Unmatched>(id, keep, context(id, id, CausationKind::Request)).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Store(error)) => Err(error),
            Err(ExecuteError::Refused(never)) => match never {},
        }
    }

    /// What made the house speak: the last attempt, or the recall that is answered.
    async fn last_asked(
        &self,
        payment_id: Uuid,
        said: &Said,
    ) -> Result<Option<RecordedEvent>, event_store::Error> {
        let stream = Submission::stream(payment_id);
        let events = self.store.read(&stream, Seq::ZERO, EVENTS_MAX).await?;
        let is_asking = |event: &RecordedEvent| match event.event_type.as_str() {
            "AttemptStarted" => true,
            "RecallStarted" => !matches!(said, Said::Status(_) | Said::NotFound),
            _ => false,
        };
        Ok(events.into_iter().rev().find(is_asking))
    }
}

/// None: it answers an enquiry that nobody has made.
fn command(said: Said, message: Evidence, policy: RetryPolicy) -> Option<SubmissionCommand> {
    match said {
        Said::Status(answer) => Some(SubmissionCommand::RecordAnswer { answer, message, policy }),
        Said::Returned(returned) => Some(SubmissionCommand::RecordReturn { returned, message }),
        Said::Recalled(answer) => Some(SubmissionCommand::RecordRecallAnswer { answer, message }),
        Said::NotFound => None,
    }
}

fn context(cause: Uuid, correlation_id: Uuid, kind: CausationKind) -> Context {
    let actor = Actor("rail:instant".to_owned());
    Context::because_of(Causation { kind, id: cause }, correlation_id, actor, Timestamp::now())
}
