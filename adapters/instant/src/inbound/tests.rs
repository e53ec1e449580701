//! The rules, given/when/then.

use std::sync::Arc;

use adapter::Calendar;
use contract::acceptance::AcceptanceEvent;
use event::DomainEvent;
use event::given::{context, given};
use iso20022::{CreditTransfer, Party, Profile};
use jiff::Timestamp;
use money::{Currency, Money};

use super::*;
use crate::inbound_event::Errand::{Answer as Reply, Enquiry, Return};
use crate::inbound_event::{ReturnRequested, ReturnSettled};
use crate::incoming_of;
use crate::rail::Sent;

const LIVE: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const UETR: Uuid = Uuid::from_u128(0x0198_c1f2_0000_4000_8000_0000_0000_0002);
const RETURN: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0003);
const DEADLINE: Deadline = Deadline { id: LIVE, due_at: Timestamp::UNIX_EPOCH };
const LIMIT: SignedDuration = SignedDuration::from_secs(5);
const POLICY: RetryPolicy = RetryPolicy {
    attempts_max: 3,
    enquiries_max: 4,
    answer_timeout: SignedDuration::from_secs(3),
    retry_pause: SignedDuration::from_millis(500),
    pending_pause: SignedDuration::from_secs(60),
    pending_enquiries_max: 5,
};

fn rail() -> Arc<Rail> {
    Arc::new(Rail {
        profile: Profile::named("nct-inst").unwrap(),
        own_name: "LUNADK22XXX".to_owned(),
        house_name: "NCTIDKK1XXX".to_owned(),
        policy: POLICY,
        calendar: Calendar::default(),
        decide_within: LIMIT,
    })
}

fn amount() -> Money {
    Money::new(12_500, Currency::DKK)
}

fn offer() -> Offer {
    let party =
        |account: &str, name: &str| Party { name: name.to_owned(), account: account.to_owned(), agent: None };
    let transfer = CreditTransfer {
        end_to_end_id: "invoice-7".to_owned(),
        transaction_id: "T1".to_owned(),
        uetr: UETR,
        amount: amount(),
        settlement_date: "2026-11-22".parse().unwrap(),
        accepted_at: Timestamp::UNIX_EPOCH,
        debtor: party("DE89370400440532013000", "Muster GmbH"),
        creditor: party("DK5000400440116243", "Ada Lund"),
        remittance: Some("invoice 7".to_owned()),
    };
    Offer { message_id: "M1".to_owned(), transfer }
}

fn message() -> Evidence {
    Some("<BizMsgEnvlp/>".to_owned().into())
}

fn offer_of(offer: Offer) -> InboundCommand {
    InboundCommand::Offer { offer: Box::new(offer), message: message(), decide_within: LIMIT }
}

fn offered() -> Vec<InboundEvent> {
    let payment = offer().payment(inbound_id(UETR), Timestamp::UNIX_EPOCH);
    let (message_id, deadline) = ("M1".to_owned(), DEADLINE);
    vec![PaymentOffered { payment, message_id, deadline, message: message() }.into()]
}

fn with(history: Vec<InboundEvent>, more: Vec<InboundEvent>) -> Vec<InboundEvent> {
    [history, more].concat()
}

fn started(errand: Errand, attempt: u32) -> InboundEvent {
    let message = Sent { id: "m1".to_owned(), xml: "<BizMsgEnvlp/>".to_owned().into() };
    MessageStarted { errand, attempt, deadline: DEADLINE, message }.into()
}

fn scheduled(errand: Errand, attempt: u32) -> InboundEvent {
    MessageScheduled { errand, attempt, deadline: DEADLINE }.into()
}

fn settled() -> Vec<InboundEvent> {
    let settled = SettlementConfirmed { settled_at: Timestamp::UNIX_EPOCH, message: message() };
    with(offered(), vec![PaymentAccepted {}.into(), started(Reply, 1), settled.into()])
}

fn returning() -> Vec<InboundEvent> {
    let requested = ReturnRequested {
        return_id: RETURN,
        amount: amount(),
        reason_code: "AC01".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    with(settled(), vec![requested.into(), started(Return, 1)])
}

fn states() -> Vec<(&'static str, Vec<InboundEvent>)> {
    let accepted = || with(offered(), vec![PaymentAccepted {}.into()]);
    let refused = || with(offered(), vec![PaymentRefused { reason_code: "AC01".to_owned() }.into()]);
    let exhausted =
        vec![MessagesExhausted { errand: Enquiry, attempts: 4 }.into(), SettlementUnknown {}.into()];
    let cancelled = SettlementCancelled { reason_code: "AB05".to_owned(), message: message() };
    let returned = ReturnSettled { return_id: RETURN, message: message() };
    vec![
        ("offered", offered()),
        ("due", with(accepted(), vec![scheduled(Reply, 1)])),
        ("accepting", with(accepted(), vec![started(Reply, 1)])),
        ("asking", with(accepted(), vec![started(Enquiry, 2)])),
        ("exhausted", with(accepted(), exhausted)),
        ("refusing", with(refused(), vec![started(Reply, 1)])),
        (
            "refused",
            with(refused(), vec![started(Reply, 1), MessageTaken { errand: Reply, attempt: 1 }.into()]),
        ),
        ("settled", settled()),
        ("cancelled", with(accepted(), vec![started(Reply, 1), cancelled.into()])),
        ("returning", returning()),
        ("returned", with(returning(), vec![returned.into()])),
    ]
}

fn status(answer: Option<Answer>, is_of_return: bool) -> InboundCommand {
    InboundCommand::RecordStatus { answer, is_of_return, message: message(), policy: POLICY }
}

fn yes() -> Option<Answer> {
    Some(Answer::Settled { settled_at: Timestamp::UNIX_EPOCH })
}

fn no() -> Option<Answer> {
    Some(Answer::Rejected { reason_code: "AB05".to_owned() })
}

fn not_yet() -> Option<Answer> {
    Some(Answer::Pending { status: "ACSP".to_owned() })
}

const REFUSED: &str = "refused";
const OVERTAKEN: &str = "DecisionOvertaken";
const SETTLES: &str = "SettlementConfirmed";
const CANCELS: &str = "SettlementCancelled";
const DUPLICATE: &str = "StatusDuplicated";
const CONTRADICTS: &str = "StatusContradicted";
const CONFIRMS: &str = "RefusalConfirmed";
const HEARD: &str = "StatusHeard";
const ON: &str = "StatusHeard MessageScheduled";
const AGAIN: &str = "MessageTimedOut MessageScheduled";

type Row = (&'static str, InboundCommand, [&'static str; 11]);

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let policy = POLICY;
    let mut other = offer();
    other.transfer.amount = Money::new(1, Currency::DKK);
    let returned = |return_id| InboundCommand::Return { return_id, amount: amount(), reason_code: "AC01".to_owned() };
    let reason = || "closed".to_owned();
    vec![
        //                               offered        due      accepting  asking   exhausted  refusing  refused   settled  cancelled returning returned
        ("offer again", offer_of(offer()),
                                        ["OfferRepeated", "OfferRepeated", "OfferRepeated", "OfferRepeated", "OfferRepeated MessageScheduled", "OfferRepeated",
                                         "OfferRepeated MessageScheduled", "OfferRepeated", "OfferRepeated", "OfferRepeated", "OfferRepeated"]),
        ("offer other", offer_of(other), [REFUSED; 11]),
        ("accept", InboundCommand::Accept,
                                        ["PaymentAccepted MessageScheduled", "", "",       "",      "",        OVERTAKEN, OVERTAKEN, "",     "",       "",       ""]),
        ("refuse", InboundCommand::Refuse { reason_code: "AC01".to_owned() },
                                        ["PaymentRefused MessageScheduled", OVERTAKEN, OVERTAKEN, OVERTAKEN, OVERTAKEN, OVERTAKEN, OVERTAKEN, OVERTAKEN, OVERTAKEN, OVERTAKEN, OVERTAKEN]),
        ("return", returned(RETURN),    [REFUSED,       REFUSED, REFUSED,   REFUSED, REFUSED,   REFUSED,  REFUSED,  "ReturnRequested MessageScheduled", REFUSED, "", ""]),
        ("other return", returned(LIVE), [REFUSED,      REFUSED, REFUSED,   REFUSED, REFUSED,   REFUSED,  REFUSED,  "ReturnRequested MessageScheduled", REFUSED, REFUSED, REFUSED]),
        ("deadline", InboundCommand::Proceed { deadline: DEADLINE, rail: rail() },
                                        ["DecisionTimedOut PaymentRefused MessageStarted", "MessageStarted", AGAIN, AGAIN, "", AGAIN, "", "", "", AGAIN, ""]),
        ("stale deadline", InboundCommand::Proceed { deadline: Deadline { id: Uuid::nil(), ..DEADLINE }, rail: rail() }, [""; 11]),
        ("taken", InboundCommand::RecordTaken { errand: Reply, attempt: 1, policy },
                                        ["", "", "MessageTaken MessageScheduled", "", "", "MessageTaken", "", "", "", "", ""]),
        ("not sent", InboundCommand::RecordNotSent { errand: Reply, attempt: 1, reason: reason(), policy },
                                        ["", "", "MessageNotSent MessageScheduled", "", "", "MessageNotSent MessageScheduled", "", "", "", "", ""]),
        ("message refused", InboundCommand::RecordMessageRefused { errand: Reply, attempt: 1, reason: reason(), policy },
                                        ["", "", "MessageNotSent SettlementUnknown MessagesExhausted", "", "", "MessageNotSent MessagesExhausted", "", "", "", "", ""]),
        ("enquiry refused", InboundCommand::RecordMessageRefused { errand: Enquiry, attempt: 2, reason: reason(), policy },
                                        ["", "", "", "MessageNotSent MessageScheduled", "", "", "", "", "", "", ""]),
        ("return refused", InboundCommand::RecordMessageRefused { errand: Return, attempt: 1, reason: reason(), policy },
                                        ["", "", "", "", "", "", "", "", "", "MessageNotSent ReturnRejected", ""]),
        ("settled", status(yes(), false),
                                        [SETTLES,       SETTLES, SETTLES,   SETTLES, SETTLES,   SETTLES,  SETTLES,  DUPLICATE, CONTRADICTS, DUPLICATE, DUPLICATE]),
        ("rejected", status(no(), false),
                                        [CANCELS,       CANCELS, CANCELS,   CANCELS, CANCELS,   CONFIRMS, CONFIRMS, CONTRADICTS, DUPLICATE, CONTRADICTS, CONTRADICTS]),
        ("pending", status(not_yet(), false),
                                        [HEARD,         HEARD,   ON,        ON,      HEARD,     ON,       HEARD,    DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE]),
        ("not found", status(None, false),
                                        [HEARD,         HEARD,   ON,        ON,      HEARD,     ON,       HEARD,    HEARD,     HEARD,    HEARD,     HEARD]),
        ("return settled", status(yes(), true),
                                        [CONTRADICTS,   CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, "ReturnSettled", DUPLICATE]),
        ("return rejected", status(no(), true),
                                        [CONTRADICTS,   CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, "ReturnRejected", CONTRADICTS]),
        ("return pending", status(not_yet(), true),
                                        [CONTRADICTS,   CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, CONTRADICTS, ON, DUPLICATE]),
    ]
}

/// Events, nothing (a duplicate, or too late to matter), or a refusal. Nothing else exists.
#[test]
fn every_state_knows_every_command() {
    let mut wrong = Vec::new();
    for (name, command, expected) in rows() {
        for ((state, history), expected) in states().into_iter().zip(expected) {
            let folded = Inbound::fold(None, &history);
            let decided = Inbound::decide(folded.as_ref(), command.clone(), &context());
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
fn what_was_never_offered_is_refused() {
    for (name, command, _) in rows() {
        if !name.starts_with("offer") {
            given::<Inbound>([]).when(command).then_refused(&InboundRefusal::NotOffered);
        }
    }
}

#[test]
fn an_offer_waits_for_our_decision_and_is_the_same_payment_however_often_it_comes() {
    let inbound =
        given::<Inbound>([]).when(offer_of(offer())).then_types(&["PaymentOffered"]).state().unwrap();
    assert_eq!(inbound.payment.payment_id, inbound_id(UETR));
    assert_eq!(inbound.deadline().map(|deadline| deadline.due_at), Some(inbound.payment.answer_by));
}

/// What is sent is what its reader expects: our word to the house, then a question, then our word again.
#[test]
fn the_house_is_told_and_asked_in_turn_until_the_tries_are_used_up() {
    let mut history = with(offered(), vec![PaymentAccepted {}.into(), scheduled(Reply, 1)]);
    let (mut sent, mut context) = (Vec::new(), context());
    for _ in 0..20 {
        let inbound = Inbound::fold(None, &history).unwrap();
        let Some(deadline) = inbound.deadline() else { break };
        context.now = deadline.due_at;
        let proceed = InboundCommand::Proceed { deadline, rail: rail() };
        let events = Inbound::decide(Some(&inbound), proceed, &context).unwrap();
        sent.extend(events.iter().filter_map(|event| match event {
            InboundEvent::MessageStarted(event) => Some(event.message.xml.expose().clone()),
            _ => None,
        }));
        history.extend(events);
    }
    let kinds: Vec<&str> =
        sent.iter().map(|xml| if xml.contains("pacs.028.") { "ask" } else { "tell" }).collect();
    assert_eq!(kinds.len(), 9, "four in quick succession, and five more slowly");
    assert_eq!(kinds[..3], ["tell", "ask", "ask"]);
    assert!(sent[0].contains("<TxSts>ACCP</TxSts>"), "{}", sent[0]);
    let told = history.iter().filter(|event| matches!(event, InboundEvent::SettlementUnknown(_)));
    assert_eq!(told.count(), 1);
    assert!(matches!(history.last(), Some(InboundEvent::MessagesExhausted(_))));
}

#[test]
fn a_refusal_and_a_return_say_why() {
    let sent = |history: Vec<InboundEvent>| {
        let inbound = Inbound::fold(None, &history);
        let proceed = InboundCommand::Proceed { deadline: DEADLINE, rail: rail() };
        let events = Inbound::decide(inbound.as_ref(), proceed, &context()).unwrap();
        let Some(InboundEvent::MessageStarted(started)) = events.into_iter().next() else { panic!() };
        started.message.xml.expose().clone()
    };
    let refused = PaymentRefused { reason_code: "AC01".to_owned() };
    let refusal = sent(with(offered(), vec![refused.into(), scheduled(Reply, 1)]));
    assert!(refusal.contains("<TxSts>RJCT</TxSts>") && refusal.contains("<Cd>AC01</Cd>"), "{refusal}");
    let requested = ReturnRequested {
        return_id: RETURN,
        amount: amount(),
        reason_code: "AC04".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    let way_back = sent(with(settled(), vec![requested.into(), scheduled(Return, 1)]));
    assert!(way_back.contains("pacs.004.001") && way_back.contains("<Cd>AC04</Cd>"), "{way_back}");
    assert!(way_back.contains(&RETURN.simple().to_string()), "{way_back}");
}

#[test]
fn core_is_told_what_it_has_to_know_and_no_more() {
    let told = |event: InboundEvent| {
        let inbound = Inbound::fold(None, &offered()).unwrap();
        incoming_of(&inbound, event).map(|event| event.event_type())
    };
    assert_eq!(told(offered().remove(0)), Some("IncomingReceived"));
    assert_eq!(told(DecisionTimedOut {}.into()), Some("IncomingCancelled"));
    assert_eq!(told(SettlementUnknown {}.into()), Some("IncomingOutcomeUnknown"));
    assert_eq!(told(started(Reply, 1)), None);
    assert_eq!(told(OfferRepeated { message: message() }.into()), None);
}

#[test]
fn the_contract_holds_what_is_relied_on() {
    contract::check_relied_on::<AcceptanceEvent>("relies_on", contract::acceptance::CATEGORY);
}

#[test]
fn events_keep_their_shape() {
    let (errand, attempt, status) = (Reply, 1, || "ACSP".to_owned());
    let examples: [InboundEvent; 23] = [
        offered().remove(0),
        OfferRepeated { message: message() }.into(),
        PaymentAccepted {}.into(),
        PaymentRefused { reason_code: "AC01".to_owned() }.into(),
        DecisionTimedOut {}.into(),
        DecisionOvertaken { is_accepted: true }.into(),
        scheduled(Enquiry, 2),
        started(Return, 1),
        MessageTaken { errand, attempt }.into(),
        MessageTimedOut { errand, attempt }.into(),
        MessageNotSent { errand, attempt, reason: "closed".to_owned() }.into(),
        MessagesExhausted { errand, attempts: 4 }.into(),
        StatusHeard { status: status(), message: message() }.into(),
        SettlementConfirmed { settled_at: Timestamp::UNIX_EPOCH, message: message() }.into(),
        SettlementCancelled { reason_code: "AB05".to_owned(), message: message() }.into(),
        RefusalConfirmed { reason_code: "AC01".to_owned(), message: message() }.into(),
        SettlementUnknown {}.into(),
        StatusDuplicated { status: status(), message: message() }.into(),
        StatusContradicted { status: status(), message: message() }.into(),
        ReturnRequested {
            return_id: RETURN,
            amount: amount(),
            reason_code: "AC01".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        }
        .into(),
        ReturnSettled { return_id: RETURN, message: message() }.into(),
        ReturnRejected { return_id: RETURN, reason_code: "AC04".to_owned(), message: message() }.into(),
        ReturnUnknown { return_id: RETURN }.into(),
    ];
    event::samples::check("samples/inbound", &examples);
}
