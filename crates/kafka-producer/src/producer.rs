//! The producer: topics, records in, acknowledgements out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::buffers::Buffers;
use crate::cluster::{self, Identity, TopicLayout};
use crate::connection::Connection;
use crate::record_batch::{Compression, Headers};
use crate::{Dial, Error, partition_of};

#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    pub dial: Arc<dyn Dial>,
    pub client_id: String,
    pub compression: Compression,
    /// For a connection, and for each request: not answered within it is a failure.
    pub request_timeout: Duration,
    /// Uncompressed bytes that may wait or be under way before [`Producer::room`] waits.
    pub buffered_bytes_max: usize,
}

/// Told from the producer's tasks, in the order of each partition.
pub trait Acknowledge: Send + Sync + 'static {
    /// All in-sync replicas have so many more records of each tag.
    fn acknowledged(&self, runs: &[(u64, u32)]);

    /// The producer is of no use any more. What was not acknowledged may or may not have arrived.
    fn failed(&self, error: Error);
}

/// Ends its tasks, and forgets what waits, when it is dropped.
pub struct Producer {
    shared: Arc<Shared>,
    identity: Identity,
    control: Connection,
    /// Each with what wakes its task; their number is their place in the order of appearance.
    brokers: HashMap<String, (usize, Arc<Notify>)>,
    topics: HashMap<String, Topic>,
    tasks: JoinSet<()>,
}

/// A topic whose partitions are known.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    first: usize,
    partitions: u32,
    message_bytes_max: usize,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    buffers: Mutex<Buffers>,
    room: Notify,
    acknowledge: Arc<dyn Acknowledge>,
}

impl Producer {
    pub async fn open(config: Config, acknowledge: Arc<dyn Acknowledge>) -> Result<Self, Error> {
        let mut control = cluster::bootstrap(&config).await?;
        let identity = cluster::identify(&mut control, &config).await?;
        let shared = Arc::new(Shared {
            config,
            buffers: Mutex::new(Buffers::new()),
            room: Notify::new(),
            acknowledge,
        });
        Ok(Self {
            shared,
            identity,
            control,
            brokers: HashMap::new(),
            topics: HashMap::new(),
            tasks: JoinSet::new(),
        })
    }

    /// Asks who leads the topic's partitions; the second time it only says what is known. A partition has one sequence of
    /// batches: with two, the broker would take those of one for repetitions of the other's, and acknowledge what it drops.
    pub async fn topic(&mut self, name: &str) -> Result<Topic, Error> {
        if let Some(known) = self.topics.get(name) {
            return Ok(*known);
        }
        let (layout, message_bytes_max) = match self.describe(name).await {
            // It may have been closed while nothing was asked.
            Err(Error::Closed { .. }) => {
                self.control = cluster::bootstrap(&self.shared.config).await?;
                self.describe(name).await?
            }
            described => described?,
        };
        let leaders: Vec<usize> = layout.leaders.into_iter().map(|leader| self.broker(leader)).collect();
        let first = self.shared.buffers().add_topic(name, &leaders, message_bytes_max);
        let partitions = u32::try_from(leaders.len()).unwrap_or(u32::MAX);
        let topic = Topic { first, partitions, message_bytes_max };
        self.topics.insert(name.to_owned(), topic);
        Ok(topic)
    }

    async fn describe(&mut self, topic: &str) -> Result<(TopicLayout, usize), Error> {
        let (control, config) = (&mut self.control, &self.shared.config);
        let layout = cluster::layout(control, topic, config).await?;
        Ok((layout, cluster::message_bytes_max(control, topic, config).await?))
    }

    /// Takes a record on, for the partition of its key. Waits for nothing: ask [`Producer::room`] now and then.
    pub fn append(&self, topic: Topic, key: &[u8], value: &[u8], headers: &Headers, tag: u64) {
        self.append_to(topic, partition_of(key, topic.partitions), key, value, headers, tag);
    }

    /// The same, when the partition is known already.
    pub fn append_to(
        &self,
        topic: Topic,
        partition: u32,
        key: &[u8],
        value: &[u8],
        headers: &Headers,
        tag: u64,
    ) {
        self.shared.buffers().append(topic.first + partition as usize, key, Some(value), headers, tag);
    }

    /// A record without a value, by which a compacted topic forgets its key.
    pub fn append_tombstone_to(&self, topic: Topic, partition: u32, key: &[u8], headers: &Headers, tag: u64) {
        self.shared.buffers().append(topic.first + partition as usize, key, None, headers, tag);
    }

    /// Sends what waits, as far as nothing is under way.
    pub fn flush(&self) {
        for (_, wake) in self.brokers.values() {
            wake.notify_one();
        }
    }

    /// Waits while more is buffered than the configuration allows. Cancel-safe.
    pub async fn room(&self) {
        loop {
            let freed = self.shared.room.notified();
            if self.shared.buffers().unacknowledged_bytes <= self.shared.config.buffered_bytes_max {
                return;
            }
            freed.await;
        }
    }

    /// Topic, partition and end of its log, as far as this producer has extended it.
    pub fn end_offsets(&self) -> Vec<(Arc<str>, i32, i64)> {
        self.shared.buffers().end_offsets()
    }

    fn broker(&mut self, address: String) -> usize {
        if let Some((number, _)) = self.brokers.get(&address) {
            return *number;
        }
        let (number, wake) = (self.brokers.len(), Arc::new(Notify::new()));
        self.brokers.insert(address.clone(), (number, Arc::clone(&wake)));
        let (shared, identity) = (Arc::clone(&self.shared), self.identity);
        self.tasks.spawn(Broker { shared, wake, number, address, identity }.run());
        number
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.buffers().closed = true;
    }
}

impl Topic {
    pub fn partitions(self) -> u32 {
        self.partitions
    }

    /// What it takes of a record with all that stands around it, compressed.
    pub fn message_bytes_max(self) -> usize {
        self.message_bytes_max
    }

    pub fn partition_of(self, key: &[u8]) -> u32 {
        partition_of(key, self.partitions)
    }
}

impl Shared {
    pub(crate) fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn acknowledged(&self, partition: usize, bytes: usize, end_offset: i64, runs: &[(u64, u32)]) {
        let mut buffers = self.buffers();
        if buffers.closed {
            return;
        }
        buffers.acknowledged(partition, bytes, end_offset);
        drop(buffers);
        self.room.notify_one();
        self.acknowledge.acknowledged(runs);
    }

    pub(crate) fn fail(&self, error: Error) {
        let mut buffers = self.buffers();
        if !std::mem::replace(&mut buffers.closed, true) {
            drop(buffers);
            self.acknowledge.failed(error);
        }
    }
}
