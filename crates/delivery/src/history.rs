//! Where a gap is refilled from, and where a handler that is new or behind reads.

use event::{Category, RecordedEvent, Seq, StreamName};
use event_store::{Store, StreamSeq};
use futures::future::BoxFuture;

use crate::HistoryError;

/// The events of one service that a handler may read.
pub trait History: Send + Sync {
    /// The events of a stream after `after`, in order, at most `limit`.
    fn events<'a>(
        &'a self,
        stream: &'a StreamName,
        after: Seq,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RecordedEvent>, HistoryError>>;

    /// The streams of a category after `after` by name, each with its last seq, at most `limit`.
    fn streams<'a>(
        &'a self,
        category: &'a str,
        after: Option<&'a StreamName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StreamSeq>, HistoryError>>;
}

/// A service reads its own store.
impl History for Store {
    fn events<'a>(
        &'a self,
        stream: &'a StreamName,
        after: Seq,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RecordedEvent>, HistoryError>> {
        Box::pin(
            async move { self.read(stream, after, limit).await.map_err(|error| unreadable(stream, &error)) },
        )
    }

    fn streams<'a>(
        &'a self,
        category: &'a str,
        after: Option<&'a StreamName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StreamSeq>, HistoryError>> {
        Box::pin(async move {
            Store::streams(self, category, after, limit).await.map_err(|error| unreadable(category, &error))
        })
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

impl History for ExternalStreams {
    fn events<'a>(
        &'a self,
        stream: &'a StreamName,
        after: Seq,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RecordedEvent>, HistoryError>> {
        Box::pin(async move {
            Self::allow(stream.category())?;
            self.0.events(stream, after, limit).await
        })
    }

    fn streams<'a>(
        &'a self,
        category: &'a str,
        after: Option<&'a StreamName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StreamSeq>, HistoryError>> {
        Box::pin(async move {
            Self::allow(category)?;
            History::streams(&self.0, category, after, limit).await
        })
    }
}

pub(crate) fn unreadable(what: impl std::fmt::Display, reason: &dyn std::fmt::Display) -> HistoryError {
    HistoryError { what: what.to_string(), reason: reason.to_string() }
}
