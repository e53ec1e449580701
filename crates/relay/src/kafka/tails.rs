//! The last record of each partition: what a session that begins need not send again.
//!
//! Within a partition the records of a session are in commit order, and the next session begins where everything before
//! is acknowledged. So what stands before a partition's last record is in it, and an event that is not newer than that
//! record, on the same timeline of the same server, is a duplicate.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::headers::ReadHeaders;
use crate::{CommitPosition, Error, KafkaConfig, Origin, Relayed};

const TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The offset that the next record gets.
    pub(crate) end: i64,
    /// None when the partition is empty, or its last record is not one of ours.
    pub(crate) last: Option<Relayed>,
}

/// The tails of all partitions of the service's topics, in the order of topic and partition.
pub(crate) async fn read(config: &KafkaConfig) -> Result<Vec<Tail>, Error> {
    // librdkafka would go on trying, and not say why.
    config.access.check().await.map_err(|error| Error::Sink(error.to_string()))?;
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || read_blocking(&config));
    read.await.map_err(|error| Error::Sink(error.to_string()))?
}

/// A topic that was just made, or whose broker has just gone, has no leader for a moment.
fn read_blocking(config: &KafkaConfig) -> Result<Vec<Tail>, Error> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match read_once(config) {
            Err(Error::Kafka(error)) if is_leaderless(&error) && Instant::now() < deadline => {
                std::thread::sleep(POLL);
            }
            read => return read,
        }
    }
}

fn is_leaderless(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable)
    )
}

fn read_once(config: &KafkaConfig) -> Result<Vec<Tail>, Error> {
    let mut settings = ClientConfig::new();
    settings
        .set("client.id", format!("lunaria-relay-{}", config.service))
        // Required of every consumer; nothing is ever committed under it.
        .set("group.id", format!("{}lunaria-relay-{}", config.names.prefix(), config.service))
        .set("enable.auto.commit", "false")
        .set("queued.max.messages.kbytes", "8192")
        .set("fetch.message.max.bytes", "65536")
        .set("check.crcs", "true");
    let consumer: BaseConsumer = config.access.consumer(&mut settings).create()?;
    let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
    let (mut tails, mut wanted) = (Vec::new(), TopicPartitionList::new());
    for topic in metadata.topics().iter().filter(|topic| config.names.may_hold(&config.service, topic.name()))
    {
        let mut partitions: Vec<i32> =
            topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
        partitions.sort_unstable();
        for partition in partitions {
            let (start, end) = consumer.fetch_watermarks(topic.name(), partition, TIMEOUT)?;
            if end > start {
                wanted.add_partition_offset(topic.name(), partition, Offset::Offset(end - 1))?;
            }
            tails.push(Tail { topic: topic.name().to_owned(), partition, end, last: None });
        }
    }
    let lasts = last_records(&consumer, &wanted, &config.service)?;
    for tail in &mut tails {
        tail.last = lasts.get(&(tail.topic.clone(), tail.partition)).cloned().flatten();
    }
    Ok(tails)
}

fn last_records(
    consumer: &BaseConsumer,
    wanted: &TopicPartitionList,
    service: &str,
) -> Result<HashMap<(String, i32), Option<Relayed>>, Error> {
    let mut found = HashMap::new();
    if wanted.count() == 0 {
        return Ok(found);
    }
    consumer.assign(wanted)?;
    let deadline = Instant::now() + TIMEOUT;
    while found.len() < wanted.count() {
        if Instant::now() > deadline {
            return Err(Error::Sink("the last records of the topics could not be read in time".to_owned()));
        }
        if let Some(message) = consumer.poll(POLL) {
            let message = message?;
            found.insert((message.topic().to_owned(), message.partition()), relayed(&message, service));
        }
    }
    Ok(found)
}

fn relayed(message: &BorrowedMessage<'_>, service: &str) -> Option<Relayed> {
    let headers = ReadHeaders::of(message.headers()?, service)?;
    let (commit_lsn, ordinal) = headers.text("lunaria_lsn")?.rsplit_once('/')?;
    Some(Relayed {
        origin: headers.text("lunaria_epoch")?.parse::<Origin>().ok()?,
        at: CommitPosition { commit_lsn: commit_lsn.parse().ok()?, ordinal: ordinal.parse().ok()? },
        // A change of a captured table has none.
        event_id: headers.id().unwrap_or_default(),
    })
}
