//! Where the network speaks to us: `POST /iso8583` (`message.rs` writes down what). 200 with the answer; 400 for what is no message, 401
//! without the token, 503 when it was not recorded, or when too much waits already, or when the answer could not be found: the network says it again.

use std::sync::Arc;
use std::time::Duration;

use adapter::{behind_token, keep_unmatched, start_counting, unasked};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use event::Personal;
use event_store::{ExecuteError, Store};
use jiff::{SignedDuration, Timestamp};
use metrics::counter;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use crate::exchange::{Answer, Comparison, NOBODY_DECIDES};
use crate::message::{exchange_id, without_card_numbers};
use crate::{Exchange, ExchangeCommand, Message, Response, SERVICE};

const ACTOR: &str = "network:card";
/// Far above what a message may have, so that one that is too large is kept as well.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;
/// How often it is looked whether core has decided: soon at first, and less often the longer it takes. The answer is in the
/// database as soon as it is anywhere.
const LOOK_FIRST: Duration = Duration::from_millis(3);
const LOOK_LAST: Duration = Duration::from_millis(50);
/// The deadline has fired by then, unless nobody fires deadlines just now.
const FIRING_MAX: Duration = Duration::from_millis(400);
/// More do not help core to decide.
const WAITING_MAX: usize = 256;
const ANSWERS: &str = "lunaria_card_answers_total";

#[derive(Clone)]
struct Door {
    store: Store,
    answer_within: SignedDuration,
    waiting: Arc<Semaphore>,
}

type Refused = (StatusCode, String);

/// Whoever shows the token is taken for the network; without one, whoever gets here.
pub fn router(store: Store, answer_within: SignedDuration, token: Option<&str>) -> Router {
    start_counting(SERVICE);
    // So that the first one is a step, and not the beginning of a series.
    counter!(ANSWERS, "service" => SERVICE, "code" => NOBODY_DECIDES).increment(0);
    behind_token(Router::new().route("/iso8583", post(receive)), token)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Door { store, answer_within, waiting: Arc::new(Semaphore::new(WAITING_MAX)) })
}

async fn receive(State(door): State<Door>, bytes: Bytes) -> Result<Json<Response>, Refused> {
    let message = match Message::parse(&bytes) {
        Ok(message) => message,
        Err(error) => return Err(door.keep(error.to_string(), &bytes).await),
    };
    let answer = door.take(&message, &bytes).await?;
    counter!(ANSWERS, "service" => SERVICE, "code" => answer.response_code.clone()).increment(1);
    let response = message.response(&answer.response_code);
    let (amount, currency) =
        answer.approved.map(|approved| (approved.minor().to_string(), approved.currency())).unzip();
    Ok(Json(Response { amount, currency, ..response }))
}

impl Door {
    /// Records a message, and waits for what it is to be answered.
    async fn take(&self, message: &Message, bytes: &[u8]) -> Result<Answer, Refused> {
        let said = match message.said(Timestamp::now()) {
            Ok(said) => said,
            // A question gets an answer.
            Err(error) if message.is_question() => {
                let (status, reason) = self.keep(error.to_string(), bytes).await;
                let is_kept = status == StatusCode::BAD_REQUEST;
                return if is_kept { Ok(Answer::not_permitted(&error)) } else { Err((status, reason)) };
            }
            Err(error) => return Err(self.keep(error.to_string(), bytes).await),
        };
        let busy = || (StatusCode::SERVICE_UNAVAILABLE, "too much waits already: say it again\n".to_owned());
        let _place =
            if message.is_question() { Some(self.waiting.try_acquire().map_err(|_| busy())?) } else { None };
        let id = exchange_id(&message.transaction_id);
        let raw = Personal(message.kept(&String::from_utf8_lossy(bytes)));
        let hear = ExchangeCommand::Hear {
            message: Box::new(message.clone()),
            raw,
            answer_within: self.answer_within,
        };
        let state = match self.store.execute::<Exchange>(id, hear, unasked(id, ACTOR)).await {
            Ok(recorded) => recorded.state,
            Err(ExecuteError::Refused(refusal)) => return Err(self.keep(refusal.to_string(), bytes).await),
            Err(ExecuteError::Store(error)) => return Err(not_recorded(&error)),
        };
        let compared = state.as_ref().map(|exchange| exchange.compare(&said));
        if let Some(Comparison::Contradicts { response_code }) = compared {
            if !message.is_question() {
                // It says that money has moved: somebody has to find out what it is.
                let reason = "it is not what was said before under this message_id".to_owned();
                self.keep(reason, bytes).await;
            }
            return Ok(Answer { response_code: response_code.to_owned(), approved: None });
        }
        match state.as_ref().and_then(|exchange| exchange.answer(said.message_id())) {
            Some(answer) => Ok(answer.clone()),
            None => self.wait(id, said.message_id()).await,
        }
    }

    /// Until core has decided, or the deadline has fired.
    async fn wait(&self, id: Uuid, message_id: Uuid) -> Result<Answer, Refused> {
        let (start, limit) = (Instant::now(), self.answer_within.unsigned_abs() + FIRING_MAX);
        while start.elapsed() < limit {
            tokio::time::sleep((start.elapsed() / 8).clamp(LOOK_FIRST, LOOK_LAST)).await;
            match self.store.load::<Exchange>(id).await {
                Ok((Some(exchange), _)) => {
                    if let Some(answer) = exchange.answer(message_id) {
                        return Ok(answer.clone());
                    }
                }
                Ok((None, _)) => {}
                Err(error) => tracing::warn!(%error, "cannot look whether core has decided"),
            }
        }
        Err((StatusCode::SERVICE_UNAVAILABLE, "nobody has decided: say it again\n".to_owned()))
    }

    /// What is no message is kept for a person.
    async fn keep(&self, reason: String, bytes: &[u8]) -> Refused {
        let kept = without_card_numbers(&String::from_utf8_lossy(bytes), &[]);
        match keep_unmatched(&self.store, SERVICE, ACTOR, reason.clone(), kept.as_bytes()).await {
            Ok(()) => (StatusCode::BAD_REQUEST, reason + "\n"),
            Err(error) => not_recorded(&error),
        }
    }
}

fn not_recorded(error: &event_store::Error) -> Refused {
    tracing::warn!(%error, "a message could not be recorded, the network says it again");
    (StatusCode::SERVICE_UNAVAILABLE, "try again\n".to_owned())
}
