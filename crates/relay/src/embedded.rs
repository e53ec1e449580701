//! The embedded sink: hands events to the handlers of this process, without a broker.

use std::sync::Arc;

use async_trait::async_trait;
use event::RecordedEvent;

use crate::{
    CapturedTable, CommitPosition, Error, EventReader, InFlight, OpenSink, Origin, Row, Sink, Ticket,
};

/// Called when a handler is done with an event; dropped uncalled, the event is never confirmed.
pub type Settle = Box<dyn FnOnce() + Send>;

/// One handler's way in.
#[async_trait]
pub trait Outlet: Send + Sync {
    fn wants(&self, category: &str) -> bool;

    /// Takes the event on without waiting for the handler.
    async fn offer(&self, event: &Arc<RecordedEvent>, settle: Settle) -> Result<(), Error>;
}

pub struct OpenEmbedded {
    pub outlets: Arc<[Box<dyn Outlet>]>,
}

impl OpenSink for OpenEmbedded {
    type Sink = EmbeddedSink;
    type Reader = EventReader;

    fn reader(&self, _: &[CapturedTable]) -> EventReader {
        EventReader::default()
    }

    fn open(
        &self,
        in_flight: Arc<InFlight>,
        _: Origin,
        _: i64,
    ) -> impl Future<Output = Result<EmbeddedSink, Error>> + Send {
        std::future::ready(Ok(EmbeddedSink { outlets: Arc::clone(&self.outlets), in_flight }))
    }
}

pub struct EmbeddedSink {
    outlets: Arc<[Box<dyn Outlet>]>,
    in_flight: Arc<InFlight>,
}

impl Sink for EmbeddedSink {
    type Item = Row;

    async fn deliver(&mut self, row: Row, _at: CommitPosition, ticket: Ticket) -> Result<(), Error> {
        let wanting: Vec<_> = self.outlets.iter().filter(|outlet| outlet.wants(row.category())).collect();
        if wanting.is_empty() {
            return Ok(());
        }
        let event = Arc::new(row.to_event()?);
        self.in_flight.expect(ticket, wanting.len());
        for outlet in wanting {
            let in_flight = Arc::clone(&self.in_flight);
            outlet.offer(&event, Box::new(move || in_flight.acknowledge(ticket))).await?;
        }
        Ok(())
    }
}
