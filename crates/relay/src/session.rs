//! One session: from a slot that is ours and proven to the end of the connection, or of the process.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pgoutput::{Lsn, Message};
use replication::{Client, WalMessage, WalStream};
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use tracing::field::Empty;

use crate::claim::{Claimed, claim};
use crate::confirmer::{Confirmable, Confirmer};
use crate::event_reader::out_of_order;
use crate::gate::Gate;
use crate::meters::{self, Meters};
use crate::reader::{Item, Reader, Transaction};
use crate::row::timestamp;
use crate::watch::Watch;
use crate::{CommitPosition, Config, Error, InFlight, OpenSink, Sink, Ticket};

/// How long a stopping relay waits for what is in flight; what is not acknowledged then is sent again later.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// Ends well at `shutdown`, and when an operator pauses the relay.
pub(crate) async fn run_session<O: OpenSink + 'static>(
    config: &Config,
    open: &Arc<O>,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let Claimed { stream, state, lease, origin, since_epoch, captured } = tokio::select! {
        claimed = claim(config, open.as_ref()) => claimed?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let confirmable = Confirmable::default();
    let reached = confirmable.clone();
    let commit_to_ack = meters::commit_to_ack(&config.service);
    let in_flight = Arc::new(InFlight::confirming(move |lsn| reached.reach(lsn), commit_to_ack));
    let observer = Arc::new(Mutex::new(Client::connect(&config.login("watch")).await?));
    let gate = config
        .standby
        .clone()
        .map(|standby| Gate::new(Arc::clone(&observer), standby, config.status.clone()));
    let watch = Watch {
        config: config.clone(),
        open: Arc::clone(open),
        observer,
        epoch: lease.epoch,
        in_flight: Arc::clone(&in_flight),
        confirmable: confirmable.clone(),
    };
    let confirmer = Confirmer::new(state, lease, confirmable.clone(), stream.progress());
    let sink = open.open(Arc::clone(&in_flight), origin, since_epoch).await?;
    let guards = Guards::spawn(confirmer, watch);
    config.status.session_began(lease.epoch);
    tracing::info!(slot = %config.slot, epoch = lease.epoch, "relay session started");
    let meters = Meters::new(&config.service);
    let reader = open.reader(&captured);
    let mut session =
        Session { stream, in_flight, confirmable, gate, sink, meters, reader, transaction: None };
    let guards = session.relay(guards, shutdown).await?;
    session.drain().await;
    guards.finish().await?;
    Ok(session.stream.stop().await?)
}

/// The tasks beside a session; it ends with the first of them, and they end with it.
struct Guards {
    stop: CancellationToken,
    confirmer: AbortOnDropHandle<Result<(), Error>>,
    watch: AbortOnDropHandle<Result<(), Error>>,
}

impl Guards {
    fn spawn<O: OpenSink + 'static>(confirmer: Confirmer, watch: Watch<O>) -> Self {
        let stop = CancellationToken::new();
        let confirmer = AbortOnDropHandle::new(tokio::spawn(confirmer.run(stop.clone())));
        Self { stop, confirmer, watch: AbortOnDropHandle::new(tokio::spawn(watch.run())) }
    }

    /// Waits for a reason to end the session: a good one (`Ok`), or an error.
    async fn interrupted(&mut self, in_flight: &InFlight, shutdown: &CancellationToken) -> Result<(), Error> {
        tokio::select! {
            error = in_flight.failed() => Err(error),
            ended = &mut self.confirmer => joined(ended).and(Err(Error::Superseded)),
            paused = &mut self.watch => joined(paused),
            () = shutdown.cancelled() => Ok(()),
        }
    }

    /// Confirms what the sink has.
    async fn finish(self) -> Result<(), Error> {
        self.stop.cancel();
        joined(self.confirmer.await)
    }
}

fn joined(ended: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    match ended {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::Superseded),
    }
}

struct Session<S, R> {
    stream: WalStream,
    in_flight: Arc<InFlight>,
    confirmable: Confirmable,
    gate: Option<Gate>,
    sink: S,
    meters: Meters,
    reader: R,
    /// The transaction that is arriving.
    transaction: Option<(Ticket, CommitPosition)>,
}

impl<R: Reader, S: Sink<Item = R::Item>> Session<S, R> {
    /// Gives the guards back when the session has to end, and nothing is wrong.
    async fn relay(&mut self, mut guards: Guards, shutdown: &CancellationToken) -> Result<Guards, Error> {
        let in_flight = Arc::clone(&self.in_flight);
        {
            let mut interrupted = pin!(guards.interrupted(&in_flight, shutdown));
            let mut batch = Vec::new();
            loop {
                tokio::select! {
                    read = self.stream.read(&mut batch) => read?,
                    ended = &mut interrupted => { ended?; break; }
                }
                let mut sending = pin!(self.send(&mut batch));
                tokio::select! {
                    sent = &mut sending => sent?,
                    ended = &mut interrupted => {
                        ended?;
                        // Half a batch would leave half a transaction with the sink, which comes again.
                        if let Ok(sent) = timeout(DRAIN_TIMEOUT, sending).await {
                            sent?;
                        }
                        break;
                    }
                }
            }
        }
        Ok(guards)
    }

    /// Sends on what has arrived.
    async fn send(&mut self, batch: &mut Vec<WalMessage>) -> Result<(), Error> {
        let span = tracing::debug_span!("batch", messages = batch.len(), events = Empty, bytes = Empty);
        self.forward(batch).instrument(span.clone()).await?;
        let sent = self.meters.publish(self.in_flight.unacknowledged());
        span.record("events", sent.events).record("bytes", sent.bytes);
        Ok(())
    }

    async fn forward(&mut self, batch: &mut Vec<WalMessage>) -> Result<(), Error> {
        for message in batch.drain(..) {
            match message {
                WalMessage::KeepAlive { wal_end, reply_requested } => {
                    self.keep_alive(wal_end, reply_requested);
                }
                WalMessage::Data { body, wal_start, .. } => {
                    let message = pgoutput::decode(body).map_err(|error| undecodable(wal_start, &error))?;
                    self.take(message).await?;
                }
            }
        }
        self.sink.flush().await
    }

    fn keep_alive(&self, wal_end: Lsn, reply_requested: bool) {
        if self.transaction.is_none() {
            self.in_flight.idle(wal_end);
        }
        if reply_requested {
            self.confirmable.ask();
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Begin { final_lsn, commit_time_micros, xid } => {
                if let Some(gate) = &mut self.gate
                    && !event::mutants::active("no_standby_gate")
                {
                    gate.wait(final_lsn).await?;
                }
                let at = CommitPosition { commit_lsn: final_lsn, ordinal: 0 };
                self.transaction = Some((self.in_flight.begin(), at));
                self.reader.begin(Transaction { commit_lsn: final_lsn, xid, commit_time_micros });
            }
            Message::Commit { end_lsn, commit_time_micros, .. } => {
                let (ticket, at) =
                    self.transaction.take().ok_or_else(|| out_of_order("a commit without a begin"))?;
                if at.ordinal > 0 {
                    self.confirmable.event(end_lsn);
                    self.meters.transaction();
                }
                self.in_flight.commit(ticket, end_lsn, timestamp(commit_time_micros));
            }
            message => {
                let mut read = self.reader.read(message)?;
                while let Some(item) = read {
                    let (ticket, at) = self
                        .transaction
                        .as_mut()
                        .ok_or_else(|| out_of_order("a change outside a transaction"))?;
                    let (ticket, here) = (*ticket, *at);
                    at.ordinal += 1;
                    self.meters.event(item.size());
                    self.sink.deliver(item, here, ticket).await?;
                    read = self.reader.further();
                }
            }
        }
        Ok(())
    }

    /// Ends the transaction that is arriving, and waits for all that is in flight.
    async fn drain(&mut self) {
        let drained = async {
            let mut batch = Vec::new();
            while self.transaction.is_some() {
                self.stream.read(&mut batch).await?;
                self.send(&mut batch).await?;
            }
            while !self.in_flight.is_empty() {
                sleep(DRAIN_POLL).await;
            }
            Ok::<_, Error>(())
        };
        if !matches!(timeout(DRAIN_TIMEOUT, drained).await, Ok(Ok(()))) {
            tracing::warn!("the sink has not acknowledged everything; it is sent again at the next start");
        }
    }
}

fn undecodable(at: Lsn, error: &dyn std::fmt::Display) -> Error {
    Error::halted(format!("the message at {at} cannot be read: {error}"), "check the server's version")
}
