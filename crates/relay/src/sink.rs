//! Where a relay delivers to.

use std::sync::Arc;

use crate::{CommitPosition, Error, InFlight, Row, Ticket};

/// One session's connection to where events go.
pub trait Sink: Send {
    /// Takes an event on, waiting while there is no room for it. For each delivery that this means it tells
    /// [`InFlight::expect`] first, and [`InFlight::acknowledge`] when that one cannot be lost any more.
    fn deliver(
        &mut self,
        row: Row,
        at: CommitPosition,
        ticket: Ticket,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Opens the sink anew for each session, so that no delivery of an earlier one can be acknowledged in it.
pub trait OpenSink: Send + Sync {
    type Sink: Sink;

    fn open(&self, in_flight: Arc<InFlight>) -> impl Future<Output = Result<Self::Sink, Error>> + Send;
}
