//! One session's records: which partition they go to, which of them stand there already, and what the broker refuses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_producer::{Acknowledge, Headers, Producer, Topic};
use metrics::{Counter, counter};
use tokio::time::{Instant, sleep};

use crate::kafka::dial::DialAccess;
use crate::kafka::tails::{self, Tail};
use crate::topics::{ensure_topics, warn_of_partitions};
use crate::{
    Cause, CommitPosition, Error, InFlight, KafkaConfig, Origin, Relayed, SinkAccount, Ticket, TopicAccount,
};

/// A broker that takes longer is as good as gone: its partitions have another leader by then.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const SETTLING_POLL: Duration = Duration::from_millis(50);
/// What bounds the relay's memory while Kafka is slow.
const BUFFERED_BYTES_MAX: usize = 8 << 20;
/// More than a record's key and headers take beside what it carries.
const HEADERS_BYTES_MAX: usize = 4096;

pub(super) struct Records {
    config: KafkaConfig,
    origin: Origin,
    since_epoch: i64,
    /// By the end of their names.
    topics: HashMap<String, KnownTopic>,
    tails: Vec<Tail>,
    in_flight: Arc<InFlight>,
    acknowledging: Arc<Acknowledging>,
    producer: Producer,
    skipped: Counter,
}

/// Where a record goes.
pub(super) struct Place {
    topic: Topic,
    partition: u32,
}

struct KnownTopic {
    topic: Topic,
    /// By partition: what is not newer stands there already.
    held: Vec<Option<CommitPosition>>,
}

struct Acknowledging {
    in_flight: Arc<InFlight>,
    /// The last event or change that is larger than its topic takes, unless compression helps.
    too_large: Mutex<String>,
}

impl Records {
    pub(super) async fn open(
        config: &KafkaConfig,
        in_flight: Arc<InFlight>,
        origin: Origin,
        since_epoch: i64,
    ) -> Result<Self, Error> {
        let (access, client_id) = (&config.access, format!("lunaria-relay-{}", config.service));
        let producer = kafka_producer::Config {
            bootstrap: access.brokers().to_owned(),
            dial: Arc::new(DialAccess { access: access.clone(), client_id: client_id.clone() }),
            client_id,
            compression: config.compression,
            request_timeout: REQUEST_TIMEOUT,
            buffered_bytes_max: BUFFERED_BYTES_MAX,
        };
        let acknowledging =
            Arc::new(Acknowledging { in_flight: Arc::clone(&in_flight), too_large: Mutex::default() });
        Ok(Self {
            config: config.clone(),
            origin,
            since_epoch,
            topics: HashMap::new(),
            tails: tails::read(config).await?,
            in_flight,
            producer: Producer::open(producer, Arc::clone(&acknowledging) as _).await?,
            acknowledging,
            skipped: counter!("lunaria_relay_skipped_events_total", "service" => config.service.clone()),
        })
    }

    /// None: it stands there already.
    pub(super) async fn place(
        &mut self,
        suffix: &str,
        key: &[u8],
        at: CommitPosition,
    ) -> Result<Option<Place>, Error> {
        if !self.topics.contains_key(suffix) {
            self.learn(suffix).await?;
        }
        let known = &self.topics[suffix];
        let partition = known.topic.partition_of(key);
        let is_held = |held: CommitPosition| {
            at <= held || event::mutants::active("skip_same_lsn") && at.commit_lsn == held.commit_lsn
        };
        if known.held[partition as usize].is_some_and(is_held) {
            self.skipped.increment(1);
            return Ok(None);
        }
        Ok(Some(Place { topic: known.topic, partition }))
    }

    /// Remembers what a record is called that the topic may refuse.
    pub(super) fn note_size(&self, place: &Place, bytes: usize, name: impl FnOnce() -> String) {
        if bytes + HEADERS_BYTES_MAX > place.topic.message_bytes_max() {
            *self.acknowledging.too_large.lock().unwrap_or_else(PoisonError::into_inner) = name();
        }
    }

    /// Without a value it is a tombstone.
    pub(super) fn send(
        &self,
        place: &Place,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &Headers,
        ticket: Ticket,
    ) {
        self.in_flight.expect(ticket, 1);
        let Place { topic, partition } = *place;
        match value {
            Some(value) => self.producer.append_to(topic, partition, key, value, headers, ticket),
            None => self.producer.append_tombstone_to(topic, partition, key, headers, ticket),
        }
    }

    pub(super) async fn flush(&self) {
        self.producer.flush();
        self.producer.room().await;
    }

    /// A broker may not know yet of a topic that another has just made.
    async fn until_settled(&mut self, topic: &str) -> Result<Topic, Error> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            match self.producer.topic(topic).await {
                Err(error) if error.is_not_settled() && Instant::now() < deadline => {
                    sleep(SETTLING_POLL).await;
                }
                known => return Ok(known?),
            }
        }
    }

    async fn learn(&mut self, suffix: &str) -> Result<(), Error> {
        let name = self.config.names.topic(&self.config.service, suffix);
        let topic = match self.producer.topic(&name).await {
            Err(error) if error.is_unknown_topic() => {
                ensure_topics(&self.config, &[suffix]).await?;
                self.until_settled(&name).await?
            }
            known => known?,
        };
        warn_of_partitions(&self.config, &name, topic.partitions());
        let mut held = vec![None; topic.partitions() as usize];
        for tail in self.tails.iter().filter(|tail| tail.topic == name) {
            let place = usize::try_from(tail.partition).ok().and_then(|partition| held.get_mut(partition));
            if let (Some(place), Some(last)) = (place, &tail.last)
                && last.origin.epoch >= self.since_epoch
                && last.origin.is_of_the_same_timeline(self.origin)
            {
                *place = Some(last.at);
            }
        }
        self.topics.insert(suffix.to_owned(), KnownTopic { topic, held });
        Ok(())
    }
}

pub(super) async fn account(config: &KafkaConfig) -> Result<SinkAccount, Error> {
    let mut account = SinkAccount::default();
    for Tail { topic, end, last, .. } in tails::read(config).await? {
        let empty = || TopicAccount { partitions: 0, ends: Vec::new() };
        let known = account.topics.entry(topic).or_insert_with(empty);
        known.partitions += 1;
        known.ends.push(end);
        let rank = |relayed: &Option<Relayed>| relayed.as_ref().map(|one| (one.origin.epoch, one.at));
        if rank(&last) > rank(&account.newest) {
            account.newest = last;
        }
    }
    Ok(account)
}

impl Acknowledge for Acknowledging {
    fn acknowledged(&self, runs: &[(Ticket, u32)]) {
        self.in_flight.acknowledge_all(runs);
    }

    /// Later records of the stream may have been delivered: only a new session, from the slot, is safe.
    fn failed(&self, error: kafka_producer::Error) {
        if !error.is_too_large() {
            return self.in_flight.fail(error.into());
        }
        let what = self.too_large.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.in_flight.fail(Error::halted_by(
            Cause::TooLarge,
            format!("{what} is larger than the broker takes: {error}"),
            "raise max.message.bytes of the topic; nothing of it is lost",
        ));
    }
}
