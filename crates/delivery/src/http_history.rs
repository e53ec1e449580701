//! The history of a service in another process, over its external-stream read API.
//!
//! ```text
//! GET {base}/v1/external/{contract}/{version}/streams?after={id}&limit=N            → StreamPage
//! GET {base}/v1/external/{contract}/{version}/streams/{id}/events?after={seq}&limit=N → EventPage
//! ```

use std::time::Duration;

use async_trait::async_trait;
use event::{RecordedEvent, Seq, StreamName};
use event_store::StreamSeq;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::history::unreadable;
use crate::{History, HistoryError};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Some events of one external stream, in order.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventPage {
    pub events: Vec<RecordedEvent>,
}

/// Some external streams of one contract, by name.
#[derive(Debug, Serialize, Deserialize)]
pub struct StreamPage {
    pub streams: Vec<StreamPosition>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct StreamPosition {
    pub stream: StreamName,
    pub last_seq: Seq,
}

pub struct HttpHistory {
    base_url: String,
    /// What its owner wants to see; empty: nothing.
    token: String,
    client: reqwest::Client,
}

impl HttpHistory {
    pub fn new(base_url: &str, token: &str) -> Self {
        let (base_url, token) = (base_url.trim_end_matches('/').to_owned(), token.to_owned());
        Self { base_url, token, client: reqwest::Client::new() }
    }

    fn contract_url(&self, category: &str) -> Result<String, HistoryError> {
        let (contract, version) = category
            .rsplit_once('.')
            .ok_or_else(|| unreadable(category, &"services meet only in external streams"))?;
        Ok(format!("{}/v1/external/{contract}/{version}/streams", self.base_url))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        url: String,
        query: &[(&str, String)],
    ) -> Result<T, HistoryError> {
        let request = self.client.get(&url).query(query).timeout(TIMEOUT);
        let request = if self.token.is_empty() { request } else { request.bearer_auth(&self.token) };
        let answer = async { request.send().await?.error_for_status()?.json().await };
        answer.await.map_err(|error: reqwest::Error| unreadable(url, &error))
    }
}

#[async_trait]
impl History for HttpHistory {
    async fn events(
        &self,
        stream: &StreamName,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, HistoryError> {
        let url = format!("{}/{}/events", self.contract_url(stream.category())?, stream.id());
        let query = [("after", after.to_string()), ("limit", limit.to_string())];
        Ok(self.get::<EventPage>(url, &query).await?.events)
    }

    async fn streams(
        &self,
        category: &str,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Result<Vec<StreamSeq>, HistoryError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(after.map(|stream| ("after", stream.id().to_owned())));
        let page: StreamPage = self.get(self.contract_url(category)?, &query).await?;
        let position = |at: StreamPosition| StreamSeq { stream: at.stream, seq: at.last_seq };
        Ok(page.streams.into_iter().map(position).collect())
    }
}
