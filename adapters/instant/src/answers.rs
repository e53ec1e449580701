//! Where the clearing house delivers answers whose connection had gone: `POST /answers`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use event::{Actor, Aggregate, Causation, CausationKind, Context, RecordedEvent, Seq};
use event_store::{ExecuteError, Store};
use jiff::Timestamp;
use uuid::Uuid;

use crate::clearing_house::AnswerMessage;
use crate::{Submission, SubmissionCommand};

/// A submission has a few events an attempt and enquiry, and few of both.
const EVENTS_MAX: u32 = 1_000;

/// The house's UETR is not the stream's id; the URL that it was given carries it: `/answers/{payment_id}`.
pub fn router(store: Store) -> Router {
    Router::new().route("/answers/{payment_id}", post(receive)).with_state(store)
}

/// 204 when the answer is recorded, also as a duplicate; the house repeats anything else.
async fn receive(
    State(store): State<Store>,
    axum::extract::Path(payment_id): axum::extract::Path<Uuid>,
    Json(message): Json<AnswerMessage>,
) -> Result<StatusCode, (StatusCode, String)> {
    let (submission, _) =
        store.load::<Submission>(payment_id).await.map_err(|error| unavailable(payment_id, &error))?;
    if submission.is_none_or(|submission| submission.payment.uetr != message.uetr) {
        tracing::warn!(%payment_id, uetr = %message.uetr, "answer about a payment that was never submitted");
        return Err((StatusCode::NOT_FOUND, "no such payment was submitted\n".to_owned()));
    }
    let answer = message.into_answer().map_err(|reason| (StatusCode::UNPROCESSABLE_ENTITY, reason))?;
    // What made the house speak is the last attempt.
    let attempt = last_attempt(&store, payment_id).await.map_err(|error| unavailable(payment_id, &error))?;
    let Some(attempt) = attempt else {
        return Err((StatusCode::NOT_FOUND, "no such payment was sent\n".to_owned()));
    };
    let cause = Causation { kind: CausationKind::Event, id: attempt.id };
    let (actor, correlation_id) = (Actor("rail:instant".to_owned()), attempt.correlation_id);
    let context = Context::because_of(cause, correlation_id, actor, Timestamp::now());
    match store.execute::<Submission>(payment_id, SubmissionCommand::RecordAnswer(answer), context).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(ExecuteError::Refused(refusal)) => Err((StatusCode::NOT_FOUND, refusal.to_string())),
        Err(ExecuteError::Store(error)) => Err(unavailable(payment_id, &error)),
    }
}

async fn last_attempt(store: &Store, payment_id: Uuid) -> Result<Option<RecordedEvent>, event_store::Error> {
    let stream = Submission::stream(payment_id);
    let events = store.read(&stream, Seq::ZERO, EVENTS_MAX).await?;
    Ok(events.into_iter().rev().find(|event| event.event_type == "AttemptStarted"))
}

fn unavailable(payment_id: Uuid, error: &event_store::Error) -> (StatusCode, String) {
    tracing::warn!(%payment_id, %error, "an answer could not be recorded, the house repeats it");
    (StatusCode::SERVICE_UNAVAILABLE, "try again\n".to_owned())
}
