//! Copies rows out of the event table, or out of captured tables, as a slot's own snapshot shows them, into the sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use metrics::{Histogram, counter};
use pgoutput::Lsn;
use replication::Client;
use tokio::time::Instant;

use super::attempt::Attempt;
use super::missing::{Copied, Finished, Missing};
use super::{OnProgress, RefillProgress};
use crate::reader::{Item, Reader};
use crate::{CapturedTable, CommitPosition, Config, Error, InFlight, OpenSink, Reads, Sink};

/// Between two reports, and two notes of how far the sink is.
const NOTE_EVERY: Duration = Duration::from_secs(1);
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// One copy of what is missing.
pub(super) struct Copy<'a, O> {
    pub(super) config: &'a Config,
    pub(super) open: &'a O,
    pub(super) attempt: &'a mut Attempt,
    pub(super) on_progress: &'a OnProgress<'a>,
    pub(super) missing: Missing,
    /// The tables of a capture.
    pub(super) captured: Vec<CapturedTable>,
    /// Of the snapshot that is copied.
    pub(super) finished: Finished,
    pub(super) at: CommitPosition,
    pub(super) estimate: u64,
}

/// How far the sink has acknowledged, as the position of the last event before which none is in flight.
#[derive(Clone, Default)]
struct Acknowledged(Arc<AtomicU64>);

impl<O: OpenSink> Copy<'_, O> {
    /// Returns how many events it has sent, all of them acknowledged. `source` has the snapshot.
    pub(super) async fn run(&mut self, source: &mut Client) -> Result<u64, Error> {
        let acknowledged = Acknowledged::default();
        let reached = acknowledged.clone();
        // In place of the places in the log that a session confirms, positions: they rise from batch to batch too.
        let reach = move |at: Lsn| _ = reached.0.fetch_max(at.as_u64(), Ordering::AcqRel);
        // How long ago these were committed says nothing about the relay.
        let in_flight = Arc::new(InFlight::confirming(reach, Histogram::noop()));
        let origin = self.attempt.origin();
        let mut sink = self.open.open(Arc::clone(&in_flight), origin, origin.epoch).await?;
        let sending = Box::pin(self.send(source, &mut sink, &in_flight, &acknowledged));
        tokio::select! {
            sent = sending => sent,
            error = in_flight.failed() => Err(error),
        }
    }

    async fn send(
        &mut self,
        source: &mut Client,
        sink: &mut O::Sink,
        in_flight: &InFlight,
        acknowledged: &Acknowledged,
    ) -> Result<u64, Error> {
        let mut reader = self.open.reader(&self.captured);
        let (began, mut noted) = (Instant::now(), Instant::now());
        let (mut rows, mut sent) = (Vec::new(), 0_u64);
        for (table, select) in self.selects().into_iter().enumerate() {
            let copy = format!("copy ({select}) to stdout (format binary)");
            let mut copy = source.copy_out(&copy).await?;
            while copy.read(&mut rows).await? {
                let ticket = in_flight.begin();
                let (count, mut position) = (rows.len() as u64, 0);
                for row in rows.drain(..) {
                    let item = reader.copied(table, row)?;
                    position = item.position();
                    sink.deliver(item, self.at, ticket).await?;
                }
                in_flight.commit(ticket, Lsn::new(position.unsigned_abs()), Timestamp::now());
                sink.flush().await?;
                sent += count;
                counter!("lunaria_relay_refilled_events_total", "service" => self.config.service.clone())
                    .increment(count);
                if noted.elapsed() >= NOTE_EVERY {
                    noted = Instant::now();
                    self.report(sent, began);
                    self.note(acknowledged).await?;
                }
            }
        }
        while !in_flight.is_empty() {
            tokio::time::sleep(DRAIN_POLL).await;
            if noted.elapsed() >= NOTE_EVERY {
                noted = Instant::now();
                self.note(acknowledged).await?;
            }
        }
        self.report(sent, began);
        Ok(sent)
    }

    fn selects(&self) -> Vec<String> {
        match self.config.reads {
            Reads::Events => vec![self.missing.select()],
            Reads::Tables { .. } => self.captured.iter().map(CapturedTable::select).collect(),
        }
    }

    fn report(&self, sent: u64, began: Instant) {
        (self.on_progress)(RefillProgress { sent, estimate: self.estimate.max(sent), took: began.elapsed() });
    }

    /// By the horizon, the next run can go on from here; otherwise it asks the sink again.
    async fn note(&mut self, acknowledged: &Acknowledged) -> Result<(), Error> {
        let position = i64::try_from(acknowledged.0.load(Ordering::Acquire)).unwrap_or(i64::MAX);
        let Missing::Since { copied, .. } = self.missing else { return self.attempt.state.ping().await };
        // An earlier attempt that came further says more.
        if position == 0 || copied.is_some_and(|copied| copied.position > position) {
            return self.attempt.state.ping().await;
        }
        self.attempt.note_copied(Copied { finished: self.finished, position }).await
    }
}
