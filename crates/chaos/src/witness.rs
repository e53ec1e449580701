//! The oracle of commit order: a reader of a slot of its own, which shares no code with the relay.
//!
//! What it has seen it keeps in memory until the end, and no server that the campaign hurts can take that away. So it may confirm
//! its slot, lest a crash makes the server decode the whole run again; it asks for what follows the last transaction it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pgoutput::{Column, Message, Tuple};
use replication::{Client, Config, Lifetime, Lsn, SlotName, Snapshot, WalMessage};
use testbed::eventually;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::record::hash;

const PAUSE: Duration = Duration::from_millis(50);
/// The server keeps this much log for it at most.
const CONFIRM_BYTES: u64 = 16 << 20;
/// The first byte of binary `jsonb`: the version of its format.
const JSONB_VERSION: u8 = 1;

/// A committed event, in commit order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) id: u128,
    /// Its number in [`Log::streams`].
    pub(crate) stream: u32,
    pub(crate) seq: u32,
    pub(crate) hash: u64,
    pub(crate) commit_lsn: u64,
    pub(crate) ordinal: u32,
    pub(crate) end_lsn: u64,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    pub(crate) streams: Vec<String>,
    stream_numbers: HashMap<String, u32>,
    pub(crate) transactions: u64,
    /// The end of the last whole transaction with events.
    pub(crate) end: u64,
    /// Nothing before it is still to come.
    reached: u64,
}

pub(crate) struct Witness {
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

impl Witness {
    /// Makes the slot: to be called before the first append.
    pub(crate) async fn start(login: Config, slot: &str) -> Self {
        let slot = SlotName::new(slot).unwrap();
        let mut client = Client::connect(&login).await.unwrap();
        let created = client.create_slot(&slot, Snapshot::Nothing, Lifetime::Permanent).await.unwrap();
        let log = Arc::new(Mutex::new(Log { end: created.consistent_point.as_u64(), ..Log::default() }));
        let task = tokio::spawn(watch(login, slot, Arc::clone(&log)));
        Self { log, task }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// How many events it has seen: each is committed.
    pub(crate) fn events(&self) -> u64 {
        self.log().events.len() as u64
    }

    /// Until it has seen all that was committed before `lsn`; fails the run if the task has failed.
    pub(crate) async fn reach(&self, lsn: u64) {
        eventually("the witness has read all", async || {
            assert!(!self.task.is_finished(), "the witness has failed");
            (self.log().reached >= lsn).then_some(())
        })
        .await;
    }

    /// What it has seen.
    pub(crate) async fn finish(self) -> Log {
        self.task.abort();
        let _ = self.task.await;
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

/// One connection after the other; only what this reader cannot understand ends it.
async fn watch(login: Config, slot: SlotName, log: Arc<Mutex<Log>>) {
    loop {
        // The server is down, or has just been killed.
        let _ = read(&login, &slot, &log).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(login: &Config, slot: &SlotName, log: &Mutex<Log>) -> Result<(), replication::Error> {
    let start = log.lock().unwrap().end;
    let client = Client::connect(login).await?;
    let mut stream = client.start_replication(slot, Lsn::new(start), "lunaria").await?;
    let progress = stream.progress();
    let (mut batch, mut transaction, mut columns) = (Vec::new(), Vec::new(), Columns::default());
    let mut confirmed = start;
    loop {
        stream.read(&mut batch).await?;
        let mut log = log.lock().unwrap();
        for message in batch.drain(..) {
            match message {
                WalMessage::KeepAlive { wal_end, .. } => log.reached = log.reached.max(wal_end.as_u64()),
                WalMessage::Data { body, .. } => {
                    take(pgoutput::decode(body).unwrap(), &mut log, &mut transaction, &mut columns);
                }
            }
        }
        if log.end > confirmed + CONFIRM_BYTES {
            confirmed = log.end;
            progress.confirm(Lsn::new(confirmed));
        }
    }
}

fn take(message: Message, log: &mut Log, transaction: &mut Vec<Event>, columns: &mut Columns) {
    match message {
        Message::Begin { .. } => transaction.clear(),
        Message::Relation(relation) => {
            let place = |name| relation.columns.iter().position(|column| column.name == name).unwrap();
            columns.0 = NAMES.map(place);
        }
        Message::Insert { tuple, .. } => transaction.push(columns.event(&tuple, log, transaction.len())),
        Message::Commit { commit_lsn, end_lsn, .. } => {
            log.reached = log.reached.max(end_lsn.as_u64());
            // A crash of the server before it has stored where this slot stands.
            if end_lsn.as_u64() <= log.end || transaction.is_empty() {
                return;
            }
            log.end = end_lsn.as_u64();
            log.transactions += 1;
            let (commit_lsn, end_lsn) = (commit_lsn.as_u64(), end_lsn.as_u64());
            let whole = transaction.drain(..).map(|event| Event { commit_lsn, end_lsn, ..event });
            log.events.extend(whole);
        }
        Message::Origin { .. } | Message::Type { .. } | Message::Message { .. } => {}
        other => panic!("the events were changed: {other:?}"),
    }
}

const NAMES: [&str; 9] =
    ["id", "stream", "seq", "type", "version", "data", "correlation_id", "causation_id", "metadata"];

/// Where each of [`NAMES`] stands in a row.
#[derive(Default)]
struct Columns([usize; NAMES.len()]);

impl Columns {
    fn event(&self, tuple: &Tuple, log: &mut Log, ordinal: usize) -> Event {
        let row: Vec<Column> = tuple.columns().collect();
        let [id, stream, seq, event_type, version, data, correlation_id, causation_id, metadata] =
            self.0.map(|place| {
                let Column::Binary(value) = &row[place] else { panic!("a column is not in binary: {row:?}") };
                &value[..]
            });
        let json = |value: &'_ [u8]| {
            assert_eq!(value[0], JSONB_VERSION);
            value[1..].to_vec()
        };
        let uuid = |value: &[u8]| Uuid::from_slice(value).unwrap();
        let version = i16::from_be_bytes(version.try_into().unwrap());
        let (correlation, causation) = (uuid(correlation_id), uuid(causation_id));
        Event {
            id: uuid(id).as_u128(),
            stream: log.stream(std::str::from_utf8(stream).unwrap()),
            seq: u32::try_from(i64::from_be_bytes(seq.try_into().unwrap())).unwrap(),
            hash: hash(event_type, version, &json(data), correlation, causation, &json(metadata)),
            commit_lsn: 0,
            ordinal: u32::try_from(ordinal).unwrap(),
            end_lsn: 0,
        }
    }
}

impl Log {
    pub(crate) fn stream(&mut self, name: &str) -> u32 {
        if let Some(number) = self.stream_numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.streams.len()).unwrap();
        self.streams.push(name.to_owned());
        self.stream_numbers.insert(name.to_owned(), number);
        number
    }

    /// The number of a stream, if it has an event.
    pub(crate) fn number_of(&self, stream: &str) -> Option<u32> {
        self.stream_numbers.get(stream).copied()
    }
}
