//! Every error that the API answers with, in one table: its code, status, title and whether to try again.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A stable, documented code. Clients may rely on it; the `detail` is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    InvalidJson,
    InvalidField,
    InvalidQuery,
    UnsupportedMediaType,
    BodyTooLarge,
    IdempotencyKeyMissing,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    InsufficientFunds,
    AccountUnknown,
    TransferUnknown,
    IncomingPaymentUnknown,
    CardUnknown,
    CardAuthorisationUnknown,
    CreditLineUnknown,
    OrderUnknown,
    CreditExceeded,
    CaseUnknown,
    StreamUnknown,
    TooLateToCancel,
    NoApprovalAwaited,
    NothingToRecall,
    AlreadyRecalled,
    SelfTransfer,
    CurrencyMismatch,
    AmountNotPositive,
    AmountTooLarge,
    Unauthorized,
    AdministrationClosed,
    RelayUnknown,
    RelayRefuses,
    NotFound,
    MethodNotAllowed,
    Busy,
    Unavailable,
    Internal,
}

impl Code {
    /// Code, status, title, retryable.
    const fn entry(self) -> (&'static str, u16, &'static str, bool) {
        match self {
            Self::InvalidJson => ("invalid-json", 400, "The body is not JSON that can be kept", false),
            Self::InvalidField => ("invalid-field", 422, "A field has a value that it cannot have", false),
            Self::InvalidQuery => {
                ("invalid-query", 400, "A query parameter has a value that it cannot have", false)
            }
            Self::UnsupportedMediaType => ("unsupported-media-type", 415, "Send application/json", false),
            Self::BodyTooLarge => ("body-too-large", 413, "The body is too large", false),
            Self::IdempotencyKeyMissing => {
                ("idempotency-key-missing", 400, "Idempotency-Key is missing", false)
            }
            Self::IdempotencyKeyInvalid => {
                ("idempotency-key-invalid", 400, "Idempotency-Key is not usable", false)
            }
            Self::IdempotencyKeyReused => {
                ("idempotency-key-reused", 422, "The key was used for another request", false)
            }
            Self::InsufficientFunds => ("insufficient-funds", 422, "The account has not enough money", false),
            Self::AccountUnknown => ("account-unknown", 404, "There is no such account", false),
            Self::TransferUnknown => ("transfer-unknown", 404, "There is no such transfer", false),
            Self::IncomingPaymentUnknown => {
                ("incoming-payment-unknown", 404, "There is no such incoming payment", false)
            }
            Self::CardUnknown => ("card-unknown", 404, "There is no such card", false),
            Self::CardAuthorisationUnknown => {
                ("card-authorisation-unknown", 404, "There is no such payment by card", false)
            }
            Self::CreditLineUnknown => ("credit-line-unknown", 404, "There is no such credit line", false),
            Self::OrderUnknown => ("order-unknown", 404, "There is no such order", false),
            Self::CreditExceeded => {
                ("credit-exceeded", 422, "The credit line does not cover the order", false)
            }
            Self::CaseUnknown => ("case-unknown", 404, "There is no such case", false),
            Self::StreamUnknown => ("stream-unknown", 404, "There is no such external stream", false),
            Self::TooLateToCancel => ("too-late-to-cancel", 409, "It can no longer be cancelled", false),
            Self::NoApprovalAwaited => {
                ("no-approval-awaited", 409, "The transfer does not wait for an approval", false)
            }
            Self::NothingToRecall => ("nothing-to-recall", 409, "The transfer cannot be recalled", false),
            Self::AlreadyRecalled => {
                ("already-recalled", 409, "The transfer has been recalled and is not answered yet", false)
            }
            Self::SelfTransfer => ("self-transfer", 422, "An account cannot pay itself", false),
            Self::CurrencyMismatch => ("currency-mismatch", 422, "The currencies differ", false),
            Self::AmountNotPositive => ("amount-not-positive", 422, "The amount has to be positive", false),
            Self::AmountTooLarge => ("amount-too-large", 422, "The amount is too large", false),
            Self::Unauthorized => ("unauthorized", 401, "Send the token of this endpoint", false),
            Self::AdministrationClosed => {
                ("administration-closed", 403, "Nobody may administer this process over HTTP", false)
            }
            Self::RelayUnknown => ("relay-unknown", 404, "This process has no such relay", false),
            Self::RelayRefuses => ("relay-refuses", 409, "The relay cannot do that now", false),
            Self::NotFound => ("not-found", 404, "There is nothing at this address", false),
            Self::MethodNotAllowed => {
                ("method-not-allowed", 405, "This address does not take the method", false)
            }
            Self::Busy => ("busy", 503, "The account is busy, try again", true),
            Self::Unavailable => ("unavailable", 503, "The service cannot answer now, try again", true),
            Self::Internal => ("internal", 500, "The service has a fault", true),
        }
    }

    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.entry().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// An error answer: RFC 9457, with `code` and `retryable`.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    pointer: Option<String>,
    transfer_id: Option<Uuid>,
}

/// How it is written.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_id: Option<Uuid>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: None, transfer_id: None }
    }

    /// The field, as a JSON pointer, that the problem is about.
    #[must_use]
    pub fn at(mut self, pointer: &str) -> Self {
        self.pointer = Some(pointer.to_owned());
        self
    }

    /// The transfer in which the refusal is recorded.
    #[must_use]
    pub fn recorded_in(mut self, transfer_id: Uuid) -> Self {
        self.transfer_id = Some(transfer_id);
        self
    }

    pub fn status(&self) -> StatusCode {
        self.code.status()
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (code, status, title, retryable) = self.code.entry();
        let document = Document {
            r#type: format!("/errors/{code}"),
            title,
            status,
            code,
            detail: &self.detail,
            retryable,
            pointer: self.pointer.as_deref(),
            transfer_id: self.transfer_id,
        };
        document.serialize(serializer)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code.entry().3 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<event_store::Error> for Problem {
    /// Nothing internal leaves the process: the log has it.
    fn from(error: event_store::Error) -> Self {
        match error {
            event_store::Error::Conflict => {
                Self::new(Code::Busy, "too many requests change the same account")
            }
            error if error.is_transient() => {
                tracing::warn!(%error, "request not answered");
                Self::new(Code::Unavailable, "the database cannot be reached")
            }
            error => {
                tracing::error!(%error, "request failed");
                Self::new(Code::Internal, "the fault has been logged")
            }
        }
    }
}
