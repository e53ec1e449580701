//! Where a relay delivers to.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::reader::Reader;
use crate::{CapturedTable, CommitPosition, Error, Held, InFlight, Origin, Retained, SinkAccount, Ticket};

/// One session's connection to where events or changes go.
pub trait Sink: Send {
    type Item;

    /// Takes one on, waiting while there is no room for it. For each delivery that this means it tells
    /// [`InFlight::expect`] first, and [`InFlight::acknowledge`] when that one cannot be lost any more.
    fn deliver(
        &mut self,
        item: Self::Item,
        at: CommitPosition,
        ticket: Ticket,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Sends what waits: called when all that has arrived was delivered.
    fn flush(&mut self) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Opens the sink anew for each session, so that no delivery of an earlier one can be acknowledged in it.
pub trait OpenSink: Send + Sync {
    type Sink: Sink<Item = <Self::Reader as Reader>::Item>;
    type Reader: Reader;

    /// For a session's messages; `captured` are the tables of a capture, as the catalog has them.
    fn reader(&self, captured: &[CapturedTable]) -> Self::Reader;

    /// `since_epoch`: what the sink's records of earlier epochs say of their place in the log is not to be relied on.
    fn open(
        &self,
        in_flight: Arc<InFlight>,
        origin: Origin,
        since_epoch: i64,
    ) -> impl Future<Output = Result<Self::Sink, Error>> + Send;

    /// What the sink holds, as far as it can tell; asked before each session and now and then during one.
    fn account(&self) -> impl Future<Output = Result<SinkAccount, Error>> + Send {
        std::future::ready(Ok(SinkAccount::default()))
    }

    /// Tells what it holds of each stream, in chunks, while nobody delivers to it.
    fn holdings(
        &self,
        told: mpsc::Sender<Vec<Held>>,
    ) -> impl Future<Output = Result<Retained, Error>> + Send {
        drop(told);
        std::future::ready(Ok(Retained::Nothing))
    }

    /// Has those who are behind the sink read the events by themselves, from wherever each of them is; durable when it
    /// returns true. False: they cannot.
    fn refill_from_history(&self) -> impl Future<Output = Result<bool, Error>> + Send {
        std::future::ready(Ok(false))
    }
}
