//! The adapter's rules, given/when/then.

use contract::payment::{Party, PaymentEvent};
use event::DomainEvent;
use event::given::{context, given};
use money::{Currency, Money};
use uuid::Uuid;

use super::*;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const FIRST: Deadline = Deadline { id: ID, due_at: Timestamp::UNIX_EPOCH };
const POLICY: RetryPolicy = RetryPolicy {
    attempts_max: 3,
    enquiries_max: 2,
    answer_timeout: SignedDuration::from_secs(2),
    retry_pause: SignedDuration::from_secs(1),
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

fn requested() -> Vec<SubmissionEvent> {
    vec![SubmissionRequested { payment: payment(), deadline: FIRST }.into()]
}

fn sent(attempt: u32) -> Vec<SubmissionEvent> {
    [requested(), vec![AttemptStarted { attempt, deadline: FIRST }.into()]].concat()
}

fn enquiring(attempt: u32, enquiry: u32) -> Vec<SubmissionEvent> {
    let started = EnquiryStarted { attempt, enquiry, deadline: FIRST };
    [sent(attempt), vec![AttemptTimedOut { attempt }.into(), started.into()]].concat()
}

fn enquired(attempt: u32, enquiry: u32, answer: Option<Answer>) -> SubmissionCommand {
    SubmissionCommand::RecordEnquiry { attempt, enquiry, answer, policy: POLICY }
}

fn proceed() -> SubmissionCommand {
    SubmissionCommand::Proceed { deadline: FIRST, policy: POLICY }
}

fn settled() -> SubmissionCommand {
    SubmissionCommand::RecordAnswer(Answer::Settled { settled_at: Timestamp::UNIX_EPOCH })
}

fn rejected() -> SubmissionCommand {
    SubmissionCommand::RecordAnswer(Answer::Rejected { reason_code: "AC04".to_owned() })
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
    given::<Submission>(enquiring(1, 2)).when(enquired(1, 1, None)).then_types(&[]);
    given::<Submission>(enquiring(2, 1)).when(enquired(1, 1, None)).then_types(&[]);
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

#[test]
fn a_refused_message_is_a_rejection_unless_an_earlier_attempt_may_have_been_taken() {
    let refused =
        |attempt| SubmissionCommand::RecordRefused { attempt, reason: "422".to_owned(), policy: POLICY };
    given::<Submission>(sent(1)).when(refused(1)).then_types(&["AttemptNotSent", "SubmissionRejected"]);
    let second: Vec<SubmissionEvent> = [
        sent(1),
        vec![AttemptTimedOut { attempt: 1 }.into(), AttemptStarted { attempt: 2, deadline: FIRST }.into()],
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
    let accepted = [sent(1), vec![SubmissionAccepted { settled_at: Timestamp::UNIX_EPOCH }.into()]].concat();
    given::<Submission>(accepted.clone()).when(settled()).then_types(&["AnswerDuplicated"]);
    given::<Submission>(accepted).when(rejected()).then_types(&["AnswerContradicted"]);
    let refused = [sent(1), vec![SubmissionRejected { reason_code: "AC04".to_owned() }.into()]].concat();
    given::<Submission>(refused.clone()).when(rejected()).then_types(&["AnswerDuplicated"]);
    given::<Submission>(refused).when(settled()).then_types(&["AnswerContradicted"]);
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
    let examples: [SubmissionEvent; 14] = [
        requested().remove(0),
        AttemptStarted { attempt: 1, deadline: FIRST }.into(),
        AttemptTimedOut { attempt: 1 }.into(),
        AttemptNotSent { attempt: 1, reason: "closed".to_owned() }.into(),
        EnquiryStarted { attempt: 1, enquiry: 1, deadline: FIRST }.into(),
        EnquiryAnswered { enquiry: 1, status: NOT_FOUND.to_owned() }.into(),
        EnquiryTimedOut { enquiry: 1 }.into(),
        EnquiryScheduled { attempt: 1, enquiry: 2, deadline: FIRST }.into(),
        RetryScheduled { attempt: 2, deadline: FIRST }.into(),
        RetriesExhausted { attempts: 3 }.into(),
        SubmissionAccepted { settled_at: Timestamp::UNIX_EPOCH }.into(),
        SubmissionRejected { reason_code: "AC04".to_owned() }.into(),
        AnswerDuplicated { status: "ACSC".to_owned() }.into(),
        AnswerContradicted { status: "RJCT".to_owned() }.into(),
    ];
    assert_eq!(examples.len(), SubmissionEvent::TYPES.len());
    event::samples::check("samples/submission", &examples);
}

#[test]
fn what_is_relied_on_of_a_payment_is_published() {
    contract::check_relied_on::<PaymentEvent>("relies_on", contract::payment::CATEGORY);
}
