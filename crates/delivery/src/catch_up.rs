//! Reading the history: to fill a gap, for a handler that is new or behind, and to retry a parked event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use event::{RecordedEvent, Seq, StreamName};
use event_store::StreamSeq;
use futures::future::try_join_all;

use crate::backoff::{conflict_pause, pause};
use crate::cursor::Place;
use crate::engine::{Engine, Parked};
use crate::history::unreadable;
use crate::{HistoryError, Stopped, parked};

const EVENTS_A_PAGE: u32 = 200;
const STREAMS_A_PAGE: u32 = 500;
const READS_AT_ONCE: usize = 4;
/// Events whose effects share a transaction, and what is left of a page.
const BATCH_EVENTS: usize = 200;
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

impl Engine {
    /// Delivers what the handler has missed of one stream.
    pub(crate) async fn catch_up_stream(&self, stream: &StreamName) -> Result<(), Stopped> {
        let mut before = None;
        loop {
            let place = self.place(stream).await?;
            if before == Some(place.seq) {
                return Ok(());
            }
            let events = self.page(stream, place.seq).await?;
            if events.is_empty() {
                return Ok(());
            }
            before = Some(place.seq);
            // Where the stream waits at a parked event, this notes that these wait too: a retry that has just read the
            // history to its end would else end the wait without them.
            self.settle(&events, Parked::Waits).await?;
        }
    }

    /// Delivers what the handler has missed of every stream that existed when this began.
    pub(crate) async fn catch_up(&self) -> Result<(), Stopped> {
        for category in self.handler.subscription().categories {
            let mut after: Option<StreamName> = None;
            loop {
                let page =
                    self.insist(|| self.history.streams(category, after.as_ref(), STREAMS_A_PAGE)).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.stream.clone());
                self.catch_up_to(&page).await?;
            }
        }
        Ok(())
    }

    /// The same for these streams, to these ends: what is short of many streams at once, what is long stream by stream.
    async fn catch_up_to(&self, ends: &[StreamSeq]) -> Result<(), Stopped> {
        let asked: Vec<(&StreamName, Seq)> = ends.iter().map(|at| (&at.stream, at.seq)).collect();
        let places = self.places_now(&asked).await?;
        let place = |stream: &StreamName| places.get(stream.as_str()).copied().unwrap_or_default().seq;
        let missed: Vec<(StreamName, Seq)> = ends
            .iter()
            .filter(|at| place(&at.stream) < at.seq)
            .map(|at| (at.stream.clone(), place(&at.stream)))
            .collect();
        let mut batch = Vec::new();
        for some in missed.chunks(READS_AT_ONCE) {
            // All of them before anything is settled: one that is not waited for keeps its connection meanwhile.
            let pages = some.iter().map(|(stream, after)| self.page(stream, *after));
            batch.extend(try_join_all(pages).await?.into_iter().flatten());
            if batch.len() >= BATCH_EVENTS {
                self.settle(&batch, Parked::Waits).await?;
                batch.clear();
            }
        }
        self.settle(&batch, Parked::Waits).await?;
        for at in ends {
            if at.seq.get() - place(&at.stream).get() > i64::from(EVENTS_A_PAGE) {
                self.catch_up_stream(&at.stream).await?;
            }
        }
        Ok(())
    }

    /// Sees to it that the handler gets to an event that is known to be committed: reads it from the history as soon as it
    /// can be read there. Behind a parked event it waits, which catching up notes.
    pub(crate) async fn reach(&self, stream: &StreamName, seq: Seq) -> Result<(), Stopped> {
        let mut looks = 0;
        loop {
            let readable = self.insist(|| self.history.events(stream, before(seq), 1)).await?;
            if !readable.is_empty() {
                return self.catch_up_stream(stream).await;
            }
            looks += 1;
            self.wait(conflict_pause(looks)).await?;
        }
    }

    /// Retries parked events when their time comes, until shutdown.
    pub(crate) async fn retry_parked(&self) -> Result<(), Stopped> {
        while !self.handler.is_volatile() {
            self.wait(RETRY_INTERVAL).await?;
            match parked::claim_due(self.store.pool(), self.identity()).await {
                Ok(streams) => {
                    for stream in streams {
                        self.retry_stream(&stream).await?;
                    }
                }
                Err(error) => {
                    tracing::warn!(handler = self.handler.name(), %error, "retries wait for the database");
                }
            }
        }
        Ok(())
    }

    /// Goes on from the parked event until nothing waits behind it, or until one fails again.
    async fn retry_stream(&self, stream: &StreamName) -> Result<(), Stopped> {
        let mut before = None;
        loop {
            let place = self.place(stream).await?;
            if !place.parked || before == Some(place.seq) {
                return Ok(());
            }
            let events = self.page(stream, place.seq).await?;
            if events.is_empty() {
                match parked::unpark(self.store.pool(), self.identity(), stream, place.seq).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => tracing::debug!(%stream, "more has come to wait"),
                    Err(error) => tracing::warn!(%stream, %error, "cannot end the wait yet"),
                }
                self.wait(pause(1)).await?;
                before = None;
                continue;
            }
            before = Some(place.seq);
            for event in &events {
                let reached = self.place(stream).await?.seq;
                if event.seq == reached.next() {
                    self.settle(std::slice::from_ref(event), Parked::IsRetried).await?;
                }
            }
        }
    }

    async fn page(&self, stream: &StreamName, after: Seq) -> Result<Vec<Arc<RecordedEvent>>, Stopped> {
        let events = self.insist(|| self.history.events(stream, after, EVENTS_A_PAGE)).await?;
        Ok(events.into_iter().map(Arc::new).collect())
    }

    async fn place(&self, stream: &StreamName) -> Result<Place, Stopped> {
        let places = self.places_now(&[(stream, Seq::ZERO)]).await?;
        Ok(places.get(stream.as_str()).copied().unwrap_or_default())
    }

    async fn places_now(&self, asked: &[(&StreamName, Seq)]) -> Result<HashMap<String, Place>, Stopped> {
        self.insist(async || self.look(asked).await.map_err(|error| unreadable("the cursors", &error))).await
    }

    /// Repeats a read until it succeeds.
    async fn insist<T, F: Future<Output = Result<T, HistoryError>>>(
        &self,
        mut read: impl FnMut() -> F,
    ) -> Result<T, Stopped> {
        let mut hiccups = 0;
        loop {
            match read().await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    hiccups += 1;
                    tracing::warn!(handler = self.handler.name(), %error, "catching up waits");
                    self.wait(pause(hiccups)).await?;
                }
            }
        }
    }
}

fn before(seq: Seq) -> Seq {
    Seq::new(seq.get() - 1)
}
