//! Where the clearing house delivers payments, and what is no answer, or one whose connection had gone: `POST /iso20022`.

use std::fmt::Display;
use std::sync::Arc;

use adapter::{behind_token, keep_unmatched, start_counting, unasked};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use event::{Actor, Aggregate, Causation, CausationKind, Context, Personal, RecordedEvent, Seq};
use event_store::{ExecuteError, Store};
use jiff::Timestamp;
use uuid::Uuid;

use crate::inbound::{inbound_id, status_of};
use crate::rail::{Evidence, Heard, Rail, Said};
use crate::submission::as_answer;
use crate::{Inbound, InboundCommand, RetryPolicy, SERVICE, Submission, SubmissionCommand};

/// A submission has a few events an attempt and enquiry, and few of both.
const EVENTS_MAX: u32 = 1_000;
/// Far above what a message may have, so that one that is too large is kept as well. No house sends more.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;
const ACTOR: &str = "rail:instant";

#[derive(Clone)]
pub(crate) struct Inbox {
    pub(crate) store: Store,
    pub(crate) rail: Arc<Rail>,
}

/// Whoever shows the token is taken for the house; without one, whoever gets here.
pub fn router(store: Store, rail: Arc<Rail>, token: Option<&str>) -> Router {
    start_counting(SERVICE);
    behind_token(Router::new().route("/iso20022", post(receive)), token)
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
            Ok(heard) => Box::pin(self.record(heard, bytes)).await,
            Err(reason) => self.keep(reason.to_string(), bytes).await,
        }
    }

    async fn record(&self, heard: Heard, bytes: &[u8]) -> Result<(), event_store::Error> {
        let message = Some(Personal(String::from_utf8_lossy(bytes).into_owned()));
        let id = inbound_id(heard.uetr);
        if let Said::Offered(offer) = heard.said {
            let decide_within = self.rail.decide_within;
            let command = InboundCommand::Offer { offer, message, decide_within };
            // The payment is the request that all of it follows from.
            let context = unasked(id, ACTOR);
            return self.tell::<Inbound>(id, command, context, bytes).await;
        }
        if let Some(payment_id) = heard.payment_id().filter(|_| !heard.is_of_return)
            && let (Some(submission), _) = self.store.load::<Submission>(payment_id).await?
            && heard.is_about(submission.payment.uetr, submission.payment.amount)
        {
            return self.about_submission(payment_id, heard.said, message, bytes).await;
        }
        if let (Some(inbound), _) = self.store.load::<Inbound>(id).await?
            && inbound.payment.transaction_id == heard.transaction_id
            && heard.is_about(inbound.payment.uetr, inbound.payment.amount)
            && let Some(command) = status_of(heard, message, self.rail.policy)
        {
            let asks = |kind: &str| matches!(kind, "PaymentOffered" | "MessageStarted");
            let asked = self.last::<Inbound>(id, asks).await?;
            let context = asked.map_or_else(|| unasked(id, ACTOR), |asked| following(&asked));
            return self.tell::<Inbound>(id, command, context, bytes).await;
        }
        self.keep("no such payment, of such an amount, was submitted or offered".to_owned(), bytes).await
    }

    async fn about_submission(
        &self,
        payment_id: Uuid,
        said: Said,
        message: Evidence,
        bytes: &[u8],
    ) -> Result<(), event_store::Error> {
        let is_status = matches!(said, Said::Status(_) | Said::Accepted { .. } | Said::NotFound);
        let asks = |kind: &str| kind == "AttemptStarted" || kind == "RecallStarted" && !is_status;
        let Some(asked) = self.last::<Submission>(payment_id, asks).await? else {
            return self.keep("no such payment was sent".to_owned(), bytes).await;
        };
        let Some(command) = command(said, message, self.rail.policy) else {
            return self.keep("nobody has asked".to_owned(), bytes).await;
        };
        self.tell::<Submission>(payment_id, command, following(&asked), bytes).await
    }

    /// What the aggregate refuses is kept.
    async fn tell<A: Aggregate>(
        &self,
        id: Uuid,
        command: A::Command,
        context: Context,
        bytes: &[u8],
    ) -> Result<(), event_store::Error>
    where
        A::Refusal: Display,
    {
        match self.store.execute::<A>(id, command, context).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Refused(refusal)) => self.keep(refusal.to_string(), bytes).await,
            Err(ExecuteError::Store(error)) => Err(error),
        }
    }

    async fn keep(&self, reason: String, bytes: &[u8]) -> Result<(), event_store::Error> {
        keep_unmatched(&self.store, SERVICE, ACTOR, reason, bytes).await
    }

    /// The last event that made the house speak.
    async fn last<A: Aggregate>(
        &self,
        id: Uuid,
        asks: impl Fn(&str) -> bool,
    ) -> Result<Option<RecordedEvent>, event_store::Error> {
        let events = self.store.read(&A::stream(id), Seq::ZERO, EVENTS_MAX).await?;
        Ok(events.into_iter().rev().find(|event| asks(&event.event_type)))
    }
}

/// None: it answers an enquiry that nobody has made.
fn command(said: Said, message: Evidence, policy: RetryPolicy) -> Option<SubmissionCommand> {
    match as_answer(said) {
        Said::Status(answer) => Some(SubmissionCommand::RecordAnswer { answer, message, policy }),
        Said::Returned(returned) => Some(SubmissionCommand::RecordReturn { returned, message }),
        Said::Recalled(answer) => Some(SubmissionCommand::RecordRecallAnswer { answer, message }),
        Said::NotFound | Said::Offered(_) | Said::Accepted { .. } => None,
    }
}

fn following(asked: &RecordedEvent) -> Context {
    let cause = Causation { kind: CausationKind::Event, id: asked.id };
    Context::because_of(cause, asked.correlation_id, Actor(ACTOR.to_owned()), Timestamp::now())
}
