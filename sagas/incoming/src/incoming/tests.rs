//! The saga's rules, given/when/then.

use contract::incoming::{Holder, IncomingEvent as External};
use event::DomainEvent;
use event::given::{context, given};
use money::{Currency, Money};

use super::*;
use crate::{Heard, acceptance_of, heard_of, on_account};

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const UETR: Uuid = Uuid::from_u128(0x0198_c1f2_0000_4000_8000_0000_0000_0002);
const ACCOUNT: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0003);
const RETURN: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0004);
const LIMIT: SignedDuration = SignedDuration::from_secs(60);
const DEADLINE: Deadline = Deadline { id: ID, due_at: Timestamp::UNIX_EPOCH };
const LIMITS: Limits = Limits { settlement: LIMIT, payment_return: LIMIT };

fn amount() -> Money {
    Money::new(12_500, Currency::DKK)
}

fn payment() -> IncomingReceived {
    let holder = |account: &str, name: &str| Holder {
        account: account.to_owned().into(),
        name: name.to_owned().into(),
        agent: Some("LUNADK22XXX".to_owned()),
    };
    IncomingReceived {
        payment_id: ID,
        uetr: UETR,
        end_to_end_id: "invoice-7".to_owned(),
        transaction_id: "T1".to_owned(),
        amount: amount(),
        debtor: holder("DE89370400440532013000", "Muster GmbH"),
        creditor: holder("DK5000400440116243", "Ada Lund"),
        remittance: Some("invoice 7".to_owned().into()),
        answer_by: Timestamp::UNIX_EPOCH,
    }
}

fn postings(from: LedgerAccount, to: LedgerAccount) -> Vec<Posting> {
    Posting::pair(amount(), from, to).unwrap()
}

fn pending() -> Vec<IncomingEvent> {
    vec![Received(payment()).into(), CreditPending { account_id: ACCOUNT, deadline: DEADLINE }.into()]
}

fn with(history: Vec<IncomingEvent>, more: Vec<IncomingEvent>) -> Vec<IncomingEvent> {
    [history, more].concat()
}

fn credited() -> Vec<IncomingEvent> {
    let confirmed = SettlementConfirmed { settled_at: Timestamp::UNIX_EPOCH };
    with(pending(), vec![confirmed.into(), CreditPosted { account_id: ACCOUNT }.into()])
}

fn refused() -> Vec<IncomingEvent> {
    vec![Received(payment()).into(), Refused { reason_code: "AC01".to_owned() }.into()]
}

fn returning() -> Vec<IncomingEvent> {
    let held = HeldInSuspense {
        amount: amount(),
        postings: postings(LedgerAccount::Settlement, LedgerAccount::Suspense),
    };
    let initiated = ReturnInitiated {
        return_id: RETURN,
        amount: amount(),
        reason_code: "AC01".to_owned(),
        deadline: DEADLINE,
    };
    let confirmed = SettlementConfirmed { settled_at: Timestamp::UNIX_EPOCH };
    with(refused(), vec![confirmed.into(), held.into(), initiated.into()])
}

fn return_settled() -> IncomingEvent {
    let postings = postings(LedgerAccount::Suspense, LedgerAccount::Settlement);
    ReturnSettled { return_id: RETURN, amount: amount(), postings }.into()
}

fn states() -> Vec<(&'static str, Vec<IncomingEvent>)> {
    let late = vec![SettlementTimedOut { deadline_id: ID }.into(), attention(NOT_SETTLED)];
    let unknown = vec![SettlementUndetermined {}.into(), attention(UNDETERMINED)];
    let cancelled = vec![
        SettlementCancelled { reason_code: "AB05".to_owned() }.into(),
        CreditVoided { account_id: ACCOUNT }.into(),
    ];
    let rejected = ReturnRejected { return_id: RETURN, reason_code: "AC04".to_owned() };
    vec![
        ("pending", pending()),
        ("late", with(pending(), late)),
        ("unknown", with(pending(), unknown)),
        ("credited", credited()),
        ("refused", refused()),
        ("cancelled", with(pending(), cancelled)),
        ("returning", returning()),
        ("not taken back", with(returning(), vec![rejected.into(), attention(RETURN_REJECTED)])),
        ("returned", with(returning(), vec![return_settled()])),
    ]
}

fn settle() -> IncomingCommand {
    let settled_at = Timestamp::UNIX_EPOCH;
    IncomingCommand::RecordSettled { uetr: UETR, settled_at, refusal: None, return_within: LIMIT }
}

fn receive(decision: Result<Uuid, &str>) -> IncomingCommand {
    let decision = decision.map_err(str::to_owned);
    IncomingCommand::Receive { payment: Box::new(payment()), decision, settle_within: LIMIT }
}

const REFUSED: &str = "refused";
const CREDITS: &str = "SettlementConfirmed CreditPosted";
const CREDITS_AFTER_ALL: &str = "SettlementConfirmed CreditPosted AttentionWithdrawn";
const GOES_BACK: &str = "SettlementConfirmed HeldInSuspense ReturnInitiated";
const VOIDS: &str = "SettlementCancelled CreditVoided";
const VOIDS_AFTER_ALL: &str = "SettlementCancelled CreditVoided AttentionWithdrawn";
const CONTRADICTS: &str = "SettlementContradicted OperatorAttentionRequired";
const IS_BACK: &str = "ReturnSettled";

type Row = (&'static str, IncomingCommand, [&'static str; 9]);

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let stale = Deadline { id: Uuid::nil(), due_at: Timestamp::UNIX_EPOCH };
    let other = IncomingReceived { end_to_end_id: "another".to_owned(), ..payment() };
    let (uetr, return_id) = (UETR, RETURN);
    vec![
        //                          pending   late     unknown  credited refused  cancelled returning not taken back returned
        ("receive again", receive(Ok(ACCOUNT)),
                                   ["",       "",      "",      "",      "",      "",       "",       "",      ""]),
        ("receive other", IncomingCommand::Receive { payment: Box::new(other), decision: Ok(ACCOUNT), settle_within: LIMIT },
                                   [REFUSED; 9]),
        ("settled", settle(),      [CREDITS, CREDITS_AFTER_ALL, CREDITS_AFTER_ALL, "", GOES_BACK, GOES_BACK, "", "", ""]),
        ("cancelled", IncomingCommand::RecordCancelled { uetr, reason_code: "AB05".to_owned() },
                                   [VOIDS, VOIDS_AFTER_ALL, VOIDS_AFTER_ALL, CONTRADICTS, "", "", CONTRADICTS, CONTRADICTS, CONTRADICTS]),
        ("undetermined", IncomingCommand::RecordUndetermined { uetr },
                                   ["SettlementUndetermined OperatorAttentionRequired", "SettlementUndetermined OperatorAttentionRequired", "", "", "", "", "", "", ""]),
        ("contradicted", IncomingCommand::RecordContradicted { uetr, status: "RJCT".to_owned() }, [CONTRADICTS; 9]),
        ("return settled", IncomingCommand::RecordReturnSettled { uetr, return_id },
                                   [CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, IS_BACK, "ReturnSettled AttentionWithdrawn", ""]),
        ("return rejected", IncomingCommand::RecordReturnRejected { uetr, return_id, reason_code: "AC04".to_owned() },
                                   [CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, "ReturnRejected OperatorAttentionRequired", "", CONTRADICTS]),
        ("return undetermined", IncomingCommand::RecordReturnUndetermined { uetr, return_id },
                                   [CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, "ReturnUndetermined OperatorAttentionRequired", "ReturnUndetermined OperatorAttentionRequired", CONTRADICTS]),
        ("other return settled", IncomingCommand::RecordReturnSettled { uetr, return_id: ID }, [CONTRADICTS; 9]),
        ("deadline", IncomingCommand::FireDeadline(DEADLINE),
                                   ["SettlementTimedOut OperatorAttentionRequired", "", "", "", "", "", "ReturnTimedOut OperatorAttentionRequired", "", ""]),
        ("stale deadline", IncomingCommand::FireDeadline(stale), [""; 9]),
        ("other payment", IncomingCommand::RecordUndetermined { uetr: ID }, [REFUSED; 9]),
    ]
}

/// Events, nothing (a duplicate, or too late to matter), or a refusal. Nothing else exists.
#[test]
fn every_state_knows_every_command() {
    let mut wrong = Vec::new();
    for (name, command, expected) in rows() {
        for ((state, history), expected) in states().into_iter().zip(expected) {
            let folded = Incoming::fold(None, &history);
            let decided = Incoming::decide(folded.as_ref(), command.clone(), &context());
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

#[test]
fn what_nobody_has_received_is_refused() {
    for (name, command, _) in rows() {
        if !name.starts_with("receive") {
            given::<Incoming>([]).when(command).then_refused(&IncomingRefusal::NotReceived);
        }
    }
}

#[test]
fn a_payment_is_expected_or_refused_at_once() {
    given::<Incoming>([]).when(receive(Ok(ACCOUNT))).then_types(&["Received", "CreditPending"]);
    let refused = given::<Incoming>([]).when(receive(Err("AC01"))).then(refused()).state();
    assert_eq!(refused.and_then(|incoming| incoming.deadline()), None);
}

#[test]
fn what_the_account_cannot_take_any_more_goes_back() {
    let (settled_at, refusal) = (Timestamp::UNIX_EPOCH, Some("AB05".to_owned()));
    let settled = IncomingCommand::RecordSettled { uetr: UETR, settled_at, refusal, return_within: LIMIT };
    let events = ["CreditVoided", "SettlementConfirmed", "HeldInSuspense", "ReturnInitiated"];
    let after = given::<Incoming>(pending()).when(settled.clone()).then_types(&events).state().unwrap();
    // A code that no return has.
    assert_eq!(after.status, Status::Returning { reason_code: "MS03".to_owned() });
    given::<Incoming>(credited()).when(settled).then([]);
}

#[test]
fn each_wait_has_one_deadline_and_what_has_ended_has_none() {
    for (state, history) in states() {
        let deadline = Incoming::fold(None, &history).and_then(|incoming| incoming.deadline());
        assert_eq!(deadline.is_some(), matches!(state, "pending" | "returning"), "{state}");
    }
}

/// Whatever comes, money is credited once at most, and what is in suspense is what has come and not gone back.
#[test]
fn whatever_order_things_come_in_the_customer_has_the_money_once() {
    let commands: Vec<IncomingCommand> = rows().into_iter().map(|(_, command, _)| command).collect();
    for start in [receive(Ok(ACCOUNT)), receive(Err("AC01"))] {
        for first in &commands {
            for second in &commands {
                for third in &commands {
                    let mut events = Vec::new();
                    for command in [&start, first, second, third] {
                        let state = Incoming::fold(None, &events);
                        let decided = Incoming::decide(state.as_ref(), command.clone(), &context());
                        events.extend(decided.unwrap_or_default());
                    }
                    let count = |kind: &str| events.iter().filter(|event| event.event_type() == kind).count();
                    let (posted, voided, held) =
                        (count("CreditPosted"), count("CreditVoided"), count("HeldInSuspense"));
                    assert!(posted + voided <= 1, "{events:?}");
                    assert!(posted + held <= 1, "{events:?}");
                    assert!(count("ReturnSettled") <= held, "{events:?}");
                }
            }
        }
    }
}

#[test]
fn the_account_and_the_adapter_are_told_what_concerns_them() {
    let told = |history: Vec<IncomingEvent>| {
        let incoming = Incoming::fold(None, &history).unwrap();
        let last = history.last().unwrap();
        let told = acceptance_of(&incoming, last).map(|event| event.event_type());
        (on_account(ID, last).is_some(), told)
    };
    assert_eq!(told(pending()), (false, Some("IncomingAccepted")));
    assert_eq!(told(refused()), (false, Some("IncomingRefused")));
    assert_eq!(told(returning()), (false, Some("ReturnRequested")));
    assert_eq!(told(credited()), (true, None));
}

#[test]
fn the_contract_holds_what_is_relied_on() {
    contract::check_relied_on::<External>("relies_on", contract::incoming::CATEGORY);
    let news = |event: External| match heard_of(event, LIMITS) {
        Heard::Payment(payment) => payment.payment_id,
        Heard::News(payment_id, _) => payment_id,
    };
    assert_eq!(news(payment().into()), ID);
}

#[test]
fn events_keep_their_shape() {
    let reason_code = || "AC04".to_owned();
    let examples: [IncomingEvent; 18] = [
        Received(payment()).into(),
        CreditPending { account_id: ACCOUNT, deadline: DEADLINE }.into(),
        Refused { reason_code: reason_code() }.into(),
        SettlementConfirmed { settled_at: Timestamp::UNIX_EPOCH }.into(),
        CreditPosted { account_id: ACCOUNT }.into(),
        SettlementCancelled { reason_code: reason_code() }.into(),
        CreditVoided { account_id: ACCOUNT }.into(),
        SettlementUndetermined {}.into(),
        SettlementTimedOut { deadline_id: ID }.into(),
        SettlementContradicted { status: "RJCT".to_owned() }.into(),
        returning()[3].clone(),
        returning()[4].clone(),
        return_settled(),
        ReturnRejected { return_id: RETURN, reason_code: reason_code() }.into(),
        ReturnUndetermined { return_id: RETURN }.into(),
        ReturnTimedOut { return_id: RETURN, deadline_id: ID }.into(),
        attention(NOT_SETTLED),
        AttentionWithdrawn { reason: NOT_SETTLED.to_owned(), remaining: vec![UNDETERMINED.to_owned()] }
            .into(),
    ];
    event::samples::check("samples/incoming", &examples);
}
