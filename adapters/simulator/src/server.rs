//! The wire protocol, and the server that speaks it: HTTP/1.1 and JSON, no TLS, for a loopback or a test network.
//!
//! **Units.** Amounts are whole numbers of the currency's minor unit, as strings of digits without sign or
//! leading zero, positive and below 2^63. Times are RFC 3339 in UTC. Durations are milliseconds. Text has no
//! control characters; members that are not listed here are refused; `null` is the same as absent.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /payments` *payment* | 200 *decision* |
//! | `GET /payments/{uetr}` | 200 *decision*, 404; waits for a decision that is under way |
//! | `GET /journal?after=N` | 200 `{"lines":[…]}`, at most 1,000 with numbers above N; go on after the last |
//! | `POST /faults` *fault order* | 201 *fault* |
//! | `GET /faults` | 200 `{"faults":[…]}`, the active ones, oldest first |
//! | `DELETE /faults`, `DELETE /faults/{id}` | 204; 404 for an id that is not active |
//! | `GET /livez` | 200 `{"status":"up"}`; no fault touches it |
//!
//! ```json
//! payment   {"uetr":"0b2c1f7e-3f0d-4c39-9d6e-4b8f3c1a2d5e", "end_to_end_id":"1 to 35 characters",
//!            "amount":{"amount":"1250","currency":"DKK"},
//!            "debtor":{"iban":"DK5000400440116243","name":"1 to 140"},
//!            "creditor":{"iban":"DK9520000123456789","name":"1 to 140","bic":"8 or 11, optional"},
//!            "remittance":"to 140, optional", "callback_url":"http only, optional"}
//! decision  {"uetr":"…", "status":"ACSC"|"RJCT", "reason_code":null|"AC04", "settled_at":"…"|null}
//! line      {"n":1, "uetr":"…", "end_to_end_id":"…", "status":"…", "reason_code":…, "amount":"1250",
//!            "currency":"DKK", "creditor_iban":"…", "decided_at":"…", "content_hash":"32 hex digits"}
//! order     {"kind":"…", "count":N | "for_ms":N, "percent":100, "delay_ms":N, "reason_code":"AC06"}
//! fault     {"id":1, "kind":"…", "remaining":N|null, "expires_at":"…"|null, "percent":100,
//!            "delay_ms":N|null, "reason_code":"…"|null}
//! ```
//!
//! **Once per UETR.** The first payment with a UETR is decided; the same payment again gets the same decision,
//! also after a restart and also while the first is under way. "The same" is all members but `callback_url`;
//! another payment under a known UETR is 409 `uetr-reused`. A creditor IBAN that ends in `0000` is always
//! rejected with AC04. An IBAN's check digits are not verified.
//!
//! **Faults.** One at most strikes a valid `POST /payments`, or a `GET` of one: the oldest whose kind fits and whose
//! `percent` is rolled. `count` (to 1,000,000) counts strikes; `for_ms` (to an hour) ends by itself. A repeat is answered
//! under faults like a first payment, but cannot be rejected any more. Faults end with the process.
//!
//! - `reject`: decides RJCT with `reason_code`.
//! - `lose_request`: closes the connection without a byte of an answer; nothing is decided.
//! - `lose_answer`: decides, then closes the connection without a byte of an answer.
//! - `answer_late`: decides, answers after `delay_ms` (to 600,000); if the sender has hung up by then and gave
//!   a `callback_url`, the answer goes there.
//! - `duplicate`: answers and sends the answer to the `callback_url` twice; without one it does not strike.
//! - `down`: 503, nothing is decided; to a `GET` too.
//! - `lose_enquiry`: closes the connection of a `GET /payments/{uetr}` without a byte of an answer.
//!
//! A callback is `POST callback_url` with the *decision*; any 2xx is a receipt, anything else is tried again,
//! five times in all.
//!
//! **Errors** are `application/problem+json` with a stable `code`, and `field` where one is at fault.
//!
//! | status | code | was something paid? |
//! | --- | --- | --- |
//! | 400 | `malformed-json`, `unreadable-body`, `invalid-query` | no |
//! | 404, 405 | `not-found`, `method-not-allowed` | no |
//! | 408, 413 | `body-too-slow`, `body-too-large` (above 64 KiB) | no |
//! | 409 | `uetr-reused`; `too-many-faults` (above 64) | no |
//! | 422 | `invalid-field` | no |
//! | 503 with `Retry-After` | `down`, `busy`, `full` | no: send again |
//! | 500 | `outcome-unknown`, `journal-unreadable` | unknown: enquire, or send the same again |
//! | none | the connection closed or timed out | unknown, likewise |

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::callback::Callbacks;
use crate::connection::{self, Connection};
use crate::decision::Decision;
use crate::error::Error;
use crate::fault::Fault;
use crate::house::{Answer, House};
use crate::input::Input;
use crate::journal::{self, Journal, Writer};
use crate::payment::{Payment, parse_uetr};
use crate::problem::Problem;
use crate::tasks::Tasks;

const BODY_BYTES_MAX: usize = 64 * 1_024;
/// For answers under way, the last callback attempt and clients that read slowly.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Config {
    pub listener: TcpListener,
    /// Created when it is not there; its folder has to be. One process at a time.
    pub journal: PathBuf,
    /// How long the house takes over each new payment before it decides.
    pub answer_time: Duration,
}

/// Serves until `shutdown`, then answers what is under way and returns with everything decided on disk.
/// Ends with an error when the journal cannot be trusted at the start, or cannot be written later.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    let stop = shutdown.child_token();
    let _stop_when_dropped = stop.clone().drop_guard();

    let (book, journal, writer) = flatten(spawn_blocking(|| open(config.journal)).await)?;
    let mut writer = spawn_blocking(|| writer.run());
    let callbacks = Callbacks::new(stop.clone())?;
    let tasks = Tasks::default();
    let house = House::new(book, journal, callbacks, tasks.clone(), config.answer_time, stop.clone());
    let router = router(Arc::new(house));
    if let Ok(address) = config.listener.local_addr() {
        tracing::info!(%address, "clearing house open");
    }

    // The router, and with it the house and the last handle on the journal's queue, goes with `accept`.
    let early = tokio::select! {
        () = connection::accept(config.listener, router, &tasks, &stop) => None,
        () = tasks.panicked() => Some(Err(Error::TaskPanicked)),
        ended = &mut writer => Some(flatten(ended)),
    };
    stop.cancel();
    tasks.finish(SHUTDOWN_MAX).await;
    match early {
        Some(Err(Error::TaskPanicked)) => flatten(writer.await).and(Err(Error::TaskPanicked)),
        Some(ended) => ended,
        None => flatten(writer.await),
    }
}

fn open(path: PathBuf) -> Result<(Book, Journal, Writer), Error> {
    let mut book = Book::default();
    let (journal, writer) =
        journal::open(&path, |line| book.restore(line).then_some(()).ok_or("its UETR was decided before"))?;
    Ok((book, journal, writer))
}

fn flatten<T>(ended: Result<Result<T, Error>, JoinError>) -> Result<T, Error> {
    ended.unwrap_or(Err(Error::TaskPanicked))
}

fn router(house: Arc<House>) -> Router {
    Router::new()
        .route("/payments", post(pay))
        .route("/payments/{uetr}", get(find_payment))
        .route("/journal", get(read_journal))
        .route("/faults", post(order_fault).get(list_faults).delete(heal_all))
        .route("/faults/{id}", delete(heal))
        .route("/livez", get(|| async { Json(Live { status: "up" }) }))
        .fallback(|| async { Problem::not_found("there is no such resource") })
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            Problem::new(status, "method-not-allowed", "this resource has other methods")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(house)
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

#[derive(Serialize)]
struct FaultList {
    faults: Vec<Fault>,
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn pay(
    State(house): State<Arc<House>>,
    Extension(connection): Extension<Connection>,
    input: Input,
) -> Result<Json<Decision>, Problem> {
    match house.pay(Payment::from_input(input)?).await? {
        Answer::Sent(decision) => Ok(Json(decision)),
        Answer::Lost => connection.lose().await,
    }
}

async fn find_payment(
    State(house): State<Arc<House>>,
    Extension(connection): Extension<Connection>,
    uetr: Result<Path<String>, PathRejection>,
) -> Result<Json<Decision>, Problem> {
    let uetr = uetr.ok().and_then(|Path(uetr)| parse_uetr(&uetr));
    let uetr = uetr.ok_or_else(|| Problem::invalid_field("uetr", "uetr is not a UUID"))?;
    match house.find(uetr).await? {
        Some(Answer::Sent(decision)) => Ok(Json(decision)),
        Some(Answer::Lost) => connection.lose().await,
        None => Err(Problem::not_found("there is no payment with this UETR")),
    }
}

async fn read_journal(
    State(house): State<Arc<House>>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Ok(Query(After { after })) = query else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid-query", "after is not a whole number"));
    };
    let page = spawn_blocking(move || house.journal.page(after)).await;
    match page {
        Ok(Ok(lines)) => Ok(([(header::CONTENT_TYPE, "application/json")], format!("{{\"lines\":{lines}}}"))),
        unreadable => {
            tracing::error!(?unreadable, "journal page unreadable");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(Problem::new(status, "journal-unreadable", "the journal could not be read"))
        }
    }
}

async fn order_fault(
    State(house): State<Arc<House>>,
    input: Input,
) -> Result<(StatusCode, Json<Fault>), Problem> {
    let fault = house.book().faults.order(input, Timestamp::now())?;
    Ok((StatusCode::CREATED, Json(fault)))
}

async fn list_faults(State(house): State<Arc<House>>) -> Json<FaultList> {
    Json(FaultList { faults: house.book().faults.list(Timestamp::now()) })
}

async fn heal_all(State(house): State<Arc<House>>) -> StatusCode {
    house.book().faults.heal_all();
    StatusCode::NO_CONTENT
}

async fn heal(
    State(house): State<Arc<House>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    match id {
        Ok(Path(id)) if house.book().faults.heal(id) => Ok(StatusCode::NO_CONTENT),
        _ => Err(Problem::not_found("no such fault is active")),
    }
}
