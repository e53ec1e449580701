//! The saga's rules, given/when/then, and every (status × command) pair.

use contract::clearing::ClearingEvent;
use contract::payment::Party;
use event::DomainEvent;
use event::given::{context, given};
use money::{Currency, Money};

use super::*;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const UETR: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);
/// Of the deadline that a history waits for.
const LIVE: Uuid = ID;
const LIMIT: SignedDuration = SignedDuration::from_secs(60);
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
    SubmissionPolicy { answer_within: LIMIT, on_timeout: TimeoutPolicy { hold, resolve_within: LIMIT } }
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
    assert_eq!(paid.unwrap().attention, None);
    let then = given::<Transfer>(owed()).when(capture(false));
    let transfer =
        then.then_types(&["ReceivableBooked", "Succeeded", "OperatorAttentionRequired"]).state().unwrap();
    assert_eq!((transfer.status, transfer.attention.as_deref()), (Status::Succeeded, Some(OWED)));
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
    let succeeded = [submitted(), vec![Captured { reservation_id: ID }.into(), Succeeded {}.into()]].concat();
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
        ("succeeded", succeeded),
        ("failed", failed),
        ("cancelled", vec![requested().into(), released.into(), Cancelled {}.into()]),
    ]
}

/// What each command comes to in each state, in the order of [`states`]: events, nothing (a duplicate, or too late to
/// matter), or a refusal. Nothing else exists.
#[test]
fn every_state_knows_every_command() {
    const REFUSED: &str = "refused";
    let settles = "ClearingSettled Captured Succeeded";
    let late = "ClearingSettled LateSettlementDetected";
    let rejects = "ClearingRejected Released Failed";
    let fails = "ClearingRejected Failed";
    let contradicts = "ClearingContradicted OperatorAttentionRequired";
    let gives_up = "ClearingUndetermined OperatorAttentionRequired";
    let gives_up_waiting = "ResolutionTimedOut OperatorAttentionRequired";
    let submits = "Reserved SubmissionInitiated";
    let calls_off = "Released Cancelled";
    let live = Deadline { id: LIVE, due_at: Timestamp::UNIX_EPOCH };
    let stale = Deadline { id: Uuid::nil(), due_at: Timestamp::UNIX_EPOCH };
    let confirm = |approve_within| {
        let submission = policy(HoldPolicy::HoldUntilResolved);
        TransferCommand::ConfirmReservation { reservation_id: ID, approve_within, submission }
    };
    #[rustfmt::skip]
    let table: [(&str, TransferCommand, [&str; 12]); 15] = [
        //               requested  unconfirmed awaiting   submitted  unknown    given back owed      attention  att. given back succeeded failed cancelled
        ("confirm",      confirm(None),
                         [submits,  submits,   "",        "",        "",        "",        "",        "",        "",        "",        "",        ""]),
        ("confirm, approval", confirm(Some(LIMIT)),
                         ["Reserved ApprovalRequested", "Reserved ApprovalRequested",
                                               "",        "",        "",        "",        "",        "",        "",        "",        "",        ""]),
        ("approve",      TransferCommand::Approve { submission: policy(HoldPolicy::HoldUntilResolved) },
                         [REFUSED,  REFUSED,   "Approved SubmissionInitiated",
                                                          REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED]),
        ("deny",         TransferCommand::Deny { reason: "no".to_owned() },
                         [REFUSED,  REFUSED,   "ApprovalDenied Released Failed",
                                                          REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED]),
        ("cancel",       TransferCommand::Cancel,
                         [calls_off, calls_off, calls_off, REFUSED,  REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   ""]),
        ("settle",       settle(),
                         [contradicts, contradicts, contradicts, settles, settles, late,   "",        settles,   late,      "",        contradicts, contradicts]),
        ("reject",       reject(),
                         [contradicts, contradicts, contradicts, rejects, rejects, fails,  contradicts, rejects, fails,     contradicts, "",      contradicts]),
        ("undetermined", TransferCommand::RecordUndetermined { uetr: UETR, attempts: 5 },
                         [contradicts, contradicts, contradicts, gives_up, gives_up, gives_up, "",    "ClearingUndetermined", "ClearingUndetermined", "", "", contradicts]),
        ("contradicted", TransferCommand::RecordContradicted { uetr: UETR, answer: "RJCT".to_owned() },
                         [contradicts; 12]),
        ("late, covered", TransferCommand::RecordLateCapture { covered: true },
                         ["",       "",        "",        "",        "",        "",        "LateCaptured Succeeded",
                                                                                                      "",        "",        "",        "",        ""]),
        ("late, owed",   TransferCommand::RecordLateCapture { covered: false },
                         ["",       "",        "",        "",        "",        "",        "ReceivableBooked Succeeded OperatorAttentionRequired",
                                                                                                      "",        "",        "",        "",        ""]),
        ("deadline",     TransferCommand::FireDeadline(live),
                         ["ReservationTimedOut OperatorAttentionRequired", "", "ApprovalTimedOut Released Failed", "SubmissionTimedOut",
                          gives_up_waiting, gives_up_waiting, gives_up_waiting,                       "",        "",        "",        "",        ""]),
        ("stale deadline", TransferCommand::FireDeadline(stale), [""; 12]),
        ("request",      TransferCommand::Request(requested()), [REFUSED; 12]),
        ("other payment", TransferCommand::RecordSettled { uetr: ID, settled_at: Timestamp::UNIX_EPOCH }, [REFUSED; 12]),
    ];
    let mut wrong = Vec::new();
    for (name, command, expected) in table {
        for ((state, history), expected) in states().into_iter().zip(expected) {
            let folded = Transfer::fold(None, &history);
            let decided = Transfer::decide(folded.as_ref(), command.clone(), &context());
            let types = decided.map_or_else(
                |_| REFUSED.to_owned(),
                |events| events.iter().map(DomainEvent::event_type).collect::<Vec<_>>().join(" "),
            );
            if types != expected {
                wrong.push(format!("{state} × {name}: {types}, expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
        assert_eq!(transfer.deadline().is_some(), waits, "{state}");
    }
}

#[test]
fn transfer_events_keep_their_shape() {
    let mut initiated = submitted().remove(2);
    let TransferEvent::SubmissionInitiated(event) = &mut initiated else { panic!() };
    (event.on_timeout, event.deadline.id) = (None, UETR);
    let examples: [TransferEvent; 24] = [
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
    ];
    event::samples::check("samples/transfer", &examples);
}

/// The members that came later, in the shape that they have once they are there.
#[test]
fn a_submission_says_under_which_policy_it_stands() {
    let json = serde_json::to_value(policy(HoldPolicy::ReleaseAtDeadline).on_timeout).unwrap();
    assert_eq!(json, serde_json::json!({ "hold": "release_at_deadline", "resolve_within": "PT1M" }));
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
