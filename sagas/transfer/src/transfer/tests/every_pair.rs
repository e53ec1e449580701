//! Every (state × command) pair, as a table.

use event::{Causation, CausationKind, DomainEvent};

use super::*;

const REFUSED: &str = "refused";
const SETTLES: &str = "ClearingSettled Captured Succeeded";
const LATE: &str = "ClearingSettled LateSettlementDetected";
const REJECTS: &str = "ClearingRejected Released Failed";
const FAILS: &str = "ClearingRejected Failed";
const CONTRADICTS: &str = "ClearingContradicted OperatorAttentionRequired";
const GIVES_UP: &str = "ClearingUndetermined OperatorAttentionRequired";
const GIVES_UP_WAITING: &str = "ResolutionTimedOut OperatorAttentionRequired";
const SUBMITS: &str = "Reserved SubmissionInitiated";
const CALLS_OFF: &str = "Released Cancelled";
const IS_PENDING: &str = "ClearingPending";
const RETURNS: &str = "ReturnReceived ReturnCredited Returned";

const RESOLVES: &str = "OutcomeResolved Captured Succeeded";
const RESOLVES_LATE: &str = "OutcomeResolved LateSettlementDetected";

/// A command, and what it comes to in the states before the end and in those after it, in the order of [`states`].
type Row = (&'static str, TransferCommand, [&'static str; 12], [&'static str; 5]);

fn confirm(approve_within: Option<SignedDuration>) -> TransferCommand {
    let submission = policy(HoldPolicy::HoldUntilResolved);
    TransferCommand::ConfirmReservation { reservation_id: ID, approve_within, submission }
}

fn resolve(outcome: Resolution) -> TransferCommand {
    TransferCommand::Resolve { correction_id: RECALL, outcome }
}

#[rustfmt::skip]
fn rows_to_the_end() -> Vec<Row> {
    let stale = Deadline { id: Uuid::nil(), due_at: Timestamp::UNIX_EPOCH };
    vec![
        //               requested  unconfirmed awaiting   submitted  unknown    given back owed      attention  att. given back succeeded failed cancelled  | owing recalled unanswered returned both
        ("confirm",      confirm(None),
                         [SUBMITS,  SUBMITS,   "",        "",        "",        "",        "",        "",        "",        "",        "",        ""], [""; 5]),
        ("confirm, approval", confirm(Some(LIMIT)),
                         ["Reserved ApprovalRequested", "Reserved ApprovalRequested",
                                               "",        "",        "",        "",        "",        "",        "",        "",        "",        ""], [""; 5]),
        ("approve",      TransferCommand::Approve { submission: policy(HoldPolicy::HoldUntilResolved) },
                         [REFUSED,  REFUSED,   "Approved SubmissionInitiated",
                                                          REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED], [REFUSED; 5]),
        ("deny",         TransferCommand::Deny { reason: "no".to_owned() },
                         [REFUSED,  REFUSED,   "ApprovalDenied Released Failed",
                                                          REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED], [REFUSED; 5]),
        ("cancel",       TransferCommand::Cancel,
                         [CALLS_OFF, CALLS_OFF, CALLS_OFF, REFUSED,  REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   ""], [REFUSED; 5]),
        ("settle",       settle(),
                         [CONTRADICTS, CONTRADICTS, CONTRADICTS, SETTLES, SETTLES, LATE,   "",        SETTLES,   LATE,      "",        CONTRADICTS, CONTRADICTS], [""; 5]),
        ("reject",       reject(),
                         [CONTRADICTS, CONTRADICTS, CONTRADICTS, REJECTS, REJECTS, FAILS,  CONTRADICTS, REJECTS, FAILS,     CONTRADICTS, "",      CONTRADICTS], [CONTRADICTS; 5]),
        ("undetermined", TransferCommand::RecordUndetermined { uetr: UETR, attempts: 5 },
                         [CONTRADICTS, CONTRADICTS, CONTRADICTS, GIVES_UP, GIVES_UP, GIVES_UP, "",    "ClearingUndetermined", "ClearingUndetermined", "", "", CONTRADICTS], [""; 5]),
        ("contradicted", TransferCommand::RecordContradicted { uetr: UETR, answer: "RJCT".to_owned() },
                         [CONTRADICTS; 12], [CONTRADICTS; 5]),
        ("late, covered", TransferCommand::RecordLateCapture { covered: true },
                         ["",       "",        "",        "",        "",        "",        "LateCaptured Succeeded",
                                                                                                      "",        "",        "",        "",        ""], [""; 5]),
        ("late, owed",   TransferCommand::RecordLateCapture { covered: false },
                         ["",       "",        "",        "",        "",        "",        "ReceivableBooked Succeeded OperatorAttentionRequired",
                                                                                                      "",        "",        "",        "",        ""], [""; 5]),
        ("deadline",     time_out(),
                         ["ReservationTimedOut OperatorAttentionRequired", "", "ApprovalTimedOut Released Failed", "SubmissionTimedOut",
                          GIVES_UP_WAITING, GIVES_UP_WAITING, GIVES_UP_WAITING,                       "",        "",        "",        "",        ""], ["", "RecallTimedOut OperatorAttentionRequired", "", "", ""]),
        ("stale deadline", TransferCommand::FireDeadline(stale), [""; 12], [""; 5]),
        ("request",      TransferCommand::Request(requested()), [REFUSED; 12], [REFUSED; 5]),
        ("other payment", TransferCommand::RecordSettled { uetr: ID, settled_at: Timestamp::UNIX_EPOCH }, [REFUSED; 12], [REFUSED; 5]),
    ]
}

#[rustfmt::skip]
fn rows_of_the_aftermath() -> Vec<Row> {
    vec![
        //               requested  unconfirmed awaiting   submitted  unknown    given back owed      attention  att. given back succeeded failed cancelled  | owing recalled unanswered returned both
        ("pending",      pending(),
                         [CONTRADICTS, CONTRADICTS, CONTRADICTS, IS_PENDING, IS_PENDING, IS_PENDING, "", IS_PENDING, IS_PENDING, "", "", CONTRADICTS], [""; 5]),
        ("recall",       recall(),
                         [REFUSED,  REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   REFUSED,   "RecallInitiated", REFUSED, REFUSED],
                         ["RecallInitiated", REFUSED, "AttentionWithdrawn RecallInitiated", REFUSED, "AttentionWithdrawn RecallInitiated"]),
        ("recall rejected", recall_rejected(RECALL),
                         [CONTRADICTS; 12], [CONTRADICTS, "RecallRejected", "RecallRejected AttentionWithdrawn", CONTRADICTS, "RecallRejected AttentionWithdrawn"]),
        ("recall undelivered", TransferCommand::RecordRecallUndelivered { uetr: UETR, recall_id: RECALL },
                         [""; 12], ["", "RecallUndelivered OperatorAttentionRequired", "", "", ""]),
        ("other recall rejected", recall_rejected(ID), [CONTRADICTS; 12], [CONTRADICTS; 5]),
        ("returned",     returned("r1", 12_500),
                         [CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, RETURNS, CONTRADICTS, CONTRADICTS],
                         ["ReturnReceived ReceivableCleared AttentionWithdrawn Returned", "RecallAccepted ReturnReceived ReturnCredited Returned",
                          "RecallAccepted ReturnReceived ReturnCredited AttentionWithdrawn Returned", "",
                          "RecallAccepted ReturnReceived ReceivableCleared AttentionWithdrawn AttentionWithdrawn Returned"]),
        ("resolve as settled", resolve(Resolution::Settled { settled_at: Timestamp::UNIX_EPOCH }),
                         [REFUSED,  REFUSED,   REFUSED,   REFUSED,   RESOLVES,  RESOLVES_LATE, REFUSED, RESOLVES, RESOLVES_LATE, REFUSED, REFUSED, REFUSED], [REFUSED; 5]),
        // That it has not paid is not said before the adapter has given up: below.
        ("resolve as rejected", resolve(Resolution::Rejected { reason_code: "AC04".to_owned() }), [REFUSED; 12], [REFUSED; 5]),
        ("reverse",      TransferCommand::Reverse { correction_id: RECALL }, [REFUSED; 12], [REFUSED; 5]),
        ("more returned than paid", returned("r2", 12_501), [CONTRADICTS; 12], [CONTRADICTS; 5]),
    ]
}

/// Events, nothing (a duplicate, or too late to matter), or a refusal. Nothing else exists.
#[test]
fn every_state_knows_every_command() {
    let table = [rows_to_the_end(), rows_of_the_aftermath()].concat();
    assert_eq!(table.len(), 25);
    let mut wrong = Vec::new();
    for (name, command, before, after) in table {
        let expected = before.into_iter().chain(after);
        assert_eq!(states().len(), 17);
        for ((state, history), expected) in states().into_iter().zip(expected) {
            let folded = Transfer::fold(None, &history);
            let decided = Transfer::decide(folded.as_ref(), command.clone(), &because_of(RECALL));
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

fn because_of(correction_id: Uuid) -> Context {
    let mut context = context();
    context.causation = Causation { kind: CausationKind::Correction, id: correction_id };
    context
}

fn types(decided: Result<Vec<TransferEvent>, TransferRefusal>) -> String {
    decided.map_or_else(
        |refusal| format!("{refusal:?}"),
        |events| events.iter().map(DomainEvent::event_type).collect::<Vec<_>>().join(" "),
    )
}

fn settled() -> Resolution {
    Resolution::Settled { settled_at: Timestamp::UNIX_EPOCH }
}

fn not_settled() -> Resolution {
    Resolution::Rejected { reason_code: "AC04".to_owned() }
}

/// While the adapter has not given up, it may send the payment once more.
#[test]
fn that_the_rail_has_not_paid_is_said_when_its_adapter_has_given_up() {
    let given_up: TransferEvent = ClearingUndetermined { uetr: UETR, attempts: 5 }.into();
    let expected = [
        ("unknown", "OutcomeResolved Released Failed"),
        ("given back", "OutcomeResolved Failed"),
        ("attention", "OutcomeResolved Released Failed"),
        ("attention, given back", "OutcomeResolved Failed"),
    ];
    for (state, then) in expected {
        let (_, history) = states().into_iter().find(|(name, _)| *name == state).unwrap();
        let decide = |history: &[TransferEvent]| {
            let transfer = Transfer::fold(None, history);
            types(Transfer::decide(transfer.as_ref(), resolve(not_settled()), &because_of(RECALL)))
        };
        assert_eq!(decide(&history), "RailNotDone", "{state}");
        assert_eq!(decide(&[history, vec![given_up.clone()]].concat()), then, "{state}");
    }
}

/// Where the rail contradicts itself, a person says what is so, and the money goes where it belongs.
#[test]
fn a_dispute_is_settled_either_way_whatever_the_end_was() {
    let contradicted = || -> Vec<TransferEvent> {
        vec![
            ClearingContradicted { uetr: UETR, answer: "otherwise".to_owned() }.into(),
            attention(CONTRADICTED),
        ]
    };
    let expected = [
        (
            "succeeded",
            "OutcomeResolved AttentionWithdrawn",
            "OutcomeResolved AttentionWithdrawn ReturnCredited Returned",
        ),
        (
            "failed",
            "OutcomeResolved AttentionWithdrawn LateSettlementDetected",
            "OutcomeResolved AttentionWithdrawn",
        ),
        (
            "cancelled",
            "OutcomeResolved AttentionWithdrawn LateSettlementDetected",
            "OutcomeResolved AttentionWithdrawn",
        ),
        ("returned", "OutcomeResolved AttentionWithdrawn", "OutcomeNotAwaited"),
        (
            "owing",
            "OutcomeResolved AttentionWithdrawn",
            "OutcomeResolved AttentionWithdrawn AttentionWithdrawn ReceivableCleared Returned",
        ),
        ("requested", "OutcomeResolved Captured Succeeded", "OutcomeResolved Released Failed"),
        ("submitted", "OutcomeResolved Captured Succeeded", "RailNotDone"),
    ];
    for (state, if_settled, if_not) in expected {
        let (_, history) = states().into_iter().find(|(name, _)| *name == state).unwrap();
        // What the rail's own word has ended, and what a correction has, which the rail may still send.
        let by_correction = Transfer::fold(None, &[history.clone(), contradicted()].concat());
        if ["succeeded", "owing"].contains(&state) {
            let decided =
                Transfer::decide(by_correction.as_ref(), resolve(not_settled()), &because_of(RECALL));
            assert_eq!(types(decided), "RailNotDone", "{state}");
        }
        let said: TransferEvent = ClearingSettled { uetr: UETR, settled_at: Timestamp::UNIX_EPOCH }.into();
        let transfer = Transfer::fold(None, &[history, vec![said], contradicted()].concat());
        let decide = |outcome| Transfer::decide(transfer.as_ref(), resolve(outcome), &because_of(RECALL));
        for (outcome, then) in [(settled(), if_settled), (not_settled(), if_not)] {
            let decided = decide(outcome);
            assert_eq!(types(decided.clone()), then, "{state}");
            let Ok(events) = decided else { continue };
            let after = Transfer::fold(transfer.clone(), &events).unwrap();
            assert!(!after.reasons().contains(&CONTRADICTED.to_owned()), "{state}");
            // Whatever the rail says against it after that calls somebody again.
            let again = |answer: &str| {
                let command = TransferCommand::RecordContradicted { uetr: UETR, answer: answer.to_owned() };
                types(Transfer::decide(Some(&after), command, &context()))
            };
            assert_eq!(
                (again("otherwise").as_str(), again("else").as_str()),
                (CONTRADICTS, CONTRADICTS),
                "{state}"
            );
        }
    }
}

#[test]
fn only_a_correction_resolves_or_reverses() {
    let transfer = Transfer::fold(None, &states()[4].1);
    for command in [resolve(settled()), TransferCommand::Reverse { correction_id: RECALL }] {
        for other in [context(), because_of(ID)] {
            let decided = Transfer::decide(transfer.as_ref(), command.clone(), &other);
            assert_eq!(decided, Err(TransferRefusal::NotACorrection));
        }
    }
}

#[test]
fn a_book_transfer_is_reversed_once() {
    let book = Requested { to: Beneficiary::Account { account_id: RECALL }, ..requested() };
    let succeeded = Transfer::fold(None, &[book.into(), Succeeded {}.into()]);
    let reverse = TransferCommand::Reverse { correction_id: RECALL };
    let reversed = Transfer::decide(succeeded.as_ref(), reverse.clone(), &because_of(RECALL)).unwrap();
    assert_eq!(reversed, [Reversed { correction_id: RECALL }.into()]);
    let after = Transfer::fold(succeeded, &reversed).unwrap();
    assert_eq!(after.status, Status::Returned);
    let again = Transfer::decide(Some(&after), reverse, &because_of(RECALL));
    assert_eq!(again, Err(TransferRefusal::NothingToReverse));
}
