//! The exchange's rules: each message in each state.

use contract::verdict::VerdictEvent;
use event::DomainEvent;
use event::given::{context, given};
use jiff::Timestamp;

use super::*;
use crate::{card_event_of, exchange_id, message_id};

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const CARD: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0002);
const WITHIN: SignedDuration = SignedDuration::from_secs(1);
const DEADLINE: Deadline = Deadline { id: ID, due_at: Timestamp::UNIX_EPOCH };

fn message(mti: &str, id: &str, amount: &str) -> Message {
    let text = serde_json::json!({
        "mti": mti, "message_id": id, "transaction_id": "N7F3", "card_id": CARD, "amount": amount, "currency": "DKK",
        "merchant": { "name": "Bakery Lund" },
    });
    Message::parse(text.to_string().as_bytes()).unwrap()
}

fn reversal(id: &str, amount: &str) -> Message {
    Message { original_message_id: Some("M1".to_owned()), ..message("0420", id, amount) }
}

fn hear(message: Message) -> ExchangeCommand {
    let raw = "{}".to_owned().into();
    ExchangeCommand::Hear { message: Box::new(message), raw, answer_within: WITHIN }
}

fn dkk(minor: i64) -> Money {
    Money::new(minor, Currency::DKK)
}

fn id(of: &str) -> Uuid {
    message_id("N7F3", of)
}

fn verdict(of: &str, verdict: Result<Money, &str>) -> ExchangeCommand {
    ExchangeCommand::Answer { message_id: id(of), verdict: verdict.map_err(str::to_owned) }
}

fn history(commands: impl IntoIterator<Item = ExchangeCommand>) -> Vec<ExchangeEvent> {
    let mut events = Vec::new();
    for command in commands {
        let state = Exchange::fold(None, &events);
        events.extend(Exchange::decide(state.as_ref(), command, &context()).unwrap());
    }
    events
}

fn asked() -> Vec<ExchangeEvent> {
    history([hear(message("0100", "M1", "100"))])
}

fn timed_out() -> Vec<ExchangeEvent> {
    let mut events = asked();
    let deadline = Exchange::fold(None, &events).unwrap().deadline().unwrap();
    let state = Exchange::fold(None, &events);
    events.extend(
        Exchange::decide(state.as_ref(), ExchangeCommand::FireDeadline(deadline), &context()).unwrap(),
    );
    events
}

/// What is new in each state; `-` is nothing, `!` a refusal.
#[test]
#[rustfmt::skip]
fn each_message_in_each_state() {
    let states = [
        ("none", vec![]),
        ("asked", asked()),
        ("answered", history([hear(message("0100", "M1", "100")), verdict("M1", Ok(dkk(100)))])),
        ("timed out", timed_out()),
        ("advised", history([hear(message("0120", "M1", "100"))])),
    ];
    let mut euro = message("0220", "M9", "50");
    euro.currency = Currency::EUR;
    let mut other_card = message("0220", "M9", "50");
    other_card.card_id = ID;
    let mut asked_by_other_card = message("0100", "M9", "50");
    asked_by_other_card.card_id = ID;
    let rows: [(&str, ExchangeCommand, [&str; 5]); 13] = [
        ("asked",       hear(message("0100", "M9", "50")), ["AuthorisationAsked"; 5]),
        ("advice",      hear(message("0120", "M9", "50")), ["StandInHeard"; 5]),
        ("capture",     hear(message("0220", "M9", "50")), ["CaptureHeard"; 5]),
        ("reversal",    hear(reversal("M9", "50")), ["ReversalHeard"; 5]),
        ("repeated",    hear(message("0101", "M1", "100")), ["AuthorisationAsked", "MessageRepeated", "MessageRepeated", "MessageRepeated", "MessageContradicted"]),
        ("other words", hear(message("0101", "M1", "99")), ["AuthorisationAsked", "MessageContradicted", "MessageContradicted", "MessageContradicted", "MessageContradicted"]),
        ("currency",    hear(euro),                        ["CaptureHeard"; 5]),
        ("card",        hear(other_card),                  ["CaptureHeard"; 5]),
        ("other asked", hear(asked_by_other_card),         ["AuthorisationAsked", "MessageContradicted", "MessageContradicted", "MessageContradicted", "MessageContradicted"]),
        ("approved",    verdict("M1", Ok(dkk(100))),       ["!", "RequestAnswered", "-", "VerdictOvertaken", "!"]),
        ("declined",    verdict("M1", Err("51")),          ["!", "RequestAnswered", "VerdictOvertaken", "VerdictOvertaken", "!"]),
        ("of another",  verdict("M9", Ok(dkk(1))),         ["!", "!", "!", "!", "!"]),
        ("old fire",    ExchangeCommand::FireDeadline(DEADLINE), ["!", "-", "-", "-", "-"]),
    ];
    for (what, command, expected) in rows {
        for ((state, history), expected) in states.iter().zip(expected) {
            let before = Exchange::fold(None, history);
            let found = match Exchange::decide(before.as_ref(), command.clone(), &context()) {
                Err(_) => "!".to_owned(),
                Ok(events) if events.is_empty() => "-".to_owned(),
                Ok(events) => events.iter().map(DomainEvent::event_type).collect::<Vec<_>>().join(" "),
            };
            assert_eq!(found, expected, "{what}, {state}");
        }
    }
}

#[test]
fn each_is_answered_once_and_alike_however_often_it_is_asked() {
    let answer = |events: &[ExchangeEvent]| Exchange::fold(None, events).unwrap().answer(id("M1")).cloned();
    assert_eq!(answer(&asked()), None);
    let code = |events: &[ExchangeEvent]| answer(events).map(|answer| answer.response_code);
    let answered = |said| history([hear(message("0100", "M1", "100")), verdict("M1", said)]);
    assert_eq!(code(&answered(Ok(dkk(100)))).as_deref(), Some("00"));
    assert_eq!(code(&answered(Ok(dkk(40)))).as_deref(), Some("10"));
    assert_eq!(code(&answered(Err("51"))).as_deref(), Some("51"));
    assert_eq!(code(&timed_out()).as_deref(), Some("91"));
    let late = timed_out();
    let overtaken = given::<Exchange>(late.clone()).when(verdict("M1", Ok(dkk(100))));
    overtaken.then_types(&["VerdictOvertaken"]);
    assert_eq!(code(&late).as_deref(), Some("91"));
    assert_eq!(code(&history([hear(message("0220", "M1", "100"))])).as_deref(), Some("00"));
}

#[test]
fn a_verdict_that_comes_when_nobody_waits_any_more_is_overtaken() {
    let due = Exchange::fold(None, &asked()).unwrap().deadline().unwrap().due_at;
    let at = |now| given::<Exchange>(asked()).at(now).when(verdict("M1", Ok(dkk(100))));
    at(due).then_types(&["RequestAnswered"]);
    at(due + SignedDuration::from_millis(1)).then_types(&["RequestTimedOut", "VerdictOvertaken"]);
}

#[test]
fn what_is_said_again_and_again_does_not_make_the_stream_long() {
    let repeats = (0..20).map(|_| hear(message("0101", "M1", "100")));
    let other = (0..20).map(|_| hear(message("0101", "M1", "99")));
    let events = history([hear(message("0100", "M1", "100"))].into_iter().chain(repeats).chain(other));
    let count = |kind: &str| events.iter().filter(|event| event.event_type() == kind).count();
    assert_eq!((count("MessageRepeated"), count("MessageContradicted")), (8, 1));
}

#[test]
fn what_is_open_has_one_deadline_that_of_the_first() {
    let deadline = |events: &[ExchangeEvent]| Exchange::fold(None, events).unwrap().deadline();
    let mut later = context();
    later.now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(5);
    let first = asked();
    let second = hear(message("0100", "M2", "100"));
    let second = Exchange::decide(Exchange::fold(None, &first).as_ref(), second, &later).unwrap();
    let both = [first.clone(), second.clone()].concat();
    assert_eq!(deadline(&both), deadline(&first));
    let answered = Exchange::fold(None, &both);
    let answer = Exchange::decide(answered.as_ref(), verdict("M1", Ok(dkk(100))), &context()).unwrap();
    let left = deadline(&[both, answer].concat()).unwrap();
    assert_eq!(left.due_at, later.now + WITHIN);
    assert!(deadline(&timed_out()).is_none());
    assert!(deadline(&history([hear(message("0220", "M1", "100"))])).is_none());
}

#[test]
fn core_is_told_what_the_network_says_and_what_it_was_not_told() {
    let told = |events: Vec<ExchangeEvent>| {
        let exchange = Exchange::fold(None, &events).unwrap();
        let last = events.last().unwrap().clone();
        card_event_of(&exchange, last).map(|event| (event.event_type(), event.payment().authorisation_id))
    };
    let this = exchange_id("N7F3");
    assert_eq!(told(asked()), Some(("AuthorisationRequested", this)));
    assert_eq!(told(timed_out()), Some(("RequestUnanswered", this)));
    assert_eq!(told(history([hear(reversal("M1", "1"))])), Some(("ReversalReceived", this)));
    assert_eq!(told(history([hear(message("0220", "M1", "1"))])), Some(("CaptureReceived", this)));
    assert_eq!(told(history([hear(message("0100", "M1", "1")), verdict("M1", Err("51"))])), None);
}

#[test]
fn the_contract_holds_what_is_relied_on() {
    contract::check_relied_on::<VerdictEvent>("relies_on", contract::verdict::CATEGORY);
}

#[test]
fn events_keep_their_shape() {
    let mut refund = message("0220", "M6", "50");
    "20".clone_into(&mut refund.processing_code);
    let mut increment = message("0100", "M2", "50");
    increment.increment = true;
    let heard = |message: Message| {
        let said = message.said(Timestamp::UNIX_EPOCH).unwrap();
        super::heard(said, "{}".to_owned().into(), DEADLINE)
    };
    let examples: [ExchangeEvent; 11] = [
        heard(message("0100", "M1", "100")),
        heard(increment),
        heard(message("0120", "M3", "100")),
        heard(reversal("M4", "100")),
        heard(message("0220", "M5", "100")),
        heard(refund),
        RequestAnswered { message_id: ID, response_code: "00".to_owned(), approved: Some(dkk(100)) }.into(),
        RequestTimedOut { message_id: ID, deadline_id: ID }.into(),
        VerdictOvertaken { message_id: ID, response_code: "51".to_owned() }.into(),
        MessageRepeated { message_id: ID, mti: "0101".to_owned() }.into(),
        MessageContradicted { response_code: "94".to_owned(), message: "{}".to_owned().into() }.into(),
    ];
    event::samples::check("samples/exchange", &examples);
}
