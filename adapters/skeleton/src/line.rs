//! How the rail is spoken to. Replace it by the rail's own protocol; what a call can come to stays.

use std::time::Duration;

use contract::payment::PaymentSubmitted;
use jiff::Timestamp;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

#[derive(Clone)]
pub struct Line {
    payments_url: String,
    client: reqwest::Client,
    timeout: Duration,
}

/// What a call came to.
#[derive(Debug, PartialEq, Eq)]
pub enum CallOutcome {
    Settled {
        at: Timestamp,
    },
    /// Nobody was paid. The code is ISO 20022's `ExternalStatusReason1Code`.
    Rejected {
        reason_code: String,
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

/// Amounts are in minor units, as text.
#[derive(Serialize)]
struct Order<'a> {
    uetr: String,
    end_to_end_id: &'a str,
    amount: String,
    currency: &'a str,
    creditor_iban: &'a str,
    creditor_name: &'a str,
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Decision {
    Settled { at: Timestamp },
    Rejected { reason_code: String },
}

impl Line {
    pub fn new(base_url: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().connect_timeout(timeout).build()?;
        Ok(Self { payments_url: format!("{}/payments", base_url.trim_end_matches('/')), client, timeout })
    }

    /// The UETR is the same for each attempt: the rail takes it once.
    pub async fn pay(&self, payment: &PaymentSubmitted) -> CallOutcome {
        let order = Order {
            uetr: payment.uetr.to_string(),
            end_to_end_id: &payment.end_to_end_id,
            amount: payment.amount.minor().to_string(),
            currency: payment.amount.currency().code(),
            creditor_iban: payment.creditor.iban.expose().as_str(),
            creditor_name: payment.creditor.name.expose(),
        };
        let request = self.client.post(&self.payments_url).timeout(self.timeout).json(&order);
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) if error.is_connect() => CallOutcome::NotSent { reason: error.to_string() },
            Err(error) => CallOutcome::Unknown { reason: error.to_string() },
        }
    }
}

async fn read(response: reqwest::Response) -> CallOutcome {
    let status = response.status();
    let reason = format!("the rail answered {status}");
    match status {
        StatusCode::OK => match response.json().await {
            Ok(Decision::Settled { at }) => CallOutcome::Settled { at },
            Ok(Decision::Rejected { reason_code }) => CallOutcome::Rejected { reason_code },
            Err(error) => CallOutcome::Unknown { reason: error.to_string() },
        },
        // It says that it has not looked at the payment.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => CallOutcome::NotSent { reason },
        // Also what somebody between us and the rail would say.
        _ => CallOutcome::Unknown { reason },
    }
}
