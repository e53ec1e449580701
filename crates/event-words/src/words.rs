//! The words that an event is found by.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

/// The names of the fields that are searched, wherever in an event they stand: what people quote when they ask about a payment.
const SEARCHED: [&str; 12] = [
    "end_to_end_id",
    "evidence",
    "iban",
    "name",
    "network_id",
    "note",
    "reason",
    "reference",
    "remittance",
    "transaction_id",
    "uetr",
    "url",
];
/// A party of another bank's payment: what its account is called there.
const PARTIES: [&str; 2] = ["creditor", "debtor"];
/// So many words of an event, and no more.
const WORDS_MAX: usize = 200;

/// Of an event's data, each once, with a space between them. None where nothing is searched.
pub fn words_in(data: &str) -> serde_json::Result<Option<String>> {
    let mut words = BTreeSet::new();
    collect(&serde_json::from_str(data)?, &mut words);
    let words: Vec<String> = words.into_iter().take(WORDS_MAX).collect();
    Ok(if words.is_empty() { None } else { Some(words.join(" ")) })
}

/// Whether all of these words, or words that begin like them, are among those of an event's data.
pub fn holds(data: &str, asked: &str) -> bool {
    let held = words_in(data).ok().flatten().unwrap_or_default();
    let asked = words_of(asked);
    !asked.is_empty() && asked.iter().all(|word| held.split(' ').any(|held| held.starts_with(word)))
}

/// An identifier is one word, however it is written.
pub(crate) fn words_of(text: &str) -> Vec<String> {
    let word = |word: &str| match Uuid::try_parse(word.trim_matches(|letter: char| !letter.is_alphanumeric()))
    {
        Ok(id) => vec![id.simple().to_string()],
        Err(_) => projection::words_of(word),
    };
    text.split_whitespace().flat_map(word).collect()
}

fn collect(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, words)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if SEARCHED.contains(&name.as_str()) => {
                        words.extend(words_of(text));
                    }
                    Value::Object(party) if PARTIES.contains(&name.as_str()) => {
                        let account = party.get("account").and_then(Value::as_str);
                        words.extend(account.map(words_of).unwrap_or_default());
                        collect(value, words);
                    }
                    value => collect(value, words),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(data: &Value) -> Option<String> {
        words_in(&data.to_string()).unwrap()
    }

    #[test]
    fn what_people_quote_is_searched_wherever_it_stands() {
        let data = json!({
            "to": { "iban": "DK5000400440116243", "name": "Ada Lund" }, "remittance": "Invoice 7, ada",
            "debtor": { "account": "DE89370400440532013000", "name": "Muster GmbH" },
            "postings": [{ "account": "settlement", "amount": { "amount": "-12500", "currency": "DKK" } }],
        });
        let expected = "7 ada de89370400440532013000 dk5000400440116243 gmbh invoice lund muster";
        assert_eq!(words(&data).as_deref(), Some(expected));
    }

    #[test]
    fn an_identifier_is_one_word() {
        let data = json!({ "uetr": "0198C1F2-0000-4000-8000-000000000002", "end_to_end_id": "invoice-7" });
        assert_eq!(words(&data).as_deref(), Some("0198c1f2000040008000000000000002 7 invoice"));
    }

    #[test]
    fn an_event_may_say_nothing_to_be_searched() {
        assert_eq!(words(&json!({ "amount": { "amount": "1", "currency": "DKK" }, "name": "—" })), None);
        assert_eq!(words(&json!({})), None);
    }
}
