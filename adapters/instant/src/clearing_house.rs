//! The clearing house's protocol, HTTP and JSON, as this adapter speaks it.

use std::time::Duration;

use contract::payment::{Party, PaymentSubmitted};
use jiff::Timestamp;
use money::Money;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Answer;

#[derive(Clone)]
pub struct ClearingHouse {
    payments_url: String,
    callback_base_url: String,
    client: reqwest::Client,
    timeout: Duration,
}

/// What a call came to.
#[derive(Debug)]
pub enum CallOutcome {
    Answered(Answer),
    /// The house has provably not taken it.
    NotSent {
        reason: String,
    },
    /// The house has refused the message itself: this one was not taken, and sending it again cannot help.
    Refused {
        reason: String,
    },
    /// It may have been taken; an answer may still come.
    Unknown {
        reason: String,
    },
}

#[derive(Serialize)]
struct PaymentMessage<'a> {
    uetr: Uuid,
    end_to_end_id: &'a str,
    amount: Money,
    debtor: &'a Party,
    creditor: &'a Party,
    #[serde(skip_serializing_if = "Option::is_none")]
    remittance: Option<&'a str>,
    callback_url: String,
}

/// The house's answer, on the connection or by callback.
#[derive(Debug, Deserialize)]
pub(crate) struct AnswerMessage {
    pub(crate) uetr: Uuid,
    status: String,
    #[serde(default)]
    reason_code: Option<String>,
    #[serde(default)]
    settled_at: Option<Timestamp>,
}

impl AnswerMessage {
    pub(crate) fn into_answer(self) -> Result<Answer, String> {
        match (self.status.as_str(), self.settled_at) {
            ("ACSC", Some(settled_at)) => Ok(Answer::Settled { settled_at }),
            ("RJCT", _) => {
                Ok(Answer::Rejected { reason_code: self.reason_code.unwrap_or_else(|| "NARR".to_owned()) })
            }
            (status, _) => Err(format!("the status {status} is not a final answer")),
        }
    }
}

impl ClearingHouse {
    /// The adapter's own address is where the house can deliver an answer whose connection has gone.
    pub fn new(base_url: &str, callback_base_url: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self {
            payments_url: format!("{}/payments", base_url.trim_end_matches('/')),
            callback_base_url: callback_base_url.trim_end_matches('/').to_owned(),
            client: reqwest::Client::builder().connect_timeout(timeout).build()?,
            timeout,
        })
    }

    pub async fn pay(&self, payment: &PaymentSubmitted) -> CallOutcome {
        let message = PaymentMessage {
            uetr: payment.uetr,
            end_to_end_id: &payment.end_to_end_id,
            amount: payment.amount,
            debtor: &payment.debtor,
            creditor: &payment.creditor,
            remittance: payment.remittance.as_ref().map(|text| text.expose().as_str()),
            callback_url: format!("{}/answers/{}", self.callback_base_url, payment.payment_id),
        };
        let request = self.client.post(&self.payments_url).json(&message).timeout(self.timeout);
        match request.send().await {
            Ok(response) => read(response, payment.uetr).await,
            Err(error) if error.is_connect() => CallOutcome::NotSent { reason: error.to_string() },
            Err(error) => CallOutcome::Unknown { reason: error.to_string() },
        }
    }

    /// Asks what became of a payment that was sent.
    pub async fn enquire(&self, uetr: Uuid) -> EnquiryOutcome {
        let request = self.client.get(format!("{}/{uetr}", self.payments_url)).timeout(self.timeout);
        match request.send().await {
            Ok(response) if response.status() == StatusCode::NOT_FOUND => EnquiryOutcome::NotFound,
            Ok(response) => read(response, uetr).await.into(),
            Err(error) => EnquiryOutcome::Unanswered { reason: error.to_string() },
        }
    }
}

/// What an enquiry came to.
#[derive(Debug)]
pub enum EnquiryOutcome {
    Answered(Answer),
    /// The house has never taken the payment.
    NotFound,
    Unanswered {
        reason: String,
    },
}

impl From<CallOutcome> for EnquiryOutcome {
    fn from(outcome: CallOutcome) -> Self {
        match outcome {
            CallOutcome::Answered(answer) => Self::Answered(answer),
            CallOutcome::NotSent { reason }
            | CallOutcome::Refused { reason }
            | CallOutcome::Unknown { reason } => Self::Unanswered { reason },
        }
    }
}

async fn read(response: reqwest::Response, uetr: Uuid) -> CallOutcome {
    let status = response.status();
    match status.as_u16() {
        200 => match response.json::<AnswerMessage>().await {
            Ok(message) if message.uetr == uetr => message
                .into_answer()
                .map_or_else(|reason| CallOutcome::Unknown { reason }, CallOutcome::Answered),
            Ok(_) => CallOutcome::Unknown { reason: "the answer is about another payment".to_owned() },
            Err(error) => CallOutcome::Unknown { reason: error.to_string() },
        },
        // The house says that it has not looked at the payment.
        429 | 503 => CallOutcome::NotSent { reason: format!("the house answered {status}") },
        400 | 413 | 415 | 422 => CallOutcome::Refused { reason: format!("the house answered {status}") },
        _ => CallOutcome::Unknown { reason: format!("the house answered {status}") },
    }
}
