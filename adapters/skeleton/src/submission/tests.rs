//! The adapter's rules, given/when/then; what it relies on; and the whole way, with a rail that answers over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use contract::payment::{self, Party, PaymentEvent};
use event::given::{context, given};
use event_store::Scheduler;
use money::{Currency, Money};
use serde_json::{Value, json};
use testbed::{TestDatabase, eventually};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Courier, Line, SERVICE};

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const FIRST: Deadline = Deadline { id: ID, due_at: Timestamp::UNIX_EPOCH };
const POLICY: RetryPolicy = RetryPolicy {
    attempts_max: 3,
    answer_timeout: SignedDuration::from_millis(300),
    retry_pause: SignedDuration::from_millis(100),
};

fn payment() -> PaymentSubmitted {
    let party = |name: &str| {
        let iban: contract::Iban = "DK5000400440116243".parse().unwrap();
        Party { iban: iban.into(), name: name.to_owned().into() }
    };
    PaymentSubmitted {
        payment_id: ID,
        uetr: ID,
        end_to_end_id: "e2e".to_owned(),
        amount: Money::new(100, Currency::DKK),
        debtor: party("Ada Lund"),
        creditor: party("Bo Berg"),
        remittance: None,
        answer_by: Timestamp::UNIX_EPOCH,
    }
}

fn message() -> Personal<String> {
    "{}".to_owned().into()
}

fn requested() -> Vec<SubmissionEvent> {
    vec![SubmissionRequested { payment: payment(), deadline: FIRST }.into()]
}

fn sent(attempt: u32) -> Vec<SubmissionEvent> {
    [requested(), vec![AttemptStarted { attempt, deadline: FIRST, message: message() }.into()]].concat()
}

fn ended(event: impl Into<SubmissionEvent>) -> Vec<SubmissionEvent> {
    [sent(1), vec![event.into()]].concat()
}

fn accepted() -> SubmissionAccepted {
    SubmissionAccepted { settled_at: Timestamp::UNIX_EPOCH, message: message() }
}

fn rejected() -> SubmissionRejected {
    SubmissionRejected { reason_code: "AC04".to_owned(), message: message() }
}

fn proceed() -> SubmissionCommand {
    SubmissionCommand::Proceed { deadline: FIRST, policy: POLICY }
}

fn settle() -> SubmissionCommand {
    SubmissionCommand::RecordSettled { at: Timestamp::UNIX_EPOCH, message: message() }
}

fn reject() -> SubmissionCommand {
    SubmissionCommand::RecordRejected { reason_code: "AC04".to_owned(), message: message() }
}

#[test]
fn an_attempt_is_an_event_before_anything_is_sent() {
    given::<Submission>(requested()).when(proceed()).then_types(&["AttemptStarted"]);
}

#[test]
fn silence_is_followed_by_the_same_payment_until_the_tries_are_used_up() {
    given::<Submission>(sent(2)).when(proceed()).then_types(&["AttemptTimedOut", "AttemptStarted"]);
    given::<Submission>(sent(3)).when(proceed()).then_types(&["AttemptTimedOut", "RetriesExhausted"]);
}

#[test]
fn what_was_not_sent_is_sent_after_a_pause() {
    let not_sent =
        |attempt| SubmissionCommand::RecordNotSent { attempt, reason: "503".to_owned(), policy: POLICY };
    given::<Submission>(sent(1)).when(not_sent(1)).then_types(&["AttemptNotSent"]);
    given::<Submission>(sent(3)).when(not_sent(3)).then_types(&["AttemptNotSent", "RetriesExhausted"]);
    given::<Submission>(sent(2)).when(not_sent(1)).then([]);
}

#[test]
fn a_late_answer_counts_and_one_that_contradicts_is_told() {
    let exhausted = || ended(RetriesExhausted { attempts: 3 });
    given::<Submission>(exhausted()).when(settle()).then([accepted().into()]);
    given::<Submission>(exhausted()).when(reject()).then([rejected().into()]);
    given::<Submission>(ended(accepted())).when(settle()).then([]);
    given::<Submission>(ended(rejected())).when(reject()).then([]);
    given::<Submission>(ended(accepted())).when(reject()).then(contradicted("RJCT", message()));
    given::<Submission>(ended(rejected())).when(settle()).then(contradicted("ACSC", message()));
}

#[test]
fn a_recall_is_refused_once() {
    let recall = || SubmissionCommand::Recall { recall_id: ID };
    let refused: SubmissionEvent = RecallRefused { recall_id: ID }.into();
    given::<Submission>(ended(accepted())).when(recall()).then([refused.clone()]);
    given::<Submission>([ended(accepted()), vec![refused]].concat()).when(recall()).then([]);
}

#[test]
fn a_payment_that_comes_again_is_submitted_once() {
    given::<Submission>(sent(1)).when(SubmissionCommand::Request(payment())).then([]);
    let other = PaymentSubmitted { end_to_end_id: "other".to_owned(), ..payment() };
    let request = SubmissionCommand::Request(other);
    given::<Submission>(sent(1)).when(request).then_refused(&SubmissionRefusal::OtherContent);
}

#[test]
fn submission_events_keep_their_shape() {
    let examples: [SubmissionEvent; 9] = [
        requested().remove(0),
        AttemptStarted { attempt: 1, deadline: FIRST, message: message() }.into(),
        AttemptNotSent { attempt: 1, reason: "503".to_owned(), deadline: FIRST }.into(),
        AttemptTimedOut { attempt: 1 }.into(),
        RetriesExhausted { attempts: 3 }.into(),
        accepted().into(),
        rejected().into(),
        AnswerContradicted { status: "RJCT".to_owned(), message: message() }.into(),
        RecallRefused { recall_id: ID }.into(),
    ];
    event::samples::check("samples/submission", &examples);
}

#[test]
fn core_promises_what_this_adapter_relies_on() {
    contract::check_relied_on::<PaymentEvent>("relies_on", payment::CATEGORY);
}

/// A rail that answers nothing first, then that it is closed, then that it has paid.
async fn rail() -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let answer = async move |Json(order): Json<Value>| {
        assert_eq!((&order["amount"], &order["currency"]), (&json!("100"), &json!("DKK")));
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                StatusCode::OK.into_response()
            }
            1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => Json(json!({ "status": "settled", "at": "2026-01-02T03:04:05Z" })).into_response(),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/payments", post(answer))).await });
    (url, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_gets_through_to_a_rail_that_is_silent_and_closed_at_first() {
    let database = TestDatabase::create(SERVICE).await;
    let store = database.store().await;
    let (url, calls) = rail().await;
    let line = Line::new(&url, Duration::from_millis(250)).unwrap();
    let shutdown = CancellationToken::new();
    let scheduler = Courier::new(line, POLICY).install(Scheduler::new(store.clone()));
    let running = tokio::spawn(scheduler.run(shutdown.clone()));

    store.execute::<Submission>(ID, SubmissionCommand::Request(payment()), context()).await.unwrap();
    let settled = eventually("the payment is settled", async || {
        let (submission, _) = store.load::<Submission>(ID).await.unwrap();
        submission.filter(|submission| submission.status == Status::Settled)
    });
    settled.await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let events = store.read(&Submission::stream(ID), event::Seq::ZERO, 100).await.unwrap();
    let last: SubmissionEvent = events.last().unwrap().decode().unwrap();
    let SubmissionEvent::SubmissionAccepted(accepted) = last else { panic!("{last:?}") };
    assert!(accepted.message.expose().contains("2026-01-02T03:04:05Z"), "as it came");
    shutdown.cancel();
    running.await.unwrap().unwrap();
    store.pool().close().await;
    database.drop_database().await;
}
