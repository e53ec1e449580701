//! The clearing house over HTTP: a message out, an answer or none.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;

use crate::rail::Sent;

/// Where the house reaches this bank, beyond answers.
const REPLY_TO: &str = "reply-to";

#[derive(Clone)]
pub struct ClearingHouse {
    messages_url: String,
    reply_to: String,
    token: String,
    client: reqwest::Client,
    timeout: Duration,
}

/// What a call came to.
#[derive(Debug)]
pub enum CallOutcome {
    /// By a message, as it came.
    Answered(Vec<u8>),
    /// Taken; what follows comes by itself.
    Taken,
    /// The house has provably not taken it.
    NotSent { reason: String },
    /// The house has refused the message itself: this one was not taken, and sending it again cannot help.
    Refused { reason: String },
    /// It may have been taken; an answer may still come.
    Unknown { reason: String },
}

impl ClearingHouse {
    /// The adapter's own address is where the house can deliver what is no answer, or one whose connection has gone.
    /// The token is what the house wants to see; empty: nothing.
    pub fn new(
        base_url: &str,
        own_url: &str,
        token: &str,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            messages_url: format!("{}/iso20022", base_url.trim_end_matches('/')),
            reply_to: format!("{}/iso20022", own_url.trim_end_matches('/')),
            token: token.to_owned(),
            client: reqwest::Client::builder().connect_timeout(timeout).redirect(Policy::none()).build()?,
            timeout,
        })
    }

    pub async fn send(&self, message: &Sent) -> CallOutcome {
        let request = self.client.post(&self.messages_url).timeout(self.timeout);
        let request = request.header(CONTENT_TYPE, "application/xml").header(REPLY_TO, &self.reply_to);
        let request = if self.token.is_empty() { request } else { request.bearer_auth(&self.token) };
        match request.body(message.xml.expose().clone()).send().await {
            Ok(response) => read(response).await,
            Err(error) if error.is_connect() => CallOutcome::NotSent { reason: error.to_string() },
            Err(error) => CallOutcome::Unknown { reason: error.to_string() },
        }
    }
}

async fn read(response: reqwest::Response) -> CallOutcome {
    let status = response.status();
    let reason = format!("the house answered {status}");
    match status {
        StatusCode::OK => match response.bytes().await {
            Ok(bytes) => CallOutcome::Answered(bytes.to_vec()),
            Err(error) => CallOutcome::Unknown { reason: error.to_string() },
        },
        StatusCode::ACCEPTED => CallOutcome::Taken,
        // The house says that it has not looked at the message.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => CallOutcome::NotSent { reason },
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => CallOutcome::Refused { reason },
        // Also what somebody between us and the house would say.
        _ => CallOutcome::Unknown { reason },
    }
}
