//! What the network's messages are to core, and which are none.

use serde_json::{Value, json};

use super::*;

fn text() -> Value {
    json!({
        "mti": "0100", "message_id": "M1", "transaction_id": "N7F3", "card_id": "0198c1f2-0000-7000-8000-000000000002",
        "amount": "12500", "currency": "DKK", "merchant": { "name": "Bakery Lund", "category_code": "5462" },
    })
}

fn parse(changes: &Value) -> Result<CardEvent, NotAMessage> {
    let mut message = text();
    for (field, value) in changes.as_object().unwrap() {
        message[field] = value.clone();
    }
    Message::parse(message.to_string().as_bytes())?.said(Timestamp::UNIX_EPOCH)
}

#[test]
fn each_type_is_what_it_says_also_when_it_is_repeated() {
    use event::DomainEvent;
    for (changes, expected) in [
        (json!({ "mti": "0100" }), "AuthorisationRequested"),
        (json!({ "mti": "0100", "amount": "0" }), "AuthorisationRequested"),
        (json!({ "mti": "0101" }), "AuthorisationRequested"),
        (json!({ "mti": "0100", "increment": true }), "IncrementRequested"),
        (json!({ "mti": "0120" }), "StandInAdvised"),
        (json!({ "mti": "0121", "amount": "0" }), "StandInAdvised"),
        (json!({ "mti": "0220" }), "CaptureReceived"),
        (json!({ "mti": "0221", "processing_code": "20" }), "RefundReceived"),
        (json!({ "mti": "0400", "original_message_id": "M0" }), "ReversalReceived"),
        (json!({ "mti": "0421", "original_message_id": "M0", "unknown": "is ignored" }), "ReversalReceived"),
    ] {
        assert_eq!(parse(&changes).unwrap().event_type(), expected, "{changes}");
    }
    let CardEvent::CaptureReceived(capture) = parse(&json!({ "mti": "0220", "final": false })).unwrap()
    else {
        panic!("it is a capture")
    };
    assert!(!capture.is_final);
    assert_eq!(capture.amount, Money::new(12_500, Currency::DKK));
}

#[test]
fn what_is_no_message_is_refused_with_its_reason() {
    for (changes, expected) in [
        (json!({ "mti": "0800" }), "mti"),
        (json!({ "mti": "0102" }), "mti"),
        (json!({ "mti": "é100" }), "mti"),
        (json!({ "mti": "0400" }), "original_message_id"),
        (json!({ "mti": "\u{0}" }), "cannot be kept"),
        (json!({ "processing_code": "01" }), "processing_code"),
        (json!({ "mti": "0400", "processing_code": "20" }), "processing_code"),
        (json!({ "amount": "1000000000000" }), "amount"),
        (json!({ "amount": "-1" }), "amount"),
        (json!({ "amount": "1.5" }), "amount"),
        (json!({ "amount": "9223372036854775808" }), "amount"),
        (json!({ "mti": "0220", "amount": "0" }), "amount"),
        (json!({ "currency": "ABC" }), "wrong kind"),
        (json!({ "message_id": "" }), "message_id"),
        (json!({ "transaction_id": "x".repeat(37) }), "transaction_id"),
        (json!({ "merchant": { "name": "a\nb" } }), "merchant.name"),
        (json!({ "card_id": "4111111111111111" }), "no message"),
    ] {
        let error = parse(&changes).unwrap_err().to_string();
        assert!(error.contains(expected), "{changes}: {error}");
    }
    assert!(matches!(Message::parse(b"{"), Err(NotAMessage::Json { .. })));
    let twice = text().to_string().replacen("\"mti\":", "\"mti\":\"0220\",\"mti\":", 1);
    assert!(matches!(Message::parse(twice.as_bytes()), Err(NotAMessage::Json { .. })));
}

#[test]
fn a_card_number_is_neither_told_nor_kept() {
    let error = parse(&json!({ "card_id": 4_111_111_111_111_111_u64 })).unwrap_err().to_string();
    assert!(!error.contains("4111"), "{error}");
    let kept = without_card_numbers(
        r#"{"pan":"4111111111111111","amount":"123456789012","id":"0198c1f2-0000"}"#,
        &[],
    );
    assert_eq!(kept, r#"{"pan":"…","amount":"123456789012","id":"0198c1f2-0000"}"#);
    assert_eq!(without_card_numbers("4111111111111111", &[]), "…");
    // An identifier is one of the network's, whatever it looks like.
    assert_eq!(without_card_numbers("4111111111111111", &["4111111111111111"]), "4111111111111111");
    let large = text().to_string().replacen('{', &format!("{{\"note\":\"{}\",", "x".repeat(20_000)), 1);
    assert_eq!(Message::parse(large.as_bytes()), Err(NotAMessage::TooLarge));
    // Without its check digit, or within something else, it is none.
    for text in ["4111111111111112", "M4111111111111111", "01984111111111111111c1f2"] {
        assert_eq!(without_card_numbers(text, &[]), text);
    }
}

#[test]
fn a_message_is_answered_by_its_own_type() {
    let response = |mti: &str| {
        let mut message: Message = serde_json::from_value(text()).unwrap();
        mti.clone_into(&mut message.mti);
        message.response("00").mti
    };
    let asked = ["0100", "0101", "0120", "0121", "0220", "0400", "0421"];
    assert_eq!(asked.map(response), ["0110", "0110", "0130", "0130", "0230", "0410", "0430"]);
}

#[test]
fn identifiers_of_other_payments_never_meet() {
    assert_ne!(message_id("ab", "c"), message_id("a", "bc"));
    assert_eq!(exchange_id("N7F3"), exchange_id("N7F3"));
}
