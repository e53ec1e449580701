//! Where the network speaks to us: `POST /iso8583` (`message.rs` writes down what). 200 with the answer; 400 for what is no message, 401
//! without the token, 503 when nothing could be recorded: the network says it again.

use std::time::Duration;

use adapter::{behind_token, keep_unmatched, start_counting, unasked};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use event::Personal;
use event_store::{ExecuteError, Store};
use jiff::SignedDuration;
use tokio::time::Instant;
use uuid::Uuid;

use crate::exchange::Answer;
use crate::message::{exchange_id, message_id};
use crate::{Exchange, ExchangeCommand, ExchangeEvent, ExchangeRefusal, Message, Response, SERVICE};

const ACTOR: &str = "network:card";
/// Many times what a message has.
const BODY_BYTES_MAX: usize = 64 * 1_024;
/// How often it is looked whether core has decided. The answer is in the database as soon as it is anywhere.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// The deadline fires within this, and the request is answered by it.
const FIRING_MAX: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Door {
    store: Store,
    answer_within: SignedDuration,
}

type Refused = (StatusCode, String);

/// Whoever shows the token is taken for the network; without one, whoever gets here.
pub fn router(store: Store, answer_within: SignedDuration, token: Option<&str>) -> Router {
    start_counting(SERVICE);
    behind_token(Router::new().route("/iso8583", post(receive)), token)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Door { store, answer_within })
}

async fn receive(State(door): State<Door>, bytes: Bytes) -> Result<Json<Response>, Refused> {
    let message = match Message::parse(&bytes) {
        Ok(message) => message,
        Err(error) => return Err(door.keep(error.to_string(), &bytes).await),
    };
    let answer = door.take(&message, &bytes).await?;
    let response = message.response(&answer.response_code);
    let (amount, currency) =
        answer.approved.map(|approved| (approved.minor().to_string(), approved.currency())).unzip();
    Ok(Json(Response { amount, currency, ..response }))
}

impl Door {
    /// Records a message, and waits for what it is to be answered.
    async fn take(&self, message: &Message, bytes: &[u8]) -> Result<Answer, Refused> {
        let id = exchange_id(&message.transaction_id);
        let raw = Personal(String::from_utf8_lossy(bytes).into_owned());
        let hear = ExchangeCommand::Hear {
            message: Box::new(message.clone()),
            raw,
            answer_within: self.answer_within,
        };
        let recorded = match self.store.execute::<Exchange>(id, hear, unasked(id, ACTOR)).await {
            Ok(recorded) => recorded,
            Err(ExecuteError::Refused(ExchangeRefusal::NotAMessage(reason))) => {
                return Err(self.keep(reason, bytes).await);
            }
            Err(ExecuteError::Refused(refusal)) => return Err(self.keep(refusal.to_string(), bytes).await),
            Err(ExecuteError::Store(error)) => return Err(not_recorded(&error)),
        };
        for event in &recorded.events {
            if let ExchangeEvent::MessageContradicted(event) = event {
                return Ok(Answer { response_code: event.response_code.clone(), approved: None });
            }
        }
        let message_id = message_id(&message.transaction_id, &message.message_id);
        match recorded.state.as_ref().and_then(|exchange| exchange.answer(message_id)) {
            Some(answer) => Ok(answer.clone()),
            None => self.wait(id, message_id).await,
        }
    }

    async fn wait(&self, id: Uuid, message_id: Uuid) -> Result<Answer, Refused> {
        let limit = Instant::now() + self.answer_within.unsigned_abs() + FIRING_MAX;
        while Instant::now() < limit {
            tokio::time::sleep(LOOK_EVERY).await;
            let (exchange, _) =
                self.store.load::<Exchange>(id).await.map_err(|error| not_recorded(&error))?;
            if let Some(answer) = exchange.as_ref().and_then(|exchange| exchange.answer(message_id)) {
                return Ok(answer.clone());
            }
        }
        Err((StatusCode::SERVICE_UNAVAILABLE, "nobody has decided: say it again\n".to_owned()))
    }

    /// What is no message is kept for a person.
    async fn keep(&self, reason: String, bytes: &[u8]) -> Refused {
        match keep_unmatched(&self.store, SERVICE, ACTOR, reason.clone(), bytes).await {
            Ok(()) => (StatusCode::BAD_REQUEST, reason + "\n"),
            Err(error) => not_recorded(&error),
        }
    }
}

fn not_recorded(error: &event_store::Error) -> Refused {
    tracing::warn!(%error, "a message could not be recorded, the network says it again");
    (StatusCode::SERVICE_UNAVAILABLE, "try again\n".to_owned())
}
