//! The saga's rules, given/when/then, and every (status × command) pair.

use contract::payment::Party;
use event::given::{context, given};
use money::{Currency, Money};

use super::*;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const UETR: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);
const LIMIT: SignedDuration = SignedDuration::from_secs(60);
const DEADLINE: Deadline = Deadline { id: ID, due_at: Timestamp::UNIX_EPOCH };

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

fn submitted() -> Vec<TransferEvent> {
    let initiated = SubmissionInitiated {
        uetr: UETR,
        end_to_end_id: requested().end_to_end_id,
        deadline: Deadline { id: UETR, due_at: Timestamp::UNIX_EPOCH },
    };
    vec![requested().into(), Reserved { reservation_id: ID }.into(), initiated.into()]
}

fn undecided() -> Vec<TransferEvent> {
    [submitted(), vec![attention(NO_ANSWER)]].concat()
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
    let confirm = TransferCommand::ConfirmReservation { reservation_id: ID, submission_limit: LIMIT };
    let then = given::<Transfer>([requested().into()]).when(confirm);
    let transfer = then.then_types(&["Reserved", "SubmissionInitiated"]).state().unwrap();
    assert_eq!(transfer.status, Status::Submitted);
    assert_eq!(transfer.deadline().unwrap().due_at, Timestamp::UNIX_EPOCH + LIMIT);
}

#[test]
fn a_time_out_keeps_the_hold_and_asks_for_a_person() {
    let fire = TransferCommand::FireDeadline(Deadline { id: UETR, due_at: Timestamp::UNIX_EPOCH });
    given::<Transfer>(submitted())
        .when(fire)
        .then([SubmissionTimedOut { deadline_id: UETR }.into(), attention(NO_ANSWER)]);
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

/// Handled, ignored as a duplicate, or recorded as a contradiction; nothing else exists.
#[test]
fn every_status_knows_every_command() {
    let succeeded = [submitted(), vec![Succeeded {}.into()]].concat();
    let failed = [submitted(), vec![Failed { reason: rejected_by_clearing() }.into()]].concat();
    let statuses = [vec![requested().into()], submitted(), undecided(), succeeded, failed];
    let confirm = TransferCommand::ConfirmReservation { reservation_id: ID, submission_limit: LIMIT };
    let undetermined = TransferCommand::RecordUndetermined { uetr: UETR, attempts: 5 };
    let contradicted = TransferCommand::RecordContradicted { uetr: UETR, answer: "RJCT".to_owned() };
    let stale = TransferCommand::FireDeadline(Deadline { id: Uuid::nil(), due_at: Timestamp::UNIX_EPOCH });
    let settles = "ClearingSettled Captured Succeeded";
    let rejects = "ClearingRejected Released Failed";
    let contradicts = "ClearingContradicted OperatorAttentionRequired";
    let table = [
        (confirm, ["Reserved SubmissionInitiated", "", "", "", ""]),
        (settle(), [settles, settles, settles, "", contradicts]),
        (reject(), [rejects, rejects, rejects, contradicts, ""]),
        (
            undetermined,
            [
                "ClearingUndetermined OperatorAttentionRequired",
                "ClearingUndetermined OperatorAttentionRequired",
                "ClearingUndetermined",
                "",
                "",
            ],
        ),
        (contradicted, [contradicts; 5]),
        (stale, [""; 5]),
    ];
    for (command, expected) in table {
        for (history, expected) in statuses.iter().zip(expected) {
            let expected: Vec<&str> = expected.split_whitespace().collect();
            given::<Transfer>(history.clone()).when(command.clone()).then_types(&expected);
        }
    }
}

#[test]
fn transfer_events_keep_their_shape() {
    let examples: [TransferEvent; 15] = [
        requested().into(),
        Reserved { reservation_id: ID }.into(),
        ReservationRejected { reason: FailureReason::InsufficientFunds }.into(),
        ReservationTimedOut { deadline_id: ID }.into(),
        submitted().remove(2),
        SubmissionTimedOut { deadline_id: ID }.into(),
        ClearingSettled { uetr: UETR, settled_at: Timestamp::UNIX_EPOCH }.into(),
        ClearingRejected { uetr: UETR, reason_code: "AC04".to_owned() }.into(),
        ClearingUndetermined { uetr: UETR, attempts: 5 }.into(),
        ClearingContradicted { uetr: UETR, answer: "RJCT".to_owned() }.into(),
        attention(NO_ANSWER),
        Captured { reservation_id: ID }.into(),
        Released { reservation_id: ID }.into(),
        Succeeded {}.into(),
        Failed { reason: rejected_by_clearing() }.into(),
    ];
    event::samples::check("samples/transfer", &examples);
}

#[test]
fn a_request_that_exists_is_not_made_again() {
    let again = TransferCommand::Request(requested());
    let outcome = Transfer::decide(Transfer::fold(None, &submitted()).as_ref(), again, &context());
    assert_eq!(outcome, Err(TransferRefusal::AlreadyRequested));
}
