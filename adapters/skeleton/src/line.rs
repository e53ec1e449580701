//! How the rail is spoken to. Replace it by the rail's own protocol; what a call can come to stays.

use std::time::Duration;

use contract::payment::PaymentSubmitted;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::json;

#[derive(Clone)]
pub struct Line {
    payments_url: String,
    client: reqwest::Client,
    timeout: Duration,
}

/// What a call came to, and the answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub enum CallOutcome {
    Settled {
        at: Timestamp,
        message: String,
    },
    /// Nobody was paid. The code is ISO 20022's `ExternalStatusReason1Code`.
    Rejected {
        reason_code: String,
        message: String,
    },
    /// The rail has provably not taken it.
    NotSent {
        reason: String,
    },
    /// It may have been taken.
    Unknown {
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Decision {
    Settled { at: Timestamp },
    Rejected { reason_code: String },
}

impl Line {
    pub fn new(base_url: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().connect_timeout(timeout).redirect(Policy::none()).build()?;
        Ok(Self { payments_url: format!("{}/payments", base_url.trim_end_matches('/')), client, timeout })
    }

    pub async fn send(&self, message: String) -> CallOutcome {
        let request = self.client.post(&self.payments_url).timeout(self.timeout);
        match request.header(CONTENT_TYPE, "application/json").body(message).send().await {
            Ok(response) => read(response).await,
            Err(error) if error.is_connect() => CallOutcome::NotSent { reason: error.to_string() },
            Err(error) => CallOutcome::Unknown { reason: error.to_string() },
        }
    }
}

/// The message that pays; amounts in minor units, as text. The UETR is the same for each attempt: the rail takes it once.
pub(crate) fn order(payment: &PaymentSubmitted) -> String {
    json!({
        "uetr": payment.uetr,
        "end_to_end_id": payment.end_to_end_id,
        "amount": payment.amount.minor().to_string(),
        "currency": payment.amount.currency().code(),
        "creditor_iban": payment.creditor.iban.expose(),
        "creditor_name": payment.creditor.name.expose(),
    })
    .to_string()
}

async fn read(response: reqwest::Response) -> CallOutcome {
    let status = response.status();
    let reason = format!("the rail answered {status}");
    match status {
        StatusCode::OK => match response.text().await {
            Ok(message) => decided(message),
            Err(error) => CallOutcome::Unknown { reason: error.to_string() },
        },
        // It says that it has not looked at the payment.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => CallOutcome::NotSent { reason },
        // Also what somebody between us and the rail would say.
        _ => CallOutcome::Unknown { reason },
    }
}

fn decided(message: String) -> CallOutcome {
    match serde_json::from_str(&message) {
        Ok(Decision::Settled { at }) => CallOutcome::Settled { at, message },
        Ok(Decision::Rejected { reason_code }) => CallOutcome::Rejected { reason_code, message },
        Err(error) => CallOutcome::Unknown { reason: error.to_string() },
    }
}
