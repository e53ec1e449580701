//! Where the clearing house delivers answers whose connection had gone: `POST /answers`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use event::{Actor, Causation, CausationKind, Context};
use event_store::{ExecuteError, Store};
use jiff::Timestamp;
use uuid::Uuid;

use crate::clearing_house::AnswerMessage;
use crate::{Submission, SubmissionCommand};

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
    let Some(submission) = submission.filter(|submission| submission.payment.uetr == message.uetr) else {
        tracing::warn!(%payment_id, uetr = %message.uetr, "answer about a payment that was never submitted");
        return Err((StatusCode::NOT_FOUND, "no such payment was submitted\n".to_owned()));
    };
    let answer = message.into_answer().map_err(|reason| (StatusCode::UNPROCESSABLE_ENTITY, reason))?;
    // What made the house speak is our attempt; its identifier is what ties the two together.
    let cause = Causation { kind: CausationKind::Request, id: submission.payment.uetr };
    let actor = Actor("rail:instant".to_owned());
    let correlation_id = correlation_of(&store, payment_id).await.unwrap_or(payment_id);
    let context = Context::because_of(cause, correlation_id, actor, Timestamp::now());
    match store.execute::<Submission>(payment_id, SubmissionCommand::RecordAnswer(answer), context).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(ExecuteError::Refused(refusal)) => Err((StatusCode::NOT_FOUND, refusal.to_string())),
        Err(ExecuteError::Store(error)) => Err(unavailable(payment_id, &error)),
    }
}

async fn correlation_of(store: &Store, payment_id: Uuid) -> Option<Uuid> {
    let stream = <Submission as event::Aggregate>::stream(payment_id);
    store.last(&stream).await.ok().flatten().map(|event| event.correlation_id)
}

fn unavailable(payment_id: Uuid, error: &event_store::Error) -> (StatusCode, String) {
    tracing::warn!(%payment_id, %error, "an answer could not be recorded, the house repeats it");
    (StatusCode::SERVICE_UNAVAILABLE, "try again\n".to_owned())
}
