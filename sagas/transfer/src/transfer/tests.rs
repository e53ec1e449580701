//! The saga's rules, given/when/then.

use contract::clearing::ClearingEvent;
use contract::payment::Party;
use event::given::{context, given};
use money::{Currency, Money};

use super::*;
use crate::transfer_event::{
    AttentionWithdrawn, RecallAccepted, RecallInitiated, RecallRejected, RecallTimedOut, RecallUndelivered,
    ReceivableCleared, ReturnCredited, ReturnReceived, Returned,
};
use crate::{OutcomeResolved, Resolution, Reversed};

mod every_pair;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const UETR: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);
/// Of the deadline that a history waits for.
const LIVE: Uuid = ID;
const LIMIT: SignedDuration = SignedDuration::from_secs(60);
const LONGER: SignedDuration = SignedDuration::from_secs(600);
const RECALL: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0003);
const DEADLINE: Deadline = Deadline { id: LIVE, due_at: Timestamp::UNIX_EPOCH };

fn party() -> Party {
    let iban: contract::Iban = "DK5000400440116243".parse().unwrap();
    Party { iban: iban.into(), name: "Ada Lund".to_owned().into() }
}

fn requested() -> Requested {
    Requested {
        transfer_id: ID,
        from_account: ID,
        to: Beneficiary::Bank { iban: party().iban, name: party().name },
        amount: Money::new(12_500, Currency::DKK),
        remittance: Some("invoice 7".to_owned().into()),
        debtor: party(),
        uetr: UETR,
        end_to_end_id: "0198c1f200007000800000000000001".to_owned(),
        deadline: Some(DEADLINE),
    }
}

fn policy(hold: HoldPolicy) -> SubmissionPolicy {
    SubmissionPolicy {
        answer_within: LIMIT,
        on_timeout: TimeoutPolicy { hold, resolve_within: LIMIT, pending_within: Some(LONGER) },
    }
}

fn awaiting() -> Vec<TransferEvent> {
    let deadline = Deadline { id: LIVE, due_at: Timestamp::UNIX_EPOCH };
    vec![requested().into(), Reserved { reservation_id: ID }.into(), ApprovalRequested { deadline }.into()]
}

fn submitted_under(hold: HoldPolicy) -> Vec<TransferEvent> {
    let initiated = SubmissionInitiated {
        uetr: UETR,
        end_to_end_id: requested().end_to_end_id,
        deadline: Deadline { id: LIVE, due_at: Timestamp::UNIX_EPOCH },
        on_timeout: Some(policy(hold).on_timeout),
    };
    vec![requested().into(), Reserved { reservation_id: ID }.into(), initiated.into()]
}

fn submitted() -> Vec<TransferEvent> {
    submitted_under(HoldPolicy::HoldUntilResolved)
}

fn unknown() -> Vec<TransferEvent> {
    let deadline = Some(Deadline { id: LIVE, due_at: Timestamp::UNIX_EPOCH });
    [submitted(), vec![SubmissionTimedOut { deadline_id: LIVE, deadline }.into()]].concat()
}

fn given_back() -> Vec<TransferEvent> {
    [unknown(), vec![Released { reservation_id: ID, provisional: true }.into()]].concat()
}

fn settled_late() -> TransferEvent {
    LateSettlementDetected { reservation_id: ID }.into()
}

fn time_out() -> TransferCommand {
    TransferCommand::FireDeadline(Deadline { id: LIVE, due_at: Timestamp::UNIX_EPOCH })
}

fn undecided() -> Vec<TransferEvent> {
    [unknown(), vec![attention(NO_ANSWER)]].concat()
}

fn rejected_by_clearing() -> FailureReason {
    FailureReason::RejectedByClearing { reason_code: "AC04".to_owned() }
}

fn settle() -> TransferCommand {
    TransferCommand::RecordSettled { uetr: UETR, settled_at: Timestamp::UNIX_EPOCH }
}

fn reject() -> TransferCommand {
    TransferCommand::RecordRejected { uetr: UETR, reason_code: "AC04".to_owned() }
}

fn pending() -> TransferCommand {
    TransferCommand::RecordPending { uetr: UETR, status: "ACSP".to_owned() }
}

fn returned(return_id: &str, minor: i64) -> TransferCommand {
    let (return_id, amount) = (return_id.to_owned(), Money::new(minor, Currency::DKK));
    let returned = ReturnedPayment { return_id, amount, reason_code: "AC04".to_owned() };
    TransferCommand::RecordReturned { uetr: UETR, returned }
}

fn recall() -> TransferCommand {
    TransferCommand::Recall { reason_code: "DUPL".to_owned(), answer_within: LIMIT }
}

fn recall_rejected(recall_id: Uuid) -> TransferCommand {
    TransferCommand::RecordRecallRejected { uetr: UETR, recall_id, reason_code: "CUST".to_owned() }
}

fn succeeded() -> Vec<TransferEvent> {
    [submitted(), vec![Captured { reservation_id: ID }.into(), Succeeded {}.into()]].concat()
}

/// The money is with the creditor, and the customer owes it.
fn owing() -> Vec<TransferEvent> {
    let booked = vec![ReceivableBooked { reservation_id: ID }.into(), Succeeded {}.into(), attention(OWED)];
    [given_back(), vec![settled_late()], booked].concat()
}

fn recalled() -> Vec<TransferEvent> {
    let initiated = RecallInitiated { recall_id: RECALL, reason_code: "DUPL".to_owned(), deadline: DEADLINE };
    [succeeded(), vec![initiated.into()]].concat()
}

fn unanswered() -> Vec<TransferEvent> {
    let timed_out = RecallTimedOut { recall_id: RECALL, deadline_id: LIVE }.into();
    [recalled(), vec![timed_out, attention(aftermath::RECALL_UNANSWERED)]].concat()
}

/// Two things that a person has to look at.
fn owing_and_unanswered() -> Vec<TransferEvent> {
    let initiated = RecallInitiated { recall_id: RECALL, reason_code: "DUPL".to_owned(), deadline: DEADLINE };
    let timed_out = RecallTimedOut { recall_id: RECALL, deadline_id: LIVE }.into();
    let asked = vec![initiated.into(), timed_out, attention(aftermath::RECALL_UNANSWERED)];
    [owing(), asked].concat()
}

fn come_back() -> Vec<TransferEvent> {
    let (return_id, amount) = ("r1".to_owned(), requested().amount);
    let received =
        ReturnReceived { uetr: UETR, return_id: return_id.clone(), amount, reason_code: "AC04".to_owned() };
    let credited = ReturnCredited { return_id, amount };
    [succeeded(), vec![received.into(), credited.into(), Returned {}.into()]].concat()
}

#[test]
fn a_rail_that_is_at_it_has_more_time_where_the_rules_allow_it() {
    let due = |history: Vec<TransferEvent>| {
        let then = given::<Transfer>(history).when(pending()).then_types(&["ClearingPending"]);
        then.state().unwrap().deadline().unwrap().due_at
    };
    assert_eq!(due(submitted()), Timestamp::UNIX_EPOCH + LONGER);
    assert_eq!(due(unknown()), Timestamp::UNIX_EPOCH + LONGER);
    assert_eq!(due(submitted_under(HoldPolicy::ReleaseAtDeadline)), Timestamp::UNIX_EPOCH);
    let known = ClearingPending { uetr: UETR, status: "ACSP".to_owned(), deadline: None };
    given::<Transfer>([submitted(), vec![known.into()]].concat()).when(pending()).then([]);
}

#[test]
fn what_was_owed_is_cleared_by_what_comes_back_and_a_part_of_it_leaves_a_person_at_it() {
    let then = given::<Transfer>(owing()).when(returned("r1", 12_500));
    let transfer = then
        .then_types(&["ReturnReceived", "ReceivableCleared", "AttentionWithdrawn", "Returned"])
        .state()
        .unwrap();
    assert_eq!((transfer.status, transfer.attention), (Status::Returned, vec![]));
    let then = given::<Transfer>(owing()).when(returned("r1", 12_000));
    let transfer = then.then_types(&["ReturnReceived", "ReceivableCleared", "Returned"]).state().unwrap();
    assert_eq!(transfer.attention, [OWED]);
}

#[test]
fn what_is_owed_is_not_forgotten_over_a_recall() {
    let then = given::<Transfer>(owing_and_unanswered()).when(recall_rejected(RECALL));
    let transfer = then.then_types(&["RecallRejected", "AttentionWithdrawn"]).state().unwrap();
    assert_eq!(transfer.attention, [OWED]);
    let then = given::<Transfer>(owing_and_unanswered()).when(returned("r1", 12_000));
    assert_eq!(then.state().unwrap().attention, [OWED]);
    let then = given::<Transfer>(owing_and_unanswered()).when(returned("r1", 12_500));
    assert_eq!(then.state().unwrap().attention, Vec::<String>::new());
}

#[test]
fn a_contradiction_that_comes_again_asks_nobody_again() {
    let contradicts = || TransferCommand::RecordContradicted { uetr: UETR, answer: "RJCT".to_owned() };
    let events =
        Transfer::decide(Transfer::fold(None, &succeeded()).as_ref(), contradicts(), &context()).unwrap();
    given::<Transfer>([succeeded(), events].concat()).when(contradicts()).then([]);
}

#[test]
fn a_recall_that_nobody_has_can_be_made_again() {
    let undelivered = TransferCommand::RecordRecallUndelivered { uetr: UETR, recall_id: RECALL };
    let then = given::<Transfer>(recalled()).when(undelivered.clone());
    then.then_types(&["RecallUndelivered", "OperatorAttentionRequired"]);
    let failed =
        vec![RecallUndelivered { recall_id: RECALL }.into(), attention(aftermath::RECALL_UNDELIVERED)];
    let history = [recalled(), failed].concat();
    given::<Transfer>(history.clone()).when(undelivered).then([]);
    given::<Transfer>(history.clone()).when(recall()).then_types(&["AttentionWithdrawn", "RecallInitiated"]);
    // It had arrived after all.
    given::<Transfer>(history)
        .when(recall_rejected(RECALL))
        .then_types(&["RecallRejected", "AttentionWithdrawn"]);
}

#[test]
fn a_recall_can_be_repeated_only_after_its_answer() {
    let rejected = RecallRejected { recall_id: RECALL, reason_code: "CUST".to_owned() };
    let refused = || [recalled(), vec![rejected.clone().into()]].concat();
    given::<Transfer>(recalled()).when(recall()).then_refused(&TransferRefusal::AlreadyRecalled);
    given::<Transfer>(refused()).when(recall()).then_types(&["RecallInitiated"]);
    given::<Transfer>(refused()).when(recall_rejected(RECALL)).then([]);
    let transfer = Transfer::fold(None, &refused()).unwrap();
    assert_eq!(transfer.recall.unwrap().status, RecallStatus::Rejected { reason_code: "CUST".to_owned() });
}

#[test]
fn a_confirmed_reservation_is_submitted_with_the_identifiers_of_the_request() {
    let submission = policy(HoldPolicy::HoldUntilResolved);
    let confirm =
        TransferCommand::ConfirmReservation { reservation_id: ID, approve_within: None, submission };
    let then = given::<Transfer>([requested().into()]).when(confirm);
    let transfer = then.then_types(&["Reserved", "SubmissionInitiated"]).state().unwrap();
    assert_eq!(transfer.status, Status::Submitted);
    assert_eq!(transfer.deadline().unwrap().due_at, Timestamp::UNIX_EPOCH + LIMIT);
}

#[test]
fn a_time_out_keeps_the_hold_and_asks_for_a_person_when_nobody_could_tell() {
    let then = given::<Transfer>(submitted()).when(time_out()).then_types(&["SubmissionTimedOut"]);
    assert_eq!(then.state().unwrap().status, Status::OutcomeUnknown);
    given::<Transfer>(unknown())
        .when(time_out())
        .then([ResolutionTimedOut { deadline_id: LIVE }.into(), attention(NO_ANSWER)]);
}

#[test]
fn an_answer_after_the_time_out_still_ends_the_transfer() {
    given::<Transfer>(undecided()).when(settle()).then_types(&["ClearingSettled", "Captured", "Succeeded"]);
    given::<Transfer>(undecided()).when(reject()).then_types(&["ClearingRejected", "Released", "Failed"]);
}

#[test]
fn an_answer_about_another_payment_is_refused() {
    let other = TransferCommand::RecordSettled { uetr: ID, settled_at: Timestamp::UNIX_EPOCH };
    given::<Transfer>(submitted()).when(other).then_refused(&TransferRefusal::OtherPayment);
}

#[test]
fn where_the_rules_demand_it_the_payer_has_the_money_back_at_the_deadline() {
    let transfer = given::<Transfer>(submitted_under(HoldPolicy::ReleaseAtDeadline))
        .when(time_out())
        .then_types(&["SubmissionTimedOut", "Released"])
        .state()
        .unwrap();
    assert_eq!((&transfer.status, transfer.is_given_back()), (&Status::OutcomeUnknown, true));
    assert_eq!(transfer.deadline().unwrap().due_at, Timestamp::UNIX_EPOCH + LIMIT);
}

#[test]
fn what_the_rail_paid_after_that_is_taken_from_the_account_or_owed() {
    let owed = || [given_back(), vec![settled_late()]].concat();
    let capture = |covered| TransferCommand::RecordLateCapture { covered };
    let paid =
        given::<Transfer>(owed()).when(capture(true)).then_types(&["LateCaptured", "Succeeded"]).state();
    assert_eq!(paid.unwrap().attention, Vec::<String>::new());
    let then = given::<Transfer>(owed()).when(capture(false));
    let transfer =
        then.then_types(&["ReceivableBooked", "Succeeded", "OperatorAttentionRequired"]).state().unwrap();
    assert_eq!((transfer.status, transfer.attention), (Status::Succeeded, vec![OWED.to_owned()]));
}

#[test]
fn a_time_out_of_before_there_was_a_policy_asks_for_a_person_at_once() {
    let mut events = submitted();
    let Some(TransferEvent::SubmissionInitiated(initiated)) = events.last_mut() else { panic!() };
    initiated.on_timeout = None;
    given::<Transfer>(events)
        .when(time_out())
        .then_types(&["SubmissionTimedOut", "OperatorAttentionRequired"]);
}

#[test]
fn when_the_adapter_gives_up_the_deadline_rule_is_still_kept() {
    let undetermined = TransferCommand::RecordUndetermined { uetr: UETR, attempts: 5 };
    let submitted = submitted_under(HoldPolicy::ReleaseAtDeadline);
    let then = given::<Transfer>(submitted.clone()).when(undetermined).then_types(&["ClearingUndetermined"]);
    assert!(then.state().unwrap().deadline().is_some());
    let given_up = [submitted, vec![ClearingUndetermined { uetr: UETR, attempts: 5 }.into()]].concat();
    let then = given::<Transfer>(given_up).when(time_out());
    then.then_types(&["SubmissionTimedOut", "Released", "OperatorAttentionRequired"]);
}

#[test]
fn an_answer_about_what_was_never_submitted_stops_it() {
    let contradicted = ClearingContradicted { uetr: UETR, answer: "settled".to_owned() };
    let history = vec![requested().into(), contradicted.into(), attention(CONTRADICTED)];
    let submission = policy(HoldPolicy::HoldUntilResolved);
    let confirm =
        TransferCommand::ConfirmReservation { reservation_id: ID, approve_within: None, submission };
    given::<Transfer>(history.clone()).when(confirm).then_types(&[]);
    given::<Transfer>(history).when(TransferCommand::Cancel).then_refused(&TransferRefusal::TooLateToCancel);
}

/// The histories that lead to each state, by its name.
fn states() -> Vec<(&'static str, Vec<TransferEvent>)> {
    let failed = [submitted(), vec![Failed { reason: rejected_by_clearing() }.into()]].concat();
    let released = Released { reservation_id: ID, provisional: false };
    vec![
        ("requested", vec![requested().into()]),
        ("unconfirmed", vec![requested().into(), attention(NOT_RESERVED)]),
        ("awaiting", awaiting()),
        ("submitted", submitted()),
        ("unknown", unknown()),
        ("given back", given_back()),
        ("owed", [given_back(), vec![settled_late()]].concat()),
        ("attention", undecided()),
        ("attention, given back", [given_back(), vec![attention(NO_ANSWER)]].concat()),
        ("succeeded", succeeded()),
        ("failed", failed),
        ("cancelled", vec![requested().into(), released.into(), Cancelled {}.into()]),
        ("owing", owing()),
        ("recalled", recalled()),
        ("unanswered", unanswered()),
        ("returned", come_back()),
        ("owing, unanswered", owing_and_unanswered()),
    ]
}

/// What waits has exactly one live deadline; what has ended, or asks for a person, has none.
#[test]
fn what_waits_has_a_deadline() {
    for (state, history) in states() {
        let transfer = Transfer::fold(None, &history).unwrap();
        let waits = matches!(
            transfer.status,
            Status::Requested | Status::AwaitingApproval | Status::Submitted | Status::OutcomeUnknown
        );
        let is_recalled =
            transfer.recall.as_ref().is_some_and(|recall| recall.status == RecallStatus::Requested);
        assert_eq!(transfer.deadline().is_some(), waits || is_recalled, "{state}");
    }
}

#[test]
fn transfer_events_keep_their_shape() {
    let mut initiated = submitted().remove(2);
    let TransferEvent::SubmissionInitiated(event) = &mut initiated else { panic!() };
    (event.on_timeout, event.deadline.id) = (None, UETR);
    let examples: [TransferEvent; 37] = [
        requested().into(),
        Reserved { reservation_id: ID }.into(),
        ReservationRejected { reason: FailureReason::InsufficientFunds }.into(),
        ReservationTimedOut { deadline_id: ID }.into(),
        ApprovalRequested { deadline: DEADLINE }.into(),
        Approved {}.into(),
        ApprovalDenied { reason: "not ours".to_owned() }.into(),
        ApprovalTimedOut { deadline_id: ID }.into(),
        initiated,
        SubmissionTimedOut { deadline_id: ID, deadline: None }.into(),
        ResolutionTimedOut { deadline_id: ID }.into(),
        ClearingSettled { uetr: UETR, settled_at: Timestamp::UNIX_EPOCH }.into(),
        ClearingRejected { uetr: UETR, reason_code: "AC04".to_owned() }.into(),
        ClearingUndetermined { uetr: UETR, attempts: 5 }.into(),
        ClearingContradicted { uetr: UETR, answer: "RJCT".to_owned() }.into(),
        attention(NO_ANSWER),
        Captured { reservation_id: ID }.into(),
        Released { reservation_id: ID, provisional: false }.into(),
        LateSettlementDetected { reservation_id: ID }.into(),
        LateCaptured { reservation_id: ID }.into(),
        ReceivableBooked { reservation_id: ID }.into(),
        Succeeded {}.into(),
        Failed { reason: rejected_by_clearing() }.into(),
        Cancelled {}.into(),
        ClearingPending { uetr: UETR, status: "ACSP".to_owned(), deadline: Some(DEADLINE) }.into(),
        RecallInitiated { recall_id: RECALL, reason_code: "DUPL".to_owned(), deadline: DEADLINE }.into(),
        RecallAccepted { recall_id: RECALL }.into(),
        RecallRejected { recall_id: RECALL, reason_code: "CUST".to_owned() }.into(),
        RecallTimedOut { recall_id: RECALL, deadline_id: ID }.into(),
        come_back().remove(5),
        ReturnCredited { return_id: "r1".to_owned(), amount: requested().amount }.into(),
        ReceivableCleared { reservation_id: ID, amount: requested().amount }.into(),
        AttentionWithdrawn { reason: OWED.to_owned(), remaining: vec![CONTRADICTED.to_owned()] }.into(),
        RecallUndelivered { recall_id: RECALL }.into(),
        Returned {}.into(),
        OutcomeResolved {
            correction_id: RECALL,
            outcome: Resolution::Rejected { reason_code: "AC04".to_owned() },
        }
        .into(),
        Reversed { correction_id: RECALL }.into(),
    ];
    event::samples::check("samples/transfer", &examples);
}

#[test]
fn a_payment_that_was_made_says_when() {
    let json = serde_json::to_value(Resolution::Settled { settled_at: Timestamp::UNIX_EPOCH }).unwrap();
    assert_eq!(json, serde_json::json!({ "status": "settled", "settled_at": "1970-01-01T00:00:00Z" }));
}

/// The members that came later, in the shape that they have once they are there.
#[test]
fn a_submission_says_under_which_policy_it_stands() {
    let json = serde_json::to_value(policy(HoldPolicy::ReleaseAtDeadline).on_timeout).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "hold": "release_at_deadline", "resolve_within": "PT1M", "pending_within": "PT10M" })
    );
    let released = serde_json::to_value(Released { reservation_id: ID, provisional: true }).unwrap();
    assert_eq!(released["provisional"], true);
}

#[test]
fn a_request_that_exists_is_not_made_again() {
    let again = TransferCommand::Request(requested());
    let outcome = Transfer::decide(Transfer::fold(None, &submitted()).as_ref(), again, &context());
    assert_eq!(outcome, Err(TransferRefusal::AlreadyRequested));
}

#[test]
fn what_is_relied_on_of_the_clearing_is_published() {
    contract::check_relied_on::<ClearingEvent>("relies_on", contract::clearing::CATEGORY);
}
