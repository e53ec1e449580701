//! The relay's loop: one session after the other, from what the slot has confirmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgoutput::{Lsn, Message};
use replication::{Client, SlotName, WalMessage, WalStream};
use tokio_util::sync::CancellationToken;

use crate::event_table::EventTable;
use crate::{CommitPosition, Error, InFlight, OpenSink, Sink, Ticket, preflight};

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a stopping relay waits for what is in flight; what is not acknowledged then is sent again later.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const DRAIN_POLL: Duration = Duration::from_millis(5);

#[derive(Debug, Clone)]
pub struct Config {
    pub replication: replication::Config,
    pub slot: SlotName,
    pub publication: String,
    /// True while a session reads the slot: for readiness.
    pub relaying: Arc<AtomicBool>,
}

/// Relays until `shutdown`. Returns an error only when it has to halt.
pub async fn run(config: Config, open: impl OpenSink, shutdown: CancellationToken) -> Result<(), Error> {
    let mut pause = PAUSE_FIRST;
    loop {
        let outcome = run_session(&config, &open, &shutdown).await;
        if config.relaying.swap(false, Ordering::AcqRel) {
            pause = PAUSE_FIRST;
        }
        let Err(error) = outcome else { return Ok(()) };
        if shutdown.is_cancelled() {
            return Ok(());
        }
        if !error.is_transient() {
            return Err(error);
        }
        tracing::warn!(slot = %config.slot, %error, "relay session ended, a new one begins");
        tokio::select! {
            () = tokio::time::sleep(rand::random_range(pause / 2..=pause)) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        pause = PAUSE_MAX.min(pause * 2);
    }
}

async fn run_session(
    config: &Config,
    open: &impl OpenSink,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let mut client = Client::connect(&config.replication).await?;
    preflight::check(&mut client, config).await?;
    // From zero: the server goes on from what the slot has confirmed.
    let stream = client.start_replication(&config.slot, Lsn::ZERO, &config.publication).await?;
    let in_flight = Arc::new(InFlight::new(stream.progress()));
    let sink = open.open(Arc::clone(&in_flight)).await?;
    config.relaying.store(true, Ordering::Release);
    tracing::info!(slot = %config.slot, "relay session started");
    let mut session = Session { stream, in_flight, sink, table: None, transaction: None };
    session.relay(shutdown).await?;
    session.drain().await;
    Ok(session.stream.stop().await?)
}

struct Session<S> {
    stream: WalStream,
    in_flight: Arc<InFlight>,
    sink: S,
    table: Option<EventTable>,
    /// The transaction that is arriving.
    transaction: Option<(Ticket, CommitPosition)>,
}

impl<S: Sink> Session<S> {
    async fn relay(&mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        let in_flight = Arc::clone(&self.in_flight);
        let failed = in_flight.failed();
        tokio::pin!(failed);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                read = self.stream.read(&mut batch) => read?,
                reason = &mut failed => return Err(Error::Sink(reason)),
                () = shutdown.cancelled() => return Ok(()),
            }
            for message in batch.drain(..) {
                let taken = match message {
                    WalMessage::KeepAlive { wal_end, .. } => {
                        self.keep_alive(wal_end);
                        continue;
                    }
                    WalMessage::Data { body, wal_start, .. } => {
                        let message =
                            pgoutput::decode(body).map_err(|error| undecodable(wal_start, &error))?;
                        self.take(message)
                    }
                };
                tokio::select! {
                    taken = taken => taken?,
                    reason = &mut failed => return Err(Error::Sink(reason)),
                    () = shutdown.cancelled() => return Ok(()),
                }
            }
        }
    }

    fn keep_alive(&self, wal_end: Lsn) {
        if self.transaction.is_none() {
            self.in_flight.idle(wal_end);
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Begin { final_lsn, .. } => {
                let at = CommitPosition { commit_lsn: final_lsn, ordinal: 0 };
                self.transaction = Some((self.in_flight.begin(), at));
            }
            Message::Insert { relation_id, tuple } => {
                let (Some(table), Some((ticket, at))) = (&self.table, &mut self.transaction) else {
                    return Err(out_of_order("an insert outside a transaction or before its table"));
                };
                if table.relation_id != relation_id {
                    return Err(out_of_order("an insert into another table"));
                }
                let (row, ticket, here) = (table.row(&tuple)?, *ticket, *at);
                at.ordinal += 1;
                self.sink.deliver(row, here, ticket).await?;
            }
            Message::Commit { end_lsn, .. } => {
                let (ticket, _) =
                    self.transaction.take().ok_or_else(|| out_of_order("a commit without a begin"))?;
                self.in_flight.commit(ticket, end_lsn);
            }
            Message::Relation(relation) => self.table = Some(EventTable::new(&relation)?),
            Message::Update { .. } | Message::Delete { .. } | Message::Truncate { .. } => {
                return Err(Error::halted(
                    "events were updated, deleted or truncated",
                    "this is tampering: find out who disabled the triggers; nothing of it was relayed",
                ));
            }
            Message::Origin { .. } | Message::Type { .. } | Message::Message { .. } => {}
        }
        Ok(())
    }

    async fn drain(&self) {
        let drained = async {
            while !self.in_flight.is_empty() && self.transaction.is_none() {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("the sink has not acknowledged everything; it is sent again at the next start");
        }
    }
}

fn undecodable(at: Lsn, error: &dyn std::fmt::Display) -> Error {
    Error::halted(format!("the message at {at} cannot be read: {error}"), "check the server's version")
}

fn out_of_order(what: &str) -> Error {
    Error::halted(format!("the server sent {what}"), "check the server's version")
}
