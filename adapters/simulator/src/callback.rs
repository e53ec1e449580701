//! Answers that go to the sender's callback URL instead of back over the sender's connection.

use std::time::Duration;

use reqwest::{Client, Url, redirect};
use tokio_util::sync::CancellationToken;

use crate::decision::Decision;
use crate::error::Error;

const ATTEMPTS_MAX: u32 = 5;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Doubles with each attempt, plus up to as much again of jitter: some three seconds in all.
const BACKOFF: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(crate) struct Callbacks {
    client: Client,
    shutdown: CancellationToken,
}

impl Callbacks {
    pub(crate) fn new(shutdown: CancellationToken) -> Result<Self, Error> {
        // No proxy and no redirect: the answer goes where the sender said, or nowhere.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(ATTEMPT_TIMEOUT)
            .build()?;
        Ok(Self { client, shutdown })
    }

    /// At least once: an attempt whose response is lost is made again. Gives up after `ATTEMPTS_MAX`; at
    /// shutdown the attempt under way is the last.
    pub(crate) async fn deliver(&self, url: &Url, decision: &Decision) {
        for attempt in 1..=ATTEMPTS_MAX {
            let response = self.client.post(url.clone()).json(decision).send().await;
            match response.and_then(reqwest::Response::error_for_status) {
                // A redirect is no receipt.
                Ok(response) if response.status().is_success() => return,
                Ok(response) => {
                    tracing::debug!(uetr = %decision.uetr, attempt, status = %response.status(), "callback refused");
                }
                Err(error) => {
                    let error = error.without_url();
                    tracing::debug!(uetr = %decision.uetr, attempt, %error, "callback failed");
                }
            }
            if attempt == ATTEMPTS_MAX || !self.pause(attempt).await {
                break;
            }
        }
        tracing::warn!(uetr = %decision.uetr, "callback given up");
    }

    /// False when the house shuts down.
    async fn pause(&self, attempt: u32) -> bool {
        let backoff = BACKOFF * 2_u32.pow(attempt - 1);
        let jitter = rand::random_range(Duration::ZERO..=backoff);
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            () = tokio::time::sleep(backoff + jitter) => true,
        }
    }
}
