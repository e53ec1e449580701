//! Reads a JSON body: its type, its size, JSON that the database can keep, and the fields.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Code, Problem};

/// ISO 20022 gives a party's name so much room.
const NAME_CHARS_MAX: usize = 140;
pub(crate) const NAME_RULE: &str =
    "a name has 1 to 140 characters, at least one of them a letter or digit, and no control characters";

/// Whether a rail could take it as the name of a person or company.
pub(crate) fn is_name(text: &str) -> bool {
    text.chars().count() <= NAME_CHARS_MAX
        && text.chars().any(char::is_alphanumeric)
        && !text.chars().any(char::is_control)
}

/// Text for people, without the blanks around it.
pub(crate) fn text(given: &str, chars_max: usize, at: &'static str) -> Result<String, Problem> {
    let text = given.trim();
    if text.is_empty() || text.chars().count() > chars_max {
        return Err(Problem::new(Code::InvalidField, format!("it has 1 to {chars_max} characters")).at(at));
    }
    Ok(text.to_owned())
}

/// The request's fields, and its content as it was sent, for the record.
pub(crate) struct Body<T> {
    pub(crate) fields: T,
    pub(crate) content: Value,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = media_type.and_then(|text| text.split(';').next()).map(str::trim).unwrap_or_default();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(Code::UnsupportedMediaType, "the body has to be application/json"));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(Code::BodyTooLarge, "a request has at most 64 KiB, a list of corrections 4 MiB")
            }
            _ => Problem::new(Code::InvalidJson, "the body did not arrive whole"),
        })?;
        let invalid = |error: &serde_json::Error| Problem::new(Code::InvalidJson, error.to_string());
        event::json::check(&bytes).map_err(|error| invalid(&error))?;
        let content: Value = serde_json::from_slice(&bytes).map_err(|error| invalid(&error))?;
        let fields = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::new(Code::InvalidField, error.to_string()))?;
        Ok(Self { fields, content })
    }
}
