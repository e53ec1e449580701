//! The published language as a document: AsyncAPI 3, with a JSON Schema for each event, from the types themselves.

use std::borrow::Cow;

use event::DomainEvent;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::acceptance::{self, AcceptanceEvent, IncomingAccepted, IncomingRefused, ReturnRequested};
use crate::account::{self, AccountEvent, BalanceChanged};
use crate::card::{
    self, AuthorisationRequested, CaptureReceived, CardEvent, IncrementRequested, RefundReceived,
    RequestUnanswered, ReversalReceived, StandInAdvised,
};
use crate::clearing::{
    self, ClearingEvent, PaymentContradicted, PaymentOutcomeUnknown, PaymentPending, PaymentRejected,
    PaymentReturned, PaymentSettled, RecallRejected, RecallUndelivered,
};
use crate::deprecation::{Deprecation, deprecation_of};
use crate::incoming::{
    self, IncomingCancelled, IncomingContradicted, IncomingEvent, IncomingOutcomeUnknown, IncomingReceived,
    IncomingSettled, ReturnOutcomeUnknown, ReturnRejected, ReturnSettled,
};
use crate::payment::{self, PaymentEvent, PaymentSubmitted, RecallRequested};
use crate::transfer::{self, AttentionRequired, AttentionWithdrawn, StatusChanged, TransferEvent};
use crate::verdict::{self, RequestApproved, RequestDeclined, VerdictEvent};

/// One version of one contract.
struct Contract {
    category: &'static str,
    /// Of the Kafka topic, before the category: the service that publishes.
    publisher: &'static str,
    about: &'static str,
    /// Each type with its version, as the event enum has it.
    types: &'static [(&'static str, i16)],
    schemas: Vec<(Cow<'static, str>, Value)>,
}

/// AsyncAPI 3.0 of all contracts. Topics are named as without a prefix.
pub fn asyncapi() -> Value {
    let mut generator = SchemaSettings::draft07()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for contract in contracts(&mut generator) {
        let name = contract.category.replace('.', "_");
        let mut refs = Map::new();
        for (event, version) in contract.types {
            let Some((_, payload)) = contract.schemas.iter().find(|(name, _)| name == event) else {
                continue;
            };
            let key = format!("{name}_{event}_{version}");
            let this = format!("#/components/messages/{key}");
            refs.insert(format!("{event}_{version}"), json!({ "$ref": this }));
            messages.insert(key, message(event, *version, payload));
        }
        let mut channel = json!({
            "address": format!("{}.{}", contract.publisher, contract.category),
            "title": contract.category,
            "description": contract.about,
            "messages": refs,
        });
        if let Some(Deprecation { instead, until, .. }) = deprecation_of(contract.category) {
            channel["x-deprecated"] = json!({ "instead": instead, "until": until });
        }
        channels.insert(name.clone(), channel);
        let channel = format!("#/channels/{name}");
        operations
            .insert(format!("publish_{name}"), json!({ "action": "send", "channel": { "$ref": channel } }));
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Headers".to_owned(), headers());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lunaria, external streams",
            "version": "1",
            "description": "What services may know of each other. A stream's events are in one partition, in order, keyed by stream. \
                Delivery is at least once: an event at or before the last `ce_sequence` of its stream is a duplicate. Fields that a \
                reader does not know are to be ignored; a change of meaning is a new version of the contract, beside the old one. \
                What is missing is read at `/v1/external`.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

fn contracts(generator: &mut SchemaGenerator) -> Vec<Contract> {
    [payments(generator), incoming_payments(generator), cards(generator), accounts(generator)]
        .into_iter()
        .flatten()
        .collect()
}

fn payments(generator: &mut SchemaGenerator) -> Vec<Contract> {
    vec![
        Contract {
            category: payment::CATEGORY,
            publisher: "core",
            about: "What core asks a rail's adapter to pay, and to call back. One stream for each payment.",
            types: PaymentEvent::TYPES,
            schemas: vec![schema::<PaymentSubmitted>(generator), schema::<RecallRequested>(generator)],
        },
        Contract {
            category: payment::v1::CATEGORY,
            publisher: "core",
            about: "What core asks a rail's adapter to pay. One stream for each payment.",
            types: payment::v1::PaymentEvent::TYPES,
            schemas: vec![schema::<PaymentSubmitted>(generator)],
        },
        Contract {
            category: clearing::CATEGORY,
            publisher: "adapter-instant",
            about: "What a rail's adapter knows of a payment. One stream for each payment.",
            types: ClearingEvent::TYPES,
            schemas: vec![
                schema::<PaymentSettled>(generator),
                schema::<PaymentRejected>(generator),
                schema::<PaymentPending>(generator),
                schema::<PaymentOutcomeUnknown>(generator),
                schema::<PaymentContradicted>(generator),
                schema::<PaymentReturned>(generator),
                schema::<RecallRejected>(generator),
                schema::<RecallUndelivered>(generator),
            ],
        },
        Contract {
            category: clearing::v1::CATEGORY,
            publisher: "adapter-instant",
            about: "What a rail's adapter knows of a payment. One stream for each payment.",
            types: clearing::v1::ClearingEvent::TYPES,
            schemas: vec![
                schema::<PaymentSettled>(generator),
                schema::<PaymentRejected>(generator),
                schema::<PaymentOutcomeUnknown>(generator),
                schema::<PaymentContradicted>(generator),
            ],
        },
    ]
}

fn incoming_payments(generator: &mut SchemaGenerator) -> Vec<Contract> {
    vec![
        Contract {
            category: incoming::CATEGORY,
            publisher: "adapter-instant",
            about: "What a rail's adapter knows of a payment from another bank. One stream for each payment.",
            types: IncomingEvent::TYPES,
            schemas: vec![
                schema::<IncomingReceived>(generator),
                schema::<IncomingSettled>(generator),
                schema::<IncomingCancelled>(generator),
                schema::<IncomingOutcomeUnknown>(generator),
                schema::<IncomingContradicted>(generator),
                schema::<ReturnSettled>(generator),
                schema::<ReturnRejected>(generator),
                schema::<ReturnOutcomeUnknown>(generator),
            ],
        },
        Contract {
            category: acceptance::CATEGORY,
            publisher: "core",
            about: "What core decides about a payment from another bank. One stream for each payment.",
            types: AcceptanceEvent::TYPES,
            schemas: vec![
                schema::<IncomingAccepted>(generator),
                schema::<IncomingRefused>(generator),
                schema::<ReturnRequested>(generator),
            ],
        },
    ]
}

fn cards(generator: &mut SchemaGenerator) -> Vec<Contract> {
    vec![
        Contract {
            category: card::CATEGORY,
            publisher: "adapter-card",
            about: "What a card network asks about a payment by card, and what has become of it. One stream for each payment.",
            types: CardEvent::TYPES,
            schemas: vec![
                schema::<AuthorisationRequested>(generator),
                schema::<IncrementRequested>(generator),
                schema::<RequestUnanswered>(generator),
                schema::<StandInAdvised>(generator),
                schema::<ReversalReceived>(generator),
                schema::<CaptureReceived>(generator),
                schema::<RefundReceived>(generator),
            ],
        },
        Contract {
            category: verdict::CATEGORY,
            publisher: "core",
            about: "What core says to what a card network asks. One stream for each payment.",
            types: VerdictEvent::TYPES,
            schemas: vec![schema::<RequestApproved>(generator), schema::<RequestDeclined>(generator)],
        },
    ]
}

fn accounts(generator: &mut SchemaGenerator) -> Vec<Contract> {
    vec![
        Contract {
            category: account::CATEGORY,
            publisher: "core",
            about: "The balances of an account, after each change. One stream for each account.",
            types: AccountEvent::TYPES,
            schemas: vec![schema::<BalanceChanged>(generator)],
        },
        Contract {
            category: transfer::CATEGORY,
            publisher: "core",
            about: "Where a transfer stands. One stream for each transfer; published where webhooks are switched on.",
            types: TransferEvent::TYPES,
            schemas: vec![
                schema::<StatusChanged>(generator),
                schema::<AttentionRequired>(generator),
                schema::<AttentionWithdrawn>(generator),
            ],
        },
    ]
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> (Cow<'static, str>, Value) {
    (T::schema_name(), T::json_schema(generator).to_value())
}

fn message(event: &str, version: i16, payload: &Value) -> Value {
    json!({
        "name": event,
        "title": format!("{event}, version {version}"),
        "description": payload["description"],
        "contentType": "application/json",
        "headers": { "$ref": "#/components/schemas/Headers" },
        "payload": payload,
    })
}

/// The record's headers: `CloudEvents` 1.0 in binary mode, and Lunaria's own.
fn headers() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let id = |description: &str| json!({ "type": "string", "format": "uuid", "description": description });
    let number =
        |description: &str| json!({ "type": "string", "pattern": "^[0-9]+$", "description": description });
    json!({
        "type": "object",
        "properties": {
            "ce_specversion": { "type": "string", "const": "1.0" },
            "ce_id": id("The event's id."),
            "ce_source": text("The service, such as `/lunaria/core`."),
            "ce_type": text("The event's type: the message's name."),
            "ce_subject": text("The stream; the record's key as well."),
            "ce_time": { "type": "string", "format": "date-time", "description": "When it was recorded." },
            "ce_sequence": number("Its number in the stream: 1, 2, 3 and so on, without holes."),
            "ce_dataversion": number("The version of the event's type."),
            "ce_correlationid": id("The request that all of this follows from."),
            "ce_causationid": id("What made it happen."),
        },
        "required": ["ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_sequence", "ce_dataversion"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_type_has_its_schema_and_every_schema_is_of_one() {
        for contract in contracts(&mut SchemaGenerator::default()) {
            let mut types: Vec<&str> = contract.types.iter().map(|(name, _)| *name).collect();
            let mut schemas: Vec<&str> = contract.schemas.iter().map(|(name, _)| &**name).collect();
            types.sort_unstable();
            schemas.sort_unstable();
            assert_eq!(types, schemas, "{}", contract.category);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|field| references(field, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let (document, mut found) = (asyncapi(), Vec::new());
        references(&document, &mut found);
        assert!(found.len() > 10);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }

    #[test]
    fn what_is_about_a_person_is_marked() {
        let document = asyncapi();
        for field in ["iban", "name"] {
            assert_eq!(document["components"]["schemas"]["Party"]["properties"][field]["x-personal"], true);
        }
    }
}
