//! A JSON object from outside, read member by member so that every refusal names its field.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// A body that has not arrived by then is a client that stalls, and it holds a connection.
const BODY_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Members are taken out one by one; `finish` refuses what nobody asked for, so that a misspelt optional
/// member is an error and not a silent default. `null` counts as absent.
#[derive(Debug)]
pub(crate) struct Input {
    members: Map<String, Value>,
}

impl Input {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(members)) => Ok(Self { members }),
            Ok(_) => Err(malformed("the body is not a JSON object".to_owned())),
            Err(error) => Err(malformed(format!("the body is not JSON: {error}"))),
        }
    }

    /// A text without control characters whose length in characters is within `chars`.
    pub(crate) fn text(&mut self, name: &str, chars: RangeInclusive<usize>) -> Result<String, Problem> {
        self.optional_text(name, chars)?.ok_or_else(|| self.invalid(name, "is missing"))
    }

    pub(crate) fn optional_text(
        &mut self,
        name: &str,
        chars: RangeInclusive<usize>,
    ) -> Result<Option<String>, Problem> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(self.invalid(name, "is not a string")),
        };
        if text.chars().any(char::is_control) {
            return Err(self.invalid(name, "holds a control character"));
        }
        if !chars.contains(&text.chars().count()) {
            let (low, high) = chars.into_inner();
            return Err(self.invalid(name, format!("is not {low} to {high} characters long")));
        }
        Ok(Some(text))
    }

    pub(crate) fn optional_number(
        &mut self,
        name: &str,
        within: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| within.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (low, high) = within.into_inner();
                Err(self.invalid(name, format!("is not a whole number from {low} to {high}")))
            }
        }
    }

    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.members.keys().next() {
            Some(name) => Err(self.invalid(name, "is not known here")),
            None => Ok(()),
        }
    }

    pub(crate) fn invalid(&self, name: &str, fault: impl AsRef<str>) -> Problem {
        Problem::invalid_field(name, format!("{name} {}", fault.as_ref()))
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }
}

impl<S: Send + Sync> FromRequest<S> for Input {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Self::parse(&read_body(request, state).await?)
    }
}

pub(crate) async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_READ_TIMEOUT, Bytes::from_request(request, state));
    match read.await {
        Ok(read) => read.map_err(|rejection| unreadable(&rejection)),
        Err(_elapsed) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "the body did not arrive in time"))
        }
    }
}

fn malformed(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed-json", detail)
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "the body is larger than this house reads",
        ),
        _ => Problem::new(StatusCode::BAD_REQUEST, "unreadable-body", "the body could not be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::Input;

    #[test]
    fn members_nobody_asked_for_are_refused() {
        let input = Input::parse(br#"{"remitance":"rent"}"#).unwrap();
        assert_eq!(input.finish().unwrap_err().field(), Some("remitance"));
    }

    #[test]
    fn control_characters_and_lengths_are_checked() {
        let mut input = Input::parse("{\"a\":\"x\\u0000\",\"b\":\"øøø\",\"c\":\"\"}".as_bytes()).unwrap();
        assert_eq!(input.text("a", 1..=9).unwrap_err().field(), Some("a"));
        assert_eq!(input.text("b", 1..=3).unwrap(), "øøø");
        assert_eq!(input.text("c", 1..=3).unwrap_err().field(), Some("c"));
    }

    #[test]
    fn numbers_out_of_range_negative_or_broken_are_refused() {
        for text in ["0", "11", "-1", "1.5", "\"3\"", "4294967297"] {
            let mut input = Input::parse(format!("{{\"n\":{text}}}").as_bytes()).unwrap();
            assert!(input.optional_number("n", 1..=10).is_err(), "{text}");
        }
    }
}
