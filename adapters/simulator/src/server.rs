//! The wire protocol, and the server that speaks it: HTTP/1.1 and JSON, no TLS, for a loopback or a test network.
//!
//! **Units.** In JSON, amounts are whole numbers of the currency's minor unit, as strings of digits. Times are RFC 3339 in
//! UTC. Durations are milliseconds. Members that are not listed here are refused; `null` is the same as absent.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /iso20022` pacs.008 | 200 pacs.002: `ACSC`, `RJCT`, or `ACSP` with the decision to come |
//! | `POST /iso20022` pacs.028 | 200 pacs.002; waits for a decision that is under way. Never taken: `RJCT`, proprietary reason `NOT_FOUND` |
//! | `POST /iso20022` camt.056 | 202; a pacs.004 (`FOCR`) or a camt.029 (`RJCR`) follows |
//! | `POST /iso20022` pacs.002, about a payment offered | 200 pacs.002: `ACSC`, `RJCT`, or `ACSP` with the outcome to come; 202 when all of it is to come |
//! | `POST /iso20022` pacs.004, of a payment offered | 200 pacs.002 about the return: `ACSC` or `RJCT` |
//! | `POST /payments` *payment order* | 201 `{"payments":[{"uetr","end_to_end_id","transaction_id"}]}`; each is offered to the creditor's bank by a pacs.008 |
//! | `POST /card-payments` *card order* | 201 `{"card_payments":[{"transaction_id"}]}`; what the merchants' terminals then do is in the journal |
//! | `POST /returns` *return order* | 201 `{"returned":[{"uetr","return_id","amount","reason_code"}]}`; a pacs.004 follows for each |
//! | `GET /journal?after=N` | 200 `{"lines":[…]}`, at most 1,000 with numbers above N; go on after the last |
//! | `POST /faults` *fault order* | 201 *fault* |
//! | `GET /faults` | 200 `{"faults":[…]}`, the active ones, oldest first |
//! | `DELETE /faults`, `DELETE /faults/{id}` | 204; 404 for an id that is not active |
//! | `GET /livez` | 200 `{"status":"up"}`; no fault touches it |
//!
//! Messages are ISO 20022 in a business message envelope (crate `iso20022`, in the profile of this house's rail), of 64 KiB at
//! most. The header `Reply-To` holds the address where messages for the sender go that cannot be an answer: an http URL. They
//! are `POST`ed, to the address of the latest message about the payment; any 2xx is a receipt. Answers are tried five times; returns and refused recalls until they are taken,
//! also after a restart.
//!
//! ```json
//! payment order {"amount":"1250", "currency":"DKK", "creditor_iban":"…", "creditor_name":"…", "debtor_iban":"…", "debtor_name":"…",
//!                "remittance":"…", "to":"LUNADK22XXX", "deliver_to":"http://…", "count":1}   creditor_iban and the amount are needed
//! return order  {"uetr":"…", "amount":"1250", "currency":"DKK", "reason_code":"AC04"}   the amount is optional: a part of it
//!               {"count":100, "reason_code":"AC04"}                                     the latest, at most 10,000
//! fault order   {"kind":"…", "count":N | "for_ms":N, "percent":100, "delay_ms":N, "reason_code":"AC06", "creditor_iban":"…"}
//! fault         {"id":1, "kind":"…", "remaining":N|null, "expires_at":"…"|null, "percent":100,
//!                "delay_ms":N|null, "reason_code":"…"|null, "creditor_iban":"…"|null}
//! lines         {"n":1, "uetr":"…", "end_to_end_id":"…", "transaction_id":"…", "message_id":"…", "sender":"…",
//!                "status":"ACSC"|"RJCT", "reason_code":…, "amount":"1250", "currency":"DKK", "creditor_iban":"…",
//!                "reply_to":…, "decided_at":"…", "told_at":"…", "content_hash":"32 hex digits"}
//!               {"n":2, "uetr":"…", "return_id":"…", "amount":"1250", "currency":"DKK", "return_reason":"…", "case_id":…, "decided_at":"…"}
//!               {"n":3, "uetr":"…", "case_id":"…", "recall_refused":"CUST", "decided_at":"…"}
//!               {"n":4, "uetr":"…", "taken":"return_id or case_id", "decided_at":"…"}
//!               {"n":5, "uetr":"…", "reply_to":"…", "decided_at":"…"}
//!               {"n":6, "uetr":"…", "offered_to":"…", "deliver_to":"…", "message_id":"…", "end_to_end_id":"…", "transaction_id":"…", "amount":"1250", "currency":"DKK",
//!                "debtor":{"account","name"}, "creditor":{"account","name"}, "remittance":…, "decided_at":"…"}
//!               {"n":7, "uetr":"…", "outcome":"ACSC"|"RJCT", "outcome_reason":…, "decided_at":"…"}
//!               {"n":9, "card_event":"approved", "transaction_id":"…", "message_id":"…", "card_id":"…", "amount":"1250", "currency":"DKK",
//!                "original_message_id":…, "response_code":…, "is_final":true, "merchant":"…", "deliver_to":"…", "decided_at":"…"}
//!               {"n":10, "transaction_id":"…", "card_taken":"message id", "decided_at":"…"}
//!               {"n":8, "uetr":"…", "taken_back":"return id", "amount":"1250", "currency":"DKK", "decided_at":"…"}
//! ```
//!
//! **Once per UETR.** The first payment with a UETR is decided; the same payment again gets the same decision,
//! also after a restart and also while the first is under way. "The same" is all but the message's own id and time; another
//! payment under a known UETR is 409 `uetr-reused`. A creditor account that ends in `0000` is always rejected with AC04. An IBAN's
//! check digits are not verified. A payment comes back once; a recall that is repeated gets the same answer.
//!
//! **Payments to a bank.** The house speaks for the debtor's bank. `to` may be left out where one bank alone has ever sent something,
//! `deliver_to` where this one has (`Reply-To`). The pacs.008 is repeated until it is taken. Whatever the bank's pacs.002 says but `RJCT` accepts;
//! the first answer decides, and silence beyond the house's limit (ten seconds) cancels it (`AB05`). A return that was taken is known by its id: the same one again is answered alike.
//!
//! **Payments by card.** The network speaks JSON modelled on ISO 8583 (`adapters/card/src/message.rs`) to `deliver_to`, which may be left out once it was said, and
//! shows its token. An order's `kind`: `purchase` (asks for `amount`; `partial_approval` 1 takes less; asks for `increment`; gives up `reverse` of it; collects `capture`,
//! or all that is approved, in `parts`; gives `refund` back), `reversed_early` (the reversal overtakes the question), `force_post` (collects without having asked),
//! `stand_in` (the network decides without asking), `refund` (of something else). A bank that has not answered after two seconds, or with `91`, is
//! silent: the network approves up to 10,000 minor units in its place, and says so. What has happened is said until it is taken, after a restart too; what the bank refuses for good is
//! not repeated.
//!
//! **Faults.** One at most strikes a message: the oldest whose kind fits, whose `creditor_iban` is the payment's if it has one, and
//! whose `percent` is rolled. `count` (to 1,000,000) counts strikes; `for_ms` (to an hour) ends by itself. A repeat is answered
//! under faults like a first payment, but cannot be rejected any more. Faults end with the process.
//!
//! - `reject`: decides RJCT with `reason_code`.
//! - `lose_request`: closes the connection without a byte of an answer; nothing is decided.
//! - `lose_answer`: decides, then closes the connection without a byte of an answer.
//! - `answer_late`: decides, answers after `delay_ms` (to 600,000); if the sender has hung up by then, the answer goes to its address.
//! - `duplicate`: answers and sends the answer to the sender's address twice; without one it does not strike.
//! - `malformed`: decides, answers with the first half of the message.
//! - `wrong_amount`: decides, answers about one minor unit more than was sent.
//! - `pending`: decides, answers `ACSP`; the decision goes to the sender's address after `delay_ms`; without one it does not strike.
//! - `down`: 503, nothing is decided.
//! - `lose_enquiry`: closes the connection of a pacs.028 without a byte of an answer.
//! - `unknown`: answers a pacs.028 as if the payment had never been taken.
//! - Of these `reject` (`AC06`, although the bank has accepted), `lose_request`, `lose_answer`, `answer_late`, `duplicate`, `malformed`, `pending` and
//!   `down` strike a bank's answer to an offer too; `lose_request`, `lose_answer` and `down` a return.
//! - `lose_request`, `lose_answer` and `duplicate` strike the card network's messages too: a question that is lost is one that the bank was silent about, an answer that is
//!   lost makes the terminal reverse that request; what has happened is said again. `card_id` spares other cards, as `creditor_iban` does other payees.
//! - `settle_anyway`: settles what the bank has refused. `reject_return`: does not take a return, with `reason_code` (`AC04`).
//! - `reject_recall`: refuses a recall with `reason_code` (`CUST`). `ignore_recall`: takes it and never answers.
//!
//! **Errors** are `application/problem+json` with a stable `code`, and `field` where one is at fault.
//!
//! | status | code | was something paid? |
//! | --- | --- | --- |
//! | 400 | `malformed-json`, `unreadable-body`, `invalid-query` | no |
//! | 401 | `unauthorized`: a message without the token, where the house has one | no |
//! | 404, 405 | `not-found`, `method-not-allowed` | no |
//! | 408, 413 | `body-too-slow`, `body-too-large` (above 64 KiB) | no |
//! | 409 | `uetr-reused`; `not-settled`, `already-returned`, `no-address` (also of a bank); `too-many-faults` (above 64) | no |
//! | 422 | `invalid-message`, `invalid-field` | no |
//! | 503 with `Retry-After` | `down`, `busy`, `full` | no: send again |
//! | 500 | `outcome-unknown`, `journal-unreadable` | unknown: enquire, or send the same again |
//! | none | the connection closed or timed out | unknown, likewise |

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use iso20022::{BYTES_MAX, Document, Profile};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::book::Book;
use crate::callback::Callbacks;
use crate::card_order::CardOrder;
use crate::connection::{self, Connection};
use crate::desk::Desk;
use crate::error::Error;
use crate::fault::Fault;
use crate::house::{Answer, House, PAYMENTS_UNDER_WAY_MAX, Times};
use crate::input::{Input, read_body};
use crate::journal::{self, Journal, Writer};
use crate::network::{Network, Ordered};
use crate::offer::OfferOrder;
use crate::offering::Offered;
use crate::payment::Payment;
use crate::problem::Problem;
use crate::returns::{ReturnOrder, Returned};
use crate::tasks::Tasks;

const REPLY_TO: &str = "reply-to";
const REPLY_TO_CHARS_MAX: usize = 2_048;
/// A bank that has not answered by then is silent, and the card network decides in its place.
const CARD_ANSWER_MAX: Duration = Duration::from_secs(2);
/// For answers under way, the last callback attempt and clients that read slowly.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Config {
    pub listener: TcpListener,
    /// Created when it is not there; its folder has to be. One process at a time.
    pub journal: PathBuf,
    /// How long the house takes over each new payment before it decides.
    pub answer_time: Duration,
    /// How long a creditor's bank has to say whether it will credit; then the payment is cancelled.
    pub acceptance_limit: Duration,
    /// The rail, and the house's own name in it.
    pub profile: Profile,
    pub name: String,
    /// What banks and the house show each other, as `Authorization: Bearer`. None: nothing.
    pub token: Option<String>,
    /// What the card network shows the bank, likewise.
    pub network_token: Option<String>,
    /// Where the card network finds the cards' bank, until an order says otherwise.
    pub card_bank: Option<Url>,
}

/// Serves until `shutdown`, then answers what is under way and returns with everything decided on disk.
/// Ends with an error when the journal cannot be trusted at the start, or cannot be written later.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    let stop = shutdown.child_token();
    let _stop_when_dropped = stop.clone().drop_guard();

    let (mut book, journal, writer) = flatten(spawn_blocking(|| open(config.journal)).await)?;
    let mut writer = spawn_blocking(|| writer.run());
    let callbacks = Callbacks::new(config.token.clone(), stop.clone())?;
    let untaken = std::mem::take(&mut book.untaken_cards);
    let network = Network::new(config.network_token, config.card_bank, CARD_ANSWER_MAX, untaken)?;
    let tasks = Tasks::default();
    let desk = Desk { profile: config.profile, name: config.name, token: config.token };
    let times = Times { decision: config.answer_time, acceptance: config.acceptance_limit };
    let house = Arc::new(House {
        desk,
        book: Mutex::new(book),
        journal,
        callbacks,
        network,
        tasks: tasks.clone(),
        times,
        shutdown: stop.clone(),
        under_way: Semaphore::new(PAYMENTS_UNDER_WAY_MAX),
        after_settlement: tokio::sync::Mutex::default(),
    });
    house.resume();
    house.resume_offers();
    house.resume_cards();
    let router = router(house);
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
    let (journal, writer) = journal::open(&path, |line| book.restore(line))?;
    Ok((book, journal, writer))
}

fn flatten<T>(ended: Result<Result<T, Error>, JoinError>) -> Result<T, Error> {
    ended.unwrap_or(Err(Error::TaskPanicked))
}

fn router(house: Arc<House>) -> Router {
    Router::new()
        .route("/iso20022", post(receive))
        .route("/returns", post(give_back))
        .route("/payments", post(offer))
        .route("/card-payments", post(pay_by_card))
        .route("/journal", get(read_journal))
        .route("/faults", post(order_fault).get(list_faults).delete(heal_all))
        .route("/faults/{id}", delete(heal))
        .route("/livez", get(|| async { Json(Live { status: "up" }) }))
        .fallback(|| async { Problem::not_found("there is no such resource") })
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            Problem::new(status, "method-not-allowed", "this resource has other methods")
        })
        .layer(DefaultBodyLimit::max(BYTES_MAX))
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

async fn receive(
    State(house): State<Arc<House>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    Body(bytes): Body,
) -> Result<Response, Problem> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !house.desk.admits(shown) {
        let detail = "show the token that was agreed (Authorization: Bearer)";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail));
    }
    let reply_to = reply_to(&headers)?;
    let message = house.desk.read(&bytes)?;
    let (from, own) = (message.from.clone(), Arc::clone(&house));
    house.note_bank(&from, reply_to.as_ref());
    let answer = match message.document.clone() {
        Document::CreditTransfer(transfer) => {
            house.note_address(transfer.uetr, reply_to.as_ref()).await?;
            house.pay(Payment::new(message, transfer, reply_to)).await?
        }
        Document::StatusRequest(request) => {
            house.note_address(request.original.uetr, reply_to.as_ref()).await?;
            house.enquire(&from, request.original).await?
        }
        Document::CancellationRequest(request) => {
            house.note_address(request.original.uetr, reply_to.as_ref()).await?;
            house.detached(async move { own.recall(request).await }).await?
        }
        Document::StatusReport(report) => house.detached(async move { own.answered(report).await }).await?,
        Document::PaymentReturn(returned) => {
            house.detached(async move { own.take_back(message, returned).await }).await?
        }
        Document::CancellationResolution(_) => {
            let detail = "this house takes pacs.008, pacs.002, pacs.028, pacs.004 and camt.056";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-message", detail));
        }
    };
    Ok(match answer {
        Answer::Xml(xml) => ([(header::CONTENT_TYPE, "application/xml")], xml).into_response(),
        Answer::Taken => StatusCode::ACCEPTED.into_response(),
        Answer::Lost => connection.lose().await,
    })
}

struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read_body(request, state).await.map(Self)
    }
}

fn reply_to(headers: &HeaderMap) -> Result<Option<Url>, Problem> {
    let Some(value) = headers.get(REPLY_TO) else { return Ok(None) };
    let url = value.to_str().ok().filter(|text| text.len() <= REPLY_TO_CHARS_MAX);
    let url = url.and_then(|text| text.parse::<Url>().ok()).filter(|url| url.scheme() == "http");
    url.map(Some).ok_or_else(|| Problem::invalid_field("Reply-To", "Reply-To is no http URL"))
}

#[derive(Serialize)]
struct ReturnList {
    returned: Vec<Returned>,
}

async fn give_back(
    State(house): State<Arc<House>>,
    input: Input,
) -> Result<(StatusCode, Json<ReturnList>), Problem> {
    let (order, own) = (ReturnOrder::from_input(input)?, Arc::clone(&house));
    let returned = house.detached(async move { own.give_back(order).await }).await?;
    Ok((StatusCode::CREATED, Json(ReturnList { returned })))
}

#[derive(Serialize)]
struct OfferList {
    payments: Vec<Offered>,
}

async fn offer(
    State(house): State<Arc<House>>,
    input: Input,
) -> Result<(StatusCode, Json<OfferList>), Problem> {
    let (order, own) = (OfferOrder::from_input(input)?, Arc::clone(&house));
    let payments = house.detached(async move { own.offer(order).await }).await?;
    Ok((StatusCode::CREATED, Json(OfferList { payments })))
}

#[derive(Serialize)]
struct CardList {
    card_payments: Vec<Ordered>,
}

async fn pay_by_card(
    State(house): State<Arc<House>>,
    input: Input,
) -> Result<(StatusCode, Json<CardList>), Problem> {
    let card_payments = house.play(CardOrder::from_input(input)?)?;
    Ok((StatusCode::CREATED, Json(CardList { card_payments })))
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
