//! Where a gap is refilled from, and where a handler that is new or behind reads.

use async_trait::async_trait;
use event::{Category, RecordedEvent, Seq, StreamName};
use event_store::{Store, StreamSeq};

use crate::HistoryError;

/// The events of one service that a handler may read.
#[async_trait]
pub trait History: Send + Sync {
    /// The events of a stream after `after`, in order, at most `limit`.
    async fn events(
        &self,
        stream: &StreamName,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, HistoryError>;

    /// The streams of a category after `after` by name, each with its last seq, at most `limit`.
    async fn streams(
        &self,
        category: &str,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Result<Vec<StreamSeq>, HistoryError>;
}

/// A service reads its own store.
#[async_trait]
impl History for Store {
    async fn events(
        &self,
        stream: &StreamName,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, HistoryError> {
        self.read(stream, after, limit).await.map_err(|error| unreadable(stream, &error))
    }

    async fn streams(
        &self,
        category: &str,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Result<Vec<StreamSeq>, HistoryError> {
        Store::streams(self, category, after, limit).await.map_err(|error| unreadable(category, &error))
    }
}

/// What another service may see of a store in the same process: external streams and nothing else.
pub struct ExternalStreams(pub Store);

impl ExternalStreams {
    fn allow(category: &str) -> Result<(), HistoryError> {
        match category.parse::<Category>() {
            Ok(category) if category.is_external() => Ok(()),
            _ => Err(unreadable(category, &"services meet only in external streams")),
        }
    }
}

#[async_trait]
impl History for ExternalStreams {
    async fn events(
        &self,
        stream: &StreamName,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, HistoryError> {
        Self::allow(stream.category())?;
        self.0.events(stream, after, limit).await
    }

    async fn streams(
        &self,
        category: &str,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Result<Vec<StreamSeq>, HistoryError> {
        Self::allow(category)?;
        History::streams(&self.0, category, after, limit).await
    }
}

pub(crate) fn unreadable(what: impl std::fmt::Display, reason: &dyn std::fmt::Display) -> HistoryError {
    HistoryError { what: what.to_string(), reason: reason.to_string() }
}
