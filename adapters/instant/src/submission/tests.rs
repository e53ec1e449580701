//! The adapter's rules, given/when/then.

use std::sync::Arc;

use adapter::Calendar;
use contract::payment::{Party, PaymentEvent};
use event::DomainEvent;
use event::given::{context, given};
use iso20022::{Document, Message, Profile};
use money::{Currency, Money};
use uuid::Uuid;

use super::*;
use crate::Sent;
use crate::rail::{RecallAnswer, RecallOutcome, Said};
use crate::submission_event::{
    RecallAccepted, RecallAttemptTimedOut, RecallExhausted, RecallPending, RecallRefused, RecallRejected,
    RecallRequested, RecallRetryScheduled, RecallStarted, RecallTaken,
};

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const FIRST: Deadline = Deadline { id: ID, due_at: Timestamp::UNIX_EPOCH };
const POLICY: RetryPolicy = RetryPolicy {
    attempts_max: 3,
    enquiries_max: 2,
    answer_timeout: SignedDuration::from_secs(2),
    retry_pause: SignedDuration::from_secs(1),
    pending_pause: SignedDuration::from_secs(30),
    pending_enquiries_max: 4,
};

fn rail() -> Arc<Rail> {
    let [own_name, house_name] = ["LUNADK22XXX", "NCTIDKK1XXX"].map(str::to_owned);
    Arc::new(Rail {
        profile: Profile::named("nct-inst").unwrap(),
        own_name,
        house_name,
        policy: POLICY,
        calendar: Calendar::default(),
        decide_within: POLICY.answer_timeout,
    })
}

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

fn requested() -> Vec<SubmissionEvent> {
    vec![SubmissionRequested { payment: payment(), deadline: FIRST }.into()]
}

fn sent(attempt: u32) -> Vec<SubmissionEvent> {
    [requested(), vec![AttemptStarted { attempt, deadline: FIRST, message: None }.into()]].concat()
}

fn enquiring(attempt: u32, enquiry: u32) -> Vec<SubmissionEvent> {
    let started = EnquiryStarted { attempt, enquiry, deadline: FIRST, message: None };
    [sent(attempt), vec![AttemptTimedOut { attempt }.into(), started.into()]].concat()
}

fn enquired(attempt: u32, enquiry: u32, answer: Option<Answer>) -> SubmissionCommand {
    SubmissionCommand::RecordEnquiry { attempt, enquiry, answer, message: None, policy: POLICY }
}

fn proceed() -> SubmissionCommand {
    SubmissionCommand::Proceed { deadline: FIRST, rail: rail(), hold: None }
}

fn settled() -> SubmissionCommand {
    answered(Answer::Settled { settled_at: Timestamp::UNIX_EPOCH })
}

fn rejected() -> SubmissionCommand {
    answered(Answer::Rejected { reason_code: "AC04".to_owned() })
}

fn pending() -> Answer {
    Answer::Pending { status: "ACSP".to_owned() }
}

fn answered(answer: Answer) -> SubmissionCommand {
    SubmissionCommand::RecordAnswer { answer, message: None, policy: POLICY }
}

fn accepted() -> Vec<SubmissionEvent> {
    let settled = SubmissionAccepted { settled_at: Timestamp::UNIX_EPOCH, message: None };
    [sent(1), vec![settled.into()]].concat()
}

fn returned(return_id: &str, minor: i64) -> SubmissionCommand {
    let (return_id, amount) = (return_id.to_owned(), Money::new(minor, Currency::DKK));
    let returned = Returned { return_id, amount, reason_code: "AC04".to_owned() };
    SubmissionCommand::RecordReturn { returned, message: None }
}

fn recall_answered(recall_id: Uuid, outcome: RecallOutcome) -> SubmissionCommand {
    SubmissionCommand::RecordRecallAnswer { answer: RecallAnswer { recall_id, outcome }, message: None }
}

fn recall_requested() -> SubmissionEvent {
    RecallRequested { recall_id: ID, reason_code: "DUPL".to_owned(), deadline: FIRST }.into()
}

fn recall_started(attempt: u32) -> SubmissionEvent {
    let message = Sent { id: "m2".to_owned(), xml: "<Document/>".to_owned().into() };
    RecallStarted { recall_id: ID, attempt, deadline: FIRST, message }.into()
}

#[test]
fn an_attempt_is_an_event_before_anything_is_sent() {
    let submission = given::<Submission>(requested()).when(proceed()).then_types(&["AttemptStarted"]).state();
    assert_eq!(submission.unwrap().deadline().unwrap().due_at, Timestamp::UNIX_EPOCH + POLICY.answer_timeout);
}

#[test]
fn an_unanswered_attempt_is_asked_about_before_anything_is_sent_again() {
    let then = given::<Submission>(sent(1)).when(proceed());
    let submission = then.then_types(&["AttemptTimedOut", "EnquiryStarted"]).state().unwrap();
    assert_eq!(submission.deadline().unwrap().due_at, Timestamp::UNIX_EPOCH + POLICY.answer_timeout);
}

#[test]
fn a_payment_that_the_house_does_not_know_is_sent_again_after_a_growing_pause() {
    for (attempt, pause) in [(1, 1), (2, 2)] {
        let then = given::<Submission>(enquiring(attempt, 1)).when(enquired(attempt, 1, None));
        let submission = then.then_types(&["EnquiryAnswered", "RetryScheduled"]).state().unwrap();
        let due_at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(pause);
        assert_eq!(submission.deadline().unwrap().due_at, due_at);
    }
    let last = given::<Submission>(enquiring(3, 1)).when(enquired(3, 1, None));
    last.then_types(&["EnquiryAnswered", "RetriesExhausted"]);
}

#[test]
fn an_enquiry_brings_the_final_answer() {
    let settled = Answer::Settled { settled_at: Timestamp::UNIX_EPOCH };
    let rejected = Answer::Rejected { reason_code: "AC04".to_owned() };
    for (answer, ends) in [(settled, "SubmissionAccepted"), (rejected, "SubmissionRejected")] {
        let then = given::<Submission>(enquiring(1, 1)).when(enquired(1, 1, Some(answer)));
        then.then_types(&["EnquiryAnswered", ends]);
    }
}

#[test]
fn an_unanswered_enquiry_is_made_again_until_the_tries_are_used_up() {
    let then = given::<Submission>(enquiring(1, 1)).when(proceed());
    let events = enquiring(1, 1);
    then.then_types(&["EnquiryTimedOut", "EnquiryScheduled"]);
    let due = EnquiryScheduled { attempt: 1, enquiry: 2, deadline: FIRST }.into();
    given::<Submission>([events, vec![due]].concat()).when(proceed()).then_types(&["EnquiryStarted"]);
    given::<Submission>(enquiring(1, 2)).when(proceed()).then_types(&["EnquiryTimedOut", "RetriesExhausted"]);
}

#[test]
fn an_answer_to_an_earlier_enquiry_counts_only_when_it_is_final() {
    given::<Submission>(enquiring(1, 2)).when(enquired(1, 1, None)).then_types(&["EnquiryAnswered"]);
    given::<Submission>(enquiring(2, 1)).when(enquired(1, 1, None)).then_types(&["EnquiryAnswered"]);
    let settled = Answer::Settled { settled_at: Timestamp::UNIX_EPOCH };
    let then = given::<Submission>(enquiring(1, 2)).when(enquired(1, 1, Some(settled)));
    then.then_types(&["EnquiryAnswered", "SubmissionAccepted"]);
}

#[test]
fn what_was_provably_not_sent_is_sent_again() {
    let not_sent =
        |attempt| SubmissionCommand::RecordNotSent { attempt, reason: "closed".to_owned(), policy: POLICY };
    given::<Submission>(sent(1)).when(not_sent(1)).then_types(&["AttemptNotSent", "RetryScheduled"]);
    given::<Submission>(sent(2)).when(not_sent(1)).then_types(&[]);
}

fn held(reason: HoldReason, seconds: i64) -> SubmissionCommand {
    let until = Timestamp::from_second(seconds).unwrap();
    SubmissionCommand::Proceed { deadline: FIRST, rail: rail(), hold: Some(Hold { reason, until }) }
}

#[test]
fn while_the_rail_takes_nothing_a_payment_waits_within_its_limit() {
    let answer_by = Timestamp::from_second(60).unwrap();
    let payment = PaymentSubmitted { answer_by, ..payment() };
    let requested = || [SubmissionRequested { payment: payment.clone(), deadline: FIRST }.into()];
    for (reason, reason_code) in [(HoldReason::Closed, "TM01"), (HoldReason::NoAnswer, "AB07")] {
        let waits = given::<Submission>(requested()).when(held(reason, 57)).then_types(&["AttemptDeferred"]);
        assert_eq!(waits.state().unwrap().deadline().unwrap().due_at, Timestamp::from_second(57).unwrap());
        let rejected = SubmissionRejected { reason_code: reason_code.to_owned(), message: None };
        given::<Submission>(requested()).when(held(reason, 58)).then([rejected.into()]);
    }
}

#[test]
fn what_was_tried_before_is_not_rejected_because_the_rail_takes_nothing() {
    let not_sent = AttemptNotSent { attempt: 1, reason: "503".to_owned() };
    let retried = RetryScheduled { attempt: 2, deadline: FIRST };
    let refused = [sent(1), vec![not_sent.into(), retried.into()]].concat();
    given::<Submission>(refused).when(held(HoldReason::Closed, 60)).then_types(&["RetriesExhausted"]);
    let retried = RetryScheduled { attempt: 2, deadline: FIRST };
    let unknown = [enquiring(1, 1), vec![retried.into()]].concat();
    given::<Submission>(unknown).when(held(HoldReason::NoAnswer, 60)).then_types(&["RetriesExhausted"]);
}

#[test]
fn a_closed_house_is_not_asked_and_a_silent_one_is() {
    let due = EnquiryScheduled { attempt: 1, enquiry: 2, deadline: FIRST };
    let due = || [enquiring(1, 1), vec![due.clone().into()]].concat();
    given::<Submission>(due()).when(held(HoldReason::Closed, 60)).then_types(&["EnquiryScheduled"]);
    given::<Submission>(due()).when(held(HoldReason::NoAnswer, 60)).then_types(&["EnquiryStarted"]);
    let closed = given::<Submission>(sent(1)).when(held(HoldReason::Closed, 60));
    closed.then_types(&["AttemptTimedOut", "EnquiryScheduled"]);
}

#[test]
fn a_refused_message_is_a_rejection_unless_an_earlier_attempt_may_have_been_taken() {
    let refused =
        |attempt| SubmissionCommand::RecordRefused { attempt, reason: "422".to_owned(), policy: POLICY };
    given::<Submission>(sent(1)).when(refused(1)).then_types(&["AttemptNotSent", "SubmissionRejected"]);
    let second: Vec<SubmissionEvent> = [
        sent(1),
        vec![
            AttemptTimedOut { attempt: 1 }.into(),
            AttemptStarted { attempt: 2, deadline: FIRST, message: None }.into(),
        ],
    ]
    .concat();
    given::<Submission>(second).when(refused(2)).then_types(&["AttemptNotSent", "RetryScheduled"]);
}

#[test]
fn a_late_answer_counts_until_there_is_a_final_one() {
    let timed_out = [sent(1), vec![AttemptTimedOut { attempt: 1 }.into()]].concat();
    let exhausted = [sent(3), vec![RetriesExhausted { attempts: 3 }.into()]].concat();
    for history in [sent(1), timed_out, exhausted] {
        given::<Submission>(history.clone()).when(settled()).then_types(&["SubmissionAccepted"]);
        given::<Submission>(history).when(rejected()).then_types(&["SubmissionRejected"]);
    }
}

#[test]
fn a_second_answer_is_recorded_as_a_duplicate_or_a_contradiction() {
    given::<Submission>(accepted()).when(settled()).then_types(&["AnswerDuplicated"]);
    given::<Submission>(accepted()).when(answered(pending())).then_types(&["AnswerDuplicated"]);
    given::<Submission>(accepted()).when(rejected()).then_types(&["AnswerContradicted"]);
    let refused = SubmissionRejected { reason_code: "AC04".to_owned(), message: None };
    let refused = [sent(1), vec![refused.into()]].concat();
    given::<Submission>(refused.clone()).when(rejected()).then_types(&["AnswerDuplicated"]);
    given::<Submission>(refused).when(settled()).then_types(&["AnswerContradicted"]);
}

#[test]
fn what_is_sent_stands_in_the_event_and_each_message_names_what_it_is_about() {
    let submission = Submission::fold(None, &requested());
    let decide =
        |submission: Option<&Submission>| Submission::decide(submission, proceed(), &context()).unwrap();
    let attempt = decide(submission.as_ref());
    let read = |sent: &Sent| Message::read(sent.xml.expose().as_bytes(), &rail().profile).unwrap();
    let SubmissionEvent::AttemptStarted(AttemptStarted { message: Some(sent), .. }) = &attempt[0] else {
        panic!("{attempt:?}")
    };
    let Document::CreditTransfer(transfer) = read(sent).document else { panic!("no credit transfer") };
    assert_eq!(
        (transfer.uetr, transfer.end_to_end_id.as_str(), transfer.amount),
        (ID, "e2e", payment().amount)
    );
    assert_eq!(transfer.transaction_id, ID.simple().to_string());

    // The deadline of a new attempt is another one.
    let mut submission = Submission::fold(submission, &attempt).unwrap();
    submission.status = Status::Sent { attempt: 1, deadline: FIRST };
    let enquiry = decide(Some(&submission));
    let SubmissionEvent::EnquiryStarted(EnquiryStarted { message: Some(enquiry), .. }) = &enquiry[1] else {
        panic!("{enquiry:?}")
    };
    let Document::StatusRequest(request) = read(enquiry).document else { panic!("no enquiry") };
    assert_eq!((request.original.message_id, request.original.uetr), (sent.id.clone(), ID));
}

#[test]
fn what_the_rail_cannot_carry_is_rejected_before_anything_is_sent() {
    let amount = Money::new(1, "USD".parse().unwrap());
    let payment = PaymentSubmitted { amount, ..payment() };
    let requested: SubmissionEvent = SubmissionRequested { payment, deadline: FIRST }.into();
    let rejected = SubmissionRejected { reason_code: "AM03".to_owned(), message: None };
    given::<Submission>([requested.clone()]).when(proceed()).then([rejected.into()]);
    // An earlier attempt, under another profile, may have been taken.
    let timed_out = AttemptTimedOut { attempt: 1 }.into();
    given::<Submission>([requested, timed_out]).when(proceed()).then_types(&["RetriesExhausted"]);
}

#[test]
fn a_pending_payment_is_asked_about_in_its_own_time() {
    let then = given::<Submission>(sent(1)).when(answered(pending()));
    let events = vec!["SubmissionPending", "EnquiryScheduled"];
    let submission = then.then_types(&events).state().unwrap();
    assert_eq!(submission.deadline().unwrap().due_at, Timestamp::UNIX_EPOCH + POLICY.pending_pause);

    let taken: SubmissionEvent = SubmissionPending { status: "ACSP".to_owned(), message: None }.into();
    let again = |enquiry| [enquiring(1, enquiry), vec![taken.clone()]].concat();
    given::<Submission>(again(1)).when(answered(pending())).then_types(&["AnswerDuplicated"]);
    let asked = enquired(1, 3, Some(pending()));
    given::<Submission>(again(3)).when(asked).then_types(&["EnquiryAnswered", "EnquiryScheduled"]);
    let asked = enquired(1, 4, Some(pending()));
    given::<Submission>(again(4)).when(asked).then_types(&["EnquiryAnswered", "RetriesExhausted"]);
    given::<Submission>(again(1)).when(settled()).then_types(&["SubmissionAccepted"]);
    let first = enquired(1, 1, Some(pending()));
    let types = ["EnquiryAnswered", "SubmissionPending", "EnquiryScheduled"];
    given::<Submission>(enquiring(1, 1)).when(first).then_types(&types);
}

#[test]
fn a_return_is_received_once_and_tells_of_the_settlement() {
    given::<Submission>(accepted()).when(returned("r1", 100)).then_types(&["ReturnReceived"]);
    given::<Submission>(sent(1))
        .when(returned("r1", 90))
        .then_types(&["SubmissionAccepted", "ReturnReceived"]);
    given::<Submission>(accepted()).when(returned("r1", 101)).then_types(&["AnswerContradicted"]);
    given::<Submission>(requested()).when(returned("r1", 100)).then_types(&["AnswerContradicted"]);
    let amount = Money::new(100, Currency::DKK);
    let known =
        ReturnReceived { return_id: "r1".to_owned(), amount, reason_code: "AC04".to_owned(), message: None };
    // The house had settled it after all, although it said that it knew nothing.
    let retried = RetryScheduled { attempt: 2, deadline: FIRST }.into();
    let waiting = [enquiring(1, 1), vec![retried]].concat();
    let then = given::<Submission>(waiting).when(returned("r1", 100));
    then.then_types(&["SubmissionAccepted", "ReturnReceived"]);
    let history = [accepted(), vec![known.into()]].concat();
    given::<Submission>(history.clone()).when(returned("r1", 100)).then_types(&["AnswerDuplicated"]);
    given::<Submission>(history).when(returned("r2", 100)).then_types(&["AnswerContradicted"]);
}

#[test]
fn a_recall_is_sent_until_it_is_taken() {
    let recall = || SubmissionCommand::Recall { recall_id: ID, reason_code: "DUPL".to_owned() };
    given::<Submission>(accepted()).when(recall()).then_types(&["RecallRequested"]);
    let with = |events: Vec<SubmissionEvent>| given::<Submission>([accepted(), events].concat());
    with(vec![recall_requested()]).when(recall()).then_types(&[]);
    with(vec![recall_requested()]).when(proceed()).then_types(&["RecallStarted"]);
    let started = |attempt| vec![recall_requested(), recall_started(attempt)];
    with(started(1)).when(proceed()).then_types(&["RecallAttemptTimedOut", "RecallRetryScheduled"]);
    with(started(4)).when(proceed()).then_types(&["RecallAttemptTimedOut", "RecallExhausted"]);
    let taken = || SubmissionCommand::RecordRecallTaken { recall_id: ID };
    let state = with(started(1)).when(taken()).then_types(&["RecallTaken"]).state().unwrap();
    assert_eq!(state.deadline(), None);
    let come_back = with(started(1)).when(returned("r1", 100)).then_types(&["ReturnReceived"]);
    assert_eq!(come_back.state().unwrap().deadline(), None, "what has come back is not asked for again");
    let refused =
        |attempt| SubmissionCommand::RecordRecallRefused { recall_id: ID, attempt, reason: "404".to_owned() };
    with(started(2)).when(refused(1)).then_types(&[]);
    with(started(2)).when(refused(2)).then_types(&["RecallRefused", "RecallExhausted"]);
}

#[test]
fn a_recall_is_answered_once() {
    let rejected = || RecallOutcome::Rejected { reason_code: "CUST".to_owned() };
    let with = |events: Vec<SubmissionEvent>| {
        let recalled = vec![recall_requested(), recall_started(1), RecallTaken { recall_id: ID }.into()];
        given::<Submission>([accepted(), recalled, events].concat())
    };
    with(vec![]).when(recall_answered(ID, rejected())).then_types(&["RecallRejected"]);
    with(vec![]).when(recall_answered(ID, RecallOutcome::Pending)).then_types(&["RecallPending"]);
    with(vec![]).when(recall_answered(ID, RecallOutcome::Accepted)).then_types(&["RecallAccepted"]);
    with(vec![]).when(recall_answered(Uuid::nil(), rejected())).then_refused(&SubmissionRefusal::OtherRecall);
    let refusal = || RecallRejected { recall_id: ID, reason_code: "CUST".to_owned(), message: None };
    with(vec![refusal().into()]).when(recall_answered(ID, rejected())).then_types(&["AnswerDuplicated"]);
    let accepted = recall_answered(ID, RecallOutcome::Accepted);
    with(vec![refusal().into()]).when(accepted).then_types(&["AnswerContradicted"]);
    with(vec![]).when(returned("r1", 100)).then_types(&["ReturnReceived"]);
}

#[test]
fn what_the_house_says_is_read_and_what_is_for_others_is_not() {
    let read = |name: &str, change: fn(String) -> String| {
        let file = format!("../../crates/iso20022/samples/nct-inst/{name}.xml");
        // The samples are from this bank to the house.
        let text = std::fs::read_to_string(file).unwrap();
        let turned = text.replacen("LUNADK22XXX", "HOUSE", 1).replacen("NCTIDKK1XXX", "LUNADK22XXX", 1);
        rail().read(change(turned.replacen("HOUSE", "NCTIDKK1XXX", 1)).as_bytes())
    };
    let said =
        |name: &str| read(name, |text| text.replace(">recall-1<", ">0198c1f200007000800000000000000b<"));
    let settled_at = "2026-11-22T10:30:00.125Z".parse().unwrap();
    assert_eq!(said("settled").unwrap().said, Said::Status(Answer::Settled { settled_at }));
    let rejected = Answer::Rejected { reason_code: "AC04".to_owned() };
    assert_eq!(said("rejected").unwrap().said, Said::Status(rejected));
    let not_found = read("rejected", |text| text.replace("<Cd>AC04</Cd>", "<Prtry>NOT_FOUND</Prtry>"));
    assert_eq!(not_found.unwrap().said, Said::NotFound);
    assert!(matches!(said("pending").unwrap().said, Said::Status(Answer::Pending { .. })));
    assert!(matches!(said("payment_return").unwrap().said, Said::Returned(_)));
    let Said::Recalled(recalled) = said("cancellation_rejected").unwrap().said else { panic!("no recall") };
    assert_eq!(recalled.outcome, RecallOutcome::Rejected { reason_code: "CUST".to_owned() });
    assert!(matches!(said("credit_transfer").unwrap().said, Said::Offered(_)));
    assert!(said("return_settled").unwrap().is_of_return);
    assert!(matches!(said("accepted").unwrap().said, Said::Accepted { .. }));
    assert_eq!(said("status_request"), Err(crate::NotHeard::NotAnAnswer));
    assert_eq!(read("cancellation_rejected", |text| text), Err(crate::NotHeard::OtherPayment));
    let for_others = read("settled", |text| text.replace("LUNADK22XXX", "OTHRDK22XXX"));
    assert_eq!(for_others, Err(crate::NotHeard::OtherAddressee("OTHRDK22XXX".to_owned())));
    assert!(matches!(
        read("settled", |text| text.replace("ACSC", "WHAT")),
        Err(crate::NotHeard::Unreadable(_))
    ));
}

#[test]
fn a_payment_that_comes_again_is_submitted_once() {
    given::<Submission>(sent(1)).when(SubmissionCommand::Request(payment())).then([]);
    let other = PaymentSubmitted { end_to_end_id: "other".to_owned(), ..payment() };
    let state = Submission::fold(None, &requested());
    let outcome = Submission::decide(state.as_ref(), SubmissionCommand::Request(other), &context());
    assert_eq!(outcome, Err(SubmissionRefusal::OtherContent));
}

#[test]
fn submission_events_keep_their_shape() {
    let examples: [SubmissionEvent; 27] = [
        requested().remove(0),
        AttemptStarted { attempt: 1, deadline: FIRST, message: None }.into(),
        AttemptTimedOut { attempt: 1 }.into(),
        AttemptNotSent { attempt: 1, reason: "closed".to_owned() }.into(),
        EnquiryStarted { attempt: 1, enquiry: 1, deadline: FIRST, message: None }.into(),
        EnquiryAnswered { enquiry: 1, status: NOT_FOUND.to_owned(), message: None }.into(),
        EnquiryTimedOut { enquiry: 1 }.into(),
        EnquiryScheduled { attempt: 1, enquiry: 2, deadline: FIRST }.into(),
        AttemptDeferred { attempt: 1, reason: HoldReason::NoAnswer, deadline: FIRST }.into(),
        RetryScheduled { attempt: 2, deadline: FIRST }.into(),
        RetriesExhausted { attempts: 3 }.into(),
        SubmissionPending { status: "ACSP".to_owned(), message: None }.into(),
        SubmissionAccepted { settled_at: Timestamp::UNIX_EPOCH, message: None }.into(),
        SubmissionRejected { reason_code: "AC04".to_owned(), message: None }.into(),
        AnswerDuplicated { status: "ACSC".to_owned(), message: None }.into(),
        AnswerContradicted { status: "RJCT".to_owned(), message: None }.into(),
        ReturnReceived {
            return_id: "r1".to_owned(),
            amount: payment().amount,
            reason_code: "AC04".to_owned(),
            message: Some("<Document/>".to_owned().into()),
        }
        .into(),
        recall_requested(),
        recall_started(1),
        RecallTaken { recall_id: ID }.into(),
        RecallAttemptTimedOut { recall_id: ID, attempt: 1 }.into(),
        RecallRetryScheduled { recall_id: ID, attempt: 2, deadline: FIRST }.into(),
        RecallRefused { recall_id: ID, attempt: 1, reason: "422".to_owned() }.into(),
        RecallExhausted { recall_id: ID, attempts: 3 }.into(),
        RecallPending { recall_id: ID, message: None }.into(),
        RecallAccepted { recall_id: ID, message: None }.into(),
        RecallRejected { recall_id: ID, reason_code: "CUST".to_owned(), message: None }.into(),
    ];
    assert_eq!(examples.len(), SubmissionEvent::TYPES.len());
    event::samples::check("samples/submission", &examples);
}

#[test]
fn what_is_relied_on_of_a_payment_is_published() {
    contract::check_relied_on::<PaymentEvent>("relies_on", contract::payment::CATEGORY);
}
