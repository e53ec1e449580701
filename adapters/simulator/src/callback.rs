//! Messages that go to the sender's own address instead of back over the sender's connection.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, redirect};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::error::Error;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Doubles with each attempt, plus up to as much again of jitter.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How often a message is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// What the sender can ask for: five times, some three seconds in all.
    Short,
    /// What nobody would ask for: until it is taken.
    Endless,
}

const SHORT_ATTEMPTS_MAX: u32 = 5;
/// Attempts at once: a storm of returns is not one of connections.
const ATTEMPTS_AT_ONCE_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Callbacks {
    client: Client,
    token: Option<String>,
    places: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Callbacks {
    pub(crate) fn new(token: Option<String>, shutdown: CancellationToken) -> Result<Self, Error> {
        // No proxy and no redirect: the message goes where the sender said, or nowhere.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(ATTEMPT_TIMEOUT)
            .build()?;
        let places = Arc::new(Semaphore::new(ATTEMPTS_AT_ONCE_MAX));
        Ok(Self { client, token, places, shutdown })
    }

    /// At least once: an attempt whose response is lost is made again, each to where the sender is then. True: it was taken. At shutdown the attempt under
    /// way is the last.
    pub(crate) async fn deliver(
        &self,
        address: impl Fn() -> Option<Url>,
        xml: &str,
        patience: Patience,
    ) -> bool {
        for attempt in 1_u32.. {
            let place = self.places.acquire().await;
            let Some(url) = address() else { return false };
            let request = self.client.post(url).header(CONTENT_TYPE, "application/xml");
            let request = self.token.iter().fold(request, RequestBuilder::bearer_auth);
            let response = request.body(xml.to_owned()).send().await;
            drop(place);
            match response.and_then(reqwest::Response::error_for_status) {
                // A redirect is no receipt.
                Ok(response) if response.status().is_success() => return true,
                Ok(response) => tracing::debug!(attempt, status = %response.status(), "callback refused"),
                Err(error) => {
                    let error = error.without_url();
                    tracing::debug!(attempt, %error, "callback failed");
                }
            }
            let is_last = patience == Patience::Short && attempt >= SHORT_ATTEMPTS_MAX;
            if is_last || !self.pause(attempt).await {
                break;
            }
        }
        tracing::warn!("callback given up");
        false
    }

    /// False when the house shuts down.
    async fn pause(&self, attempt: u32) -> bool {
        let backoff = BACKOFF.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(BACKOFF_MAX);
        let jitter = rand::random_range(Duration::ZERO..=backoff);
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            () = tokio::time::sleep(backoff + jitter) => true,
        }
    }
}
