//! A history whose reader can be held up after it has looked and before it knows.

use async_trait::async_trait;
use delivery::{History, HistoryError};
use event::{RecordedEvent, Seq, StreamName};
use event_store::{Store, StreamSeq};
use tokio::sync::watch;

pub(crate) struct GatedHistory {
    store: Store,
    /// Of the lists of streams, before the look.
    pub(crate) streams: Gate,
    /// Of the pages that are empty, after the look.
    pub(crate) empty_pages: Gate,
}

pub(crate) struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<bool>,
}

impl GatedHistory {
    pub(crate) fn closed(store: Store) -> Self {
        Self { store, streams: Gate::closed(), empty_pages: Gate::closed() }
    }
}

impl Gate {
    fn closed() -> Self {
        Self { open: watch::Sender::new(false), waiting: watch::Sender::new(false) }
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    pub(crate) async fn until_somebody_waits(&self) {
        let patience = testbed::patience();
        let mut waiting = self.waiting.subscribe();
        tokio::time::timeout(patience, waiting.wait_for(|waiting| *waiting)).await.unwrap().unwrap();
    }

    async fn pass(&self) {
        self.waiting.send_replace(true);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

#[async_trait]
impl History for GatedHistory {
    async fn events(
        &self,
        stream: &StreamName,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, HistoryError> {
        let events = self.store.events(stream, after, limit).await?;
        if events.is_empty() {
            self.empty_pages.pass().await;
        }
        Ok(events)
    }

    async fn streams(
        &self,
        category: &str,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Result<Vec<StreamSeq>, HistoryError> {
        self.streams.pass().await;
        History::streams(&self.store, category, after, limit).await
    }
}
