//! Every error that the API answers with, in one table: its code, status, title and whether to try again.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

macro_rules! codes {
    ($($variant:ident: $name:literal, $status:literal, $title:literal, $retryable:literal;)*) => {
        /// A stable, documented code. Clients may rely on it; the `detail` is for people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Code, status, title, retryable.
            const fn entry(self) -> (&'static str, u16, &'static str, bool) {
                match self { $(Self::$variant => ($name, $status, $title, $retryable)),* }
            }
        }
    };
}

codes! {
    InvalidJson: "invalid-json", 400, "The body is not JSON that can be kept", false;
    InvalidField: "invalid-field", 422, "A field has a value that it cannot have", false;
    InvalidQuery: "invalid-query", 400, "A query parameter has a value that it cannot have", false;
    ConflictingQuery: "conflicting-query", 422, "The query parameters contradict each other", false;
    UnsupportedMediaType: "unsupported-media-type", 415, "Send application/json", false;
    BodyTooLarge: "body-too-large", 413, "The body is too large", false;
    IdempotencyKeyMissing: "idempotency-key-missing", 400, "Idempotency-Key is missing", false;
    IdempotencyKeyInvalid: "idempotency-key-invalid", 400, "Idempotency-Key is not usable", false;
    IdempotencyKeyReused: "idempotency-key-reused", 422, "The key was used for another request", false;
    ConsistencyTokenInvalid: "consistency-token-invalid", 400, "Consistency-Token is not usable", false;
    ConsistencyTokenUnknown: "consistency-token-unknown", 422, "Nothing like that was written here", false;
    ProjectionBehind: "projection-behind", 503, "The list is behind, try again", true;
    ProjectionParked: "projection-parked", 409, "The list could not take up an event", false;
    RequestRunning: "request-running", 409, "A request with the same key is being answered", true;
    IfMatchInvalid: "if-match-invalid", 400, "If-Match is not usable", false;
    VersionChanged: "version-changed", 412, "It has changed since you have read it", false;
    InsufficientFunds: "insufficient-funds", 422, "The account has not enough money", false;
    WebhookEndpointUnknown: "webhook-endpoint-unknown", 404, "There is no such endpoint", false;
    SecretRotatedLately: "secret-rotated-lately", 409, "The secret was rotated less than a day ago", false;
    WebhooksOff: "webhooks-off", 403, "There are no webhooks here", false;
    CauseUnknown: "cause-unknown", 404, "There is no such event or request", false;
    SearchOff: "search-off", 403, "Events are not found by their words here", false;
    KeyUnknown: "key-unknown", 404, "There is no such key", false;
    CustomerUnknown: "customer-unknown", 404, "There is no such customer", false;
    AccountUnknown: "account-unknown", 404, "There is no such account", false;
    TransferUnknown: "transfer-unknown", 404, "There is no such transfer", false;
    IncomingPaymentUnknown: "incoming-payment-unknown", 404, "There is no such incoming payment", false;
    CardUnknown: "card-unknown", 404, "There is no such card", false;
    CardAuthorisationUnknown: "card-authorisation-unknown", 404, "There is no such payment by card", false;
    CreditLineUnknown: "credit-line-unknown", 404, "There is no such credit line", false;
    OrderUnknown: "order-unknown", 404, "There is no such order", false;
    CreditExceeded: "credit-exceeded", 422, "The credit line does not cover the order", false;
    CaseUnknown: "case-unknown", 404, "There is no such case", false;
    CorrectionUnknown: "correction-unknown", 404, "There is no such correction", false;
    BulkCorrectionUnknown: "bulk-correction-unknown", 404, "There is no such bulk correction", false;
    ParkedGroupUnknown: "parked-group-unknown", 404, "Nothing is parked for this cause", false;
    CountChanged: "count-changed", 409, "There are not as many as were confirmed", false;
    CanaryFirst: "canary-first", 409, "The first items are done and looked at before the rest", false;
    CorrectionRefused: "correction-refused", 422, "It cannot be corrected like that", false;
    CorrectionOverLimit: "correction-over-limit", 422, "So much is not corrected at once", false;
    CorrectionNotNow: "correction-not-now", 409, "The correction is not where that can be done", false;
    PreviewStale: "preview-stale", 409, "It is not as the preview shows any more", false;
    CaseNotNow: "case-not-now", 409, "The case is not where that can be done", false;
    ProjectionUnknown: "projection-unknown", 404, "There is no such projection", false;
    OperationRunning: "operation-running", 409, "Another operation has to end first", true;
    OperationUnknown: "operation-unknown", 404, "There is no such operation", false;
    StreamUnknown: "stream-unknown", 404, "There is no such stream", false;
    SeqUnknown: "seq-unknown", 404, "The stream has no such event", false;
    OwnRequest: "own-request", 403, "Nobody decides about what they have asked for themselves", false;
    TooLateToCancel: "too-late-to-cancel", 409, "It can no longer be cancelled", false;
    NoApprovalAwaited: "no-approval-awaited", 409, "The transfer does not wait for an approval", false;
    NothingToRecall: "nothing-to-recall", 409, "The transfer cannot be recalled", false;
    AlreadyRecalled: "already-recalled", 409, "The transfer has been recalled and is not answered yet", false;
    SelfTransfer: "self-transfer", 422, "An account cannot pay itself", false;
    CurrencyMismatch: "currency-mismatch", 422, "The currencies differ", false;
    AmountNotPositive: "amount-not-positive", 422, "The amount has to be positive", false;
    AmountTooLarge: "amount-too-large", 422, "The amount is too large", false;
    Unauthorized: "unauthorized", 401, "It is not known who asks", false;
    Forbidden: "forbidden", 403, "Your roles do not allow it", false;
    AdministrationClosed: "administration-closed", 403, "Nobody may administer this process over HTTP", false;
    RelayUnknown: "relay-unknown", 404, "This process has no such relay", false;
    RelayRefuses: "relay-refuses", 409, "The relay cannot do that now", false;
    NotFound: "not-found", 404, "There is nothing at this address", false;
    MethodNotAllowed: "method-not-allowed", 405, "This address does not take the method", false;
    TooManyRequests: "too-many-requests", 429, "You ask more often than is allowed", true;
    Busy: "busy", 503, "The account is busy, try again", true;
    Unavailable: "unavailable", 503, "The service cannot answer now, try again", true;
    Internal: "internal", 500, "The service has a fault", true;
}

impl Code {
    pub const fn name(self) -> &'static str {
        self.entry().0
    }

    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.entry().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// For the list of all errors.
    pub(crate) fn describe(self) -> Value {
        let (code, status, title, retryable) = self.entry();
        json!({ "type": format!("/errors/{code}"), "code": code, "status": status, "title": title, "retryable": retryable })
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
