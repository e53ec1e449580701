//! How the OpenAPI document describes what other crates own.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};
use uuid::Uuid;

/// One of these words.
pub(crate) fn words(words: &[&str]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build()
}

/// An amount: `{"amount":"12500","currency":"DKK"}` is 125.00 kr.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Money {
    /// Minor units (øre, cents), as a decimal string.
    #[schema(example = "12500", pattern = "^-?[0-9]{1,19}$")]
    amount: String,
    /// ISO 4217.
    #[schema(example = "DKK", pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// Who gets the money: `{"account_id"}` for an account here, `{"iban", "name"}` for one at another bank.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is described, not made")]
pub(crate) enum Beneficiary {
    Account { account_id: Uuid },
    Bank { iban: String, name: String },
}

/// One side of a payment, as the rail names it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Holder {
    account: String,
    name: String,
    /// The bank.
    agent: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Merchant {
    name: String,
    /// ISO 18245, such as `5411`.
    category_code: Option<String>,
}

/// A fact, as it was recorded.
#[derive(Serialize, ToSchema)]
pub(crate) struct Event {
    /// `category-id`.
    stream: String,
    /// Its number in the stream: 1, 2, 3 … without holes.
    seq: i64,
    id: Uuid,
    r#type: String,
    version: i16,
    /// What the type and version say.
    data: serde_json::Value,
    /// The request that everything began with.
    correlation_id: Uuid,
    /// What it follows from: a request, an event, or a deadline.
    causation_id: Uuid,
    metadata: Metadata,
    recorded_at: Timestamp,
    /// Insertion order; not commit order.
    position: i64,
}

/// One of a stream of Server-Sent Events.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiveEvent {
    /// Its seq: send the last one that you have as `Last-Event-ID`.
    id: String,
    /// Its type.
    event: String,
    /// The event, as JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EventMetadata)]
pub(crate) struct Metadata {
    /// Who acts, such as `api:checkout` or `service:core/transfers`.
    actor: String,
    /// `request`, `event`, `deadline` or `correction`.
    causation_kind: String,
}

/// An error: RFC 9457.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Where the error is described.
    #[schema(example = "/errors/insufficient-funds")]
    r#type: String,
    title: String,
    status: u16,
    /// Stable: programs may rely on it. `GET /errors` lists them all.
    #[schema(example = "insufficient-funds")]
    code: String,
    /// For people.
    detail: String,
    /// Whether the same request, with the same key, may succeed later.
    retryable: bool,
    /// The field that it is about: a JSON pointer.
    pointer: Option<String>,
    /// The transfer in which the refusal is recorded.
    transfer_id: Option<Uuid>,
}
