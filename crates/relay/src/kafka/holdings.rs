//! What Kafka holds of a service's streams: each partition read from its beginning to where it ends now.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::holdings::Holdings;
use crate::kafka::headers::ReadHeaders;
use crate::{Error, Held, KafkaConfig, Retained};

/// For an answer about topics and offsets.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at whether anybody still wants the answer.
const POLL: Duration = Duration::from_millis(200);
/// A broker that sends nothing for this long is not just busy.
const SILENCE_POLLS_MAX: usize = 300;
/// What is told at once.
const CHUNK: usize = 1_000;

/// Tells what each partition holds, one after the other, so that no more than one's streams are in memory.
///
/// Blocks its thread. Ends early, and well, when nobody listens any more.
pub(crate) fn read(config: &KafkaConfig, told: &mpsc::Sender<Vec<Held>>) -> Result<Retained, Error> {
    let mut settings = ClientConfig::new();
    settings
        .set("client.id", format!("lunaria-refill-{}", config.service))
        // librdkafka wants one; offsets are never committed under it.
        .set("group.id", format!("lunaria-refill-{}", config.service))
        .set("enable.auto.commit", "false")
        // Retention may remove the beginning while it is read.
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        // What is fetched ahead: this bounds the memory.
        .set("queued.max.messages.kbytes", "4096")
        // And then it would not ask for more for a second.
        .set("fetch.queue.backoff.ms", "5")
        .set("check.crcs", "true");
    let consumer: BaseConsumer = config.access.consumer(&mut settings).create()?;
    let mut retained = Retained::All;
    for (topic, partitions) in topics(&consumer, config)? {
        for partition in partitions {
            let Some(holdings) = read_partition(&consumer, config, &topic, partition, told)? else {
                return Ok(retained);
            };
            if holdings.is_shortened {
                retained = Retained::Recent;
            }
            let mut held = holdings.into_held();
            loop {
                let chunk: Vec<Held> = held.by_ref().take(CHUNK).collect();
                if chunk.is_empty() {
                    break;
                }
                if told.blocking_send(chunk).is_err() {
                    return Ok(retained);
                }
            }
        }
    }
    Ok(retained)
}

/// The service's topics, and perhaps those of another one whose name begins alike: the records tell.
fn topics(consumer: &BaseConsumer, config: &KafkaConfig) -> Result<Vec<(String, Vec<i32>)>, Error> {
    let metadata = consumer.fetch_metadata(None, ANSWER_LIMIT)?;
    let ours = metadata.topics().iter().filter(|topic| config.names.may_hold(&config.service, topic.name()));
    let mut found = Vec::new();
    for topic in ours {
        if let Some(error) = topic.error() {
            return Err(Error::Sink(format!("topic {} cannot be read: {error:?}", topic.name())));
        }
        let mut partitions = Vec::with_capacity(topic.partitions().len());
        partitions.extend(topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id));
        found.push((topic.name().to_owned(), partitions));
    }
    Ok(found)
}

/// None: nobody listens any more.
fn read_partition(
    consumer: &BaseConsumer,
    config: &KafkaConfig,
    topic: &str,
    partition: i32,
    told: &mpsc::Sender<Vec<Held>>,
) -> Result<Option<Holdings>, Error> {
    let (low, high) = consumer.fetch_watermarks(topic, partition, ANSWER_LIMIT)?;
    let mut holdings = Holdings::new(low > 0);
    if low >= high {
        return Ok(Some(holdings));
    }
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(low))?;
    consumer.assign(&assignment)?;
    let mut silent_polls = 0;
    loop {
        if told.is_closed() {
            return Ok(None);
        }
        match consumer.poll(POLL) {
            None if silent_polls >= SILENCE_POLLS_MAX => {
                return Err(Error::Sink(format!("partition {partition} of {topic} sends nothing")));
            }
            None => silent_polls += 1,
            // Where retention has removed all that there was.
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            // librdkafka connects again by itself.
            Some(Err(error)) if is_disconnected(&error) && silent_polls < SILENCE_POLLS_MAX => {
                silent_polls += 1;
            }
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(record)) => {
                silent_polls = 0;
                if let Some((stream, seq)) = event_of(&record, config, topic) {
                    holdings.see(stream, seq);
                }
                if record.offset() + 1 >= high {
                    break;
                }
            }
        }
    }
    consumer.unassign()?;
    Ok(Some(holdings))
}

fn is_disconnected(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure))
}

/// Stream and seq, of a record that is an event of this service.
fn event_of<'a>(
    record: &'a BorrowedMessage<'_>,
    config: &KafkaConfig,
    topic: &str,
) -> Option<(&'a str, i64)> {
    let stream = std::str::from_utf8(record.key()?).ok()?;
    let (category, _) = stream.split_once('-')?;
    if config.names.topic(&config.service, category) != topic {
        return None;
    }
    Some((stream, ReadHeaders::of(record.headers()?, &config.service)?.sequence()?))
}
