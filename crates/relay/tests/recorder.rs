//! A sink that remembers what it was given, and that holds acknowledgements back when told to.

use std::sync::{Arc, Mutex, MutexGuard};

use relay::{
    CapturedTable, CommitPosition, Error, EventReader, InFlight, OpenSink, Origin, Row, Sink, SinkAccount,
    Ticket,
};
use testbed::eventually;

#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    sessions: Vec<Arc<InFlight>>,
    delivered: Vec<Delivered>,
    /// The category whose events are not acknowledged.
    held: Option<&'static str>,
    unacknowledged: Vec<(Arc<InFlight>, Ticket)>,
    /// The category whose next event is refused.
    refused: Option<&'static str>,
    account: SinkAccount,
}

#[derive(Clone)]
pub(crate) struct Delivered {
    pub(crate) session: usize,
    pub(crate) row: Row,
    pub(crate) at: CommitPosition,
}

impl Delivered {
    pub(crate) fn name(&self) -> String {
        format!("{}@{}", self.row.stream(), self.row.seq)
    }
}

impl Recorder {
    pub(crate) fn hold(&self, category: &'static str) {
        self.recorded().held = Some(category);
    }

    /// Acknowledges what was held back, and holds nothing back any more.
    pub(crate) fn release(&self) {
        let mut recorded = self.recorded();
        recorded.held = None;
        for (in_flight, ticket) in std::mem::take(&mut recorded.unacknowledged) {
            in_flight.acknowledge(ticket);
        }
    }

    /// Acknowledges the first delivery that is held back.
    pub(crate) fn acknowledge_first(&self) {
        let (in_flight, ticket) = self.recorded().unacknowledged.remove(0);
        in_flight.acknowledge(ticket);
    }

    pub(crate) fn refuse_once(&self, category: &'static str) {
        self.recorded().refused = Some(category);
    }

    /// Fails the current session as a delivery report would.
    pub(crate) fn fail(&self) {
        self.recorded().sessions.last().unwrap().fail(Error::Sink("a record was not delivered".to_owned()));
    }

    /// What it says that it holds.
    pub(crate) fn set_account(&self, account: SinkAccount) {
        self.recorded().account = account;
    }

    pub(crate) fn sessions(&self) -> usize {
        self.recorded().sessions.len()
    }

    pub(crate) fn delivered(&self) -> Vec<Delivered> {
        self.recorded().delivered.clone()
    }

    /// `stream@seq` of each event that the given session (from 1) got.
    pub(crate) fn names(&self, session: usize) -> Vec<String> {
        let recorded = self.recorded();
        recorded.delivered.iter().filter(|one| one.session == session).map(Delivered::name).collect()
    }

    pub(crate) async fn until_delivered(&self, count: usize) -> Vec<Delivered> {
        eventually("the events are delivered", async || {
            let delivered = self.delivered();
            (delivered.len() >= count).then_some(delivered)
        })
        .await
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap()
    }
}

impl OpenSink for Recorder {
    type Sink = RecorderSink;
    type Reader = EventReader;

    fn reader(&self, _: &[CapturedTable]) -> EventReader {
        EventReader::default()
    }

    async fn open(&self, in_flight: Arc<InFlight>, _: Origin, _: i64) -> Result<RecorderSink, Error> {
        let mut recorded = self.recorded();
        recorded.sessions.push(Arc::clone(&in_flight));
        let session = recorded.sessions.len();
        Ok(RecorderSink { recorder: self.clone(), in_flight, session })
    }

    async fn account(&self) -> Result<SinkAccount, Error> {
        Ok(self.recorded().account.clone())
    }
}

pub(crate) struct RecorderSink {
    recorder: Recorder,
    in_flight: Arc<InFlight>,
    session: usize,
}

impl Sink for RecorderSink {
    type Item = Row;

    async fn deliver(&mut self, row: Row, at: CommitPosition, ticket: Ticket) -> Result<(), Error> {
        let mut recorded = self.recorder.recorded();
        if recorded.refused.is_some_and(|category| category == row.category()) {
            recorded.refused = None;
            return Err(Error::Sink("it does not take this one".to_owned()));
        }
        self.in_flight.expect(ticket, 1);
        if recorded.held.is_some_and(|category| category == row.category()) {
            recorded.unacknowledged.push((Arc::clone(&self.in_flight), ticket));
        } else {
            self.in_flight.acknowledge(ticket);
        }
        recorded.delivered.push(Delivered { session: self.session, row, at });
        Ok(())
    }
}
