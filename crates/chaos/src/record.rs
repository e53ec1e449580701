//! An event as it is compared between table, log and topic; and the topics, read whole.

use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// Without a single record for so long, the rest does not come.
const STALL: Duration = Duration::from_secs(30);

/// A partition of one of the run's topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) number: i32,
}

/// A record with all that the relay has put in it, borrowed.
pub(crate) struct Record<'a> {
    /// Which of the partitions that were asked for.
    pub(crate) partition: usize,
    pub(crate) offset: i64,
    pub(crate) time_ms: i64,
    pub(crate) stream: &'a str,
    pub(crate) seq: u32,
    pub(crate) id: u128,
    pub(crate) hash: u64,
    pub(crate) commit_lsn: u64,
    pub(crate) ordinal: u32,
    pub(crate) epoch: i64,
}

/// All that must be equal wherever the event stands, in one number.
pub(crate) fn hash(
    event_type: &[u8],
    version: i16,
    data: &[u8],
    correlation_id: Uuid,
    causation_id: Uuid,
    metadata: &[u8],
) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in [event_type, data, metadata] {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.write_i16(version);
    hasher.write_u128(correlation_id.as_u128());
    hasher.write_u128(causation_id.as_u128());
    hasher.finish()
}

pub(crate) fn consumer(bootstrap: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "lunaria-chaos")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        // A broker that was killed is asked again as soon as it is back.
        .set("reconnect.backoff.max.ms", "200")
        .set("topic.metadata.refresh.interval.ms", "1000")
        .create()
        .unwrap()
}

/// Reads every record of the partitions, from the first to the last that there is. Panics when one cannot be read, or
/// is no event: nobody else writes there.
pub(crate) fn read_all(bootstrap: &str, partitions: &[Partition], mut take: impl FnMut(&Record<'_>)) {
    let consumer = consumer(bootstrap);
    let (mut wanted, mut ends) = (TopicPartitionList::new(), Vec::new());
    for partition in partitions {
        let (start, end) = consumer.fetch_watermarks(&partition.topic, partition.number, TIMEOUT).unwrap();
        assert_eq!(start, 0, "{partition:?} has lost its beginning");
        if end > 0 {
            wanted.add_partition_offset(&partition.topic, partition.number, Offset::Beginning).unwrap();
        }
        ends.push(end);
    }
    if wanted.count() == 0 {
        return;
    }
    consumer.assign(&wanted).unwrap();
    let (mut left, mut heard) = (wanted.count(), Instant::now());
    while left > 0 {
        let Some(message) = consumer.poll(POLL) else {
            assert!(heard.elapsed() < STALL, "the topics cannot be read to their end");
            continue;
        };
        // A broker that went, or an idle connection that was closed; the next one goes on.
        let Ok(message) = message else { continue };
        heard = Instant::now();
        let partition = partitions
            .iter()
            .position(|one| one.number == message.partition() && one.topic == message.topic())
            .unwrap();
        if message.offset() >= ends[partition] {
            continue;
        }
        let record = record(partition, &message)
            .unwrap_or_else(|| panic!("{:?}@{} is no event", partitions[partition], message.offset()));
        take(&record);
        left -= usize::from(message.offset() + 1 == ends[partition]);
    }
}

fn record<'a>(partition: usize, message: &'a BorrowedMessage<'_>) -> Option<Record<'a>> {
    let headers = message.headers()?;
    // They stand in a fixed order, but nothing may depend on it.
    let bytes = |key: &str| headers.iter().find(|header| header.key == key)?.value;
    let text = |key: &str| std::str::from_utf8(bytes(key)?).ok();
    let (commit_lsn, ordinal) = text("lunaria_lsn")?.rsplit_once('/')?;
    let stream = std::str::from_utf8(message.key()?).ok()?;
    if text("ce_subject")? != stream || text("ce_source")? != "/lunaria/core" {
        return None;
    }
    Some(Record {
        partition,
        offset: message.offset(),
        time_ms: message.timestamp().to_millis()?,
        stream,
        seq: text("ce_sequence")?.parse().ok()?,
        id: text("ce_id")?.parse::<Uuid>().ok()?.as_u128(),
        hash: hash(
            bytes("ce_type")?,
            text("ce_dataversion")?.parse().ok()?,
            message.payload()?,
            text("ce_correlationid")?.parse().ok()?,
            text("ce_causationid")?.parse().ok()?,
            bytes("lunaria_metadata")?,
        ),
        commit_lsn: commit_lsn.parse::<pgoutput::Lsn>().ok()?.as_u64(),
        ordinal: ordinal.parse().ok()?,
        epoch: text("lunaria_epoch")?.rsplit_once('/')?.1.parse().ok()?,
    })
}
