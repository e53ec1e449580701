//! The Kafka source: one consumer group per handler. What goes with its process shares its partitions with nobody: it takes the history, and then
//! all that Kafka has had since some time before.
//!
//! Records are taken in batches, delivered, and only then are the offsets committed. The offsets merely save work: what decides
//! whether an event was handled is the handler's cursor.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use event::RecordedEvent;
use futures::future::{Either, select, try_join_all};
use jiff::Timestamp;
use kafka_client::{Access, TopicNames};
use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::message::Message;
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use tokio_util::sync::CancellationToken;

use crate::backoff::pause;
use crate::identity::fed_by;
use crate::record::{self, Record};
use crate::{Engine, Stopped, Subscription, registry};

/// Records that are delivered before their offsets are committed.
const BATCH_EVENTS_MAX: usize = 256;
/// Once a batch has begun, how long to wait for more of it.
const BATCH_WAIT: Duration = Duration::from_millis(2);
/// What Kafka has had for so long can be read in its service's table too, unless its commit waits for a standby still.
const VISIBLE_AFTER: Duration = Duration::from_hours(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    pub access: Access,
    /// As the relays name them.
    pub names: TopicNames,
    /// A name for this process that survives its restarts, and that no other process has: it gets its partitions back
    /// at once, where a nameless one is waited for. Empty: nameless.
    pub instance: String,
}

/// Consumes for one handler until shutdown.
pub async fn consume(config: &ConsumerConfig, engine: Engine) -> Result<(), event_store::Error> {
    let consuming = Box::pin(consume_from_where_it_was(config, &engine));
    match select(consuming, std::pin::pin!(engine.keep_gauges())).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((_, consuming)) => consuming.await,
    }
}

async fn consume_from_where_it_was(
    config: &ConsumerConfig,
    engine: &Engine,
) -> Result<(), event_store::Error> {
    if engine.handler.is_volatile() {
        // It parks nothing that could be retried.
        let _ = consume_topics(config, engine).await;
        return Ok(());
    }
    let fed_by = fed_by(&format!("kafka {}", config.names.prefix()), engine.handler.subscription());
    let behind = registry::register(engine.store.pool(), engine.identity(), &fed_by).await?;
    if behind {
        // What Kafka no longer holds. What is published meanwhile waits in the topic.
        if engine.catch_up().await.is_err() {
            return Ok(());
        }
        registry::mark_behind(engine.store.pool(), engine.identity(), None).await?;
    }
    engine.has_caught_up();
    let _ = tokio::join!(consume_topics(config, engine), engine.retry_parked());
    Ok(())
}

async fn consume_topics(config: &ConsumerConfig, engine: &Engine) -> Result<(), Stopped> {
    let mut hiccups = 0;
    loop {
        // The consumer itself would go on trying, and not say why.
        let reached = tokio::select! {
            reached = config.access.check() => reached,
            () = engine.shutdown.cancelled() => return Err(Stopped),
        };
        let ended = match reached {
            Ok(()) => consume_session(config, engine).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match ended {
            Ok(Stopped) => return Err(Stopped),
            Err(error) => {
                hiccups += 1;
                engine.unhandled.source_is_silent();
                tracing::warn!(handler = engine.handler.name(), %error, "consumer starts again");
                engine.wait(pause(hiccups)).await?;
            }
        }
    }
}

async fn consume_session(config: &ConsumerConfig, engine: &Engine) -> Result<Stopped, KafkaError> {
    let subscription = engine.handler.subscription();
    let consumer = match engine.handler.is_volatile() {
        true => {
            let Some(consumer) = from_history(config, engine).await? else { return Ok(Stopped) };
            consumer
        }
        false => subscribed(config, engine)?,
    };
    let mut held_up: HashSet<(String, i32)> = HashSet::new();
    loop {
        let mut batch = Vec::new();
        let mut offsets: HashMap<(String, i32), i64> = HashMap::new();
        let mut take = |message: &BorrowedMessage<'_>| -> Result<(), KafkaError> {
            let partition = (message.topic().to_owned(), message.partition());
            if held_up.contains(&partition) {
                return Ok(());
            }
            match record::read(message) {
                Ok(Record { source, event }) => {
                    let is_wanted = subscription.source == source
                        && subscription.categories.contains(&event.stream.category());
                    if is_wanted {
                        batch.push(Arc::new(event));
                    }
                    offsets.insert(partition, message.offset() + 1);
                }
                Err(error) => {
                    // Its stream is not known, so all that come behind it have to wait.
                    tracing::error!(handler = engine.handler.name(), %error, "partition is held up");
                    engine.unhandled.source_is_silent();
                    hold_up(&consumer, &partition)?;
                    held_up.insert(partition);
                }
            }
            Ok(())
        };
        tokio::select! {
            message = consumer.recv() => take(&message?)?,
            () = engine.shutdown.cancelled() => return Ok(Stopped),
        }
        for _ in 1..BATCH_EVENTS_MAX {
            match tokio::time::timeout(BATCH_WAIT, consumer.recv()).await {
                Ok(message) => take(&message?)?,
                Err(_) => break,
            }
        }
        if held_up.is_empty() {
            engine.unhandled.source_speaks();
        }
        if deliver(engine, batch).await.is_err() {
            return Ok(Stopped);
        }
        if !offsets.is_empty() && !engine.handler.is_volatile() {
            consumer.commit(&committed(offsets)?, CommitMode::Async)?;
        }
    }
}

fn subscribed(config: &ConsumerConfig, engine: &Engine) -> Result<StreamConsumer, KafkaError> {
    let mut settings = settings(config, engine);
    if !config.instance.is_empty() {
        settings.set("group.instance.id", &config.instance);
    }
    let consumer: StreamConsumer = config.access.consumer(&mut settings).create()?;
    let topics = topics(config, engine);
    consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(consumer)
}

/// Begins where Kafka was a little before the history was read to its end, which this does. None: shutdown came first.
async fn from_history(
    config: &ConsumerConfig,
    engine: &Engine,
) -> Result<Option<StreamConsumer>, KafkaError> {
    let consumer: StreamConsumer = config.access.consumer(&mut settings(config, engine)).create()?;
    let topics = topics(config, engine);
    let since = (Timestamp::now() - VISIBLE_AFTER).as_millisecond();
    let shutdown = engine.shutdown.clone();
    let asking = tokio::task::spawn_blocking(move || {
        let positions = positions(&consumer, &topics, since, &shutdown)?;
        Ok::<_, KafkaError>((consumer, positions))
    });
    let asked = tokio::select! {
        asked = asking => asked,
        () = engine.shutdown.cancelled() => return Ok(None),
    };
    let (consumer, positions) = match asked {
        Ok(asked) => asked?,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    if engine.catch_up().await.is_err() {
        return Ok(None);
    }
    engine.has_caught_up();
    consumer.assign(&positions)?;
    // All that came before is here.
    engine.unhandled.source_speaks();
    Ok(Some(consumer))
}

/// The first record of each partition that was written since then, or the end as it is now.
fn positions(
    consumer: &StreamConsumer,
    topics: &BTreeSet<String>,
    since: i64,
    shutdown: &CancellationToken,
) -> Result<TopicPartitionList, KafkaError> {
    let mut times = TopicPartitionList::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_LIMIT)?;
        let partitions: Vec<_> = metadata.topics().iter().flat_map(MetadataTopic::partitions).collect();
        if partitions.is_empty() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        for partition in partitions {
            times.add_partition_offset(topic, partition.id(), Offset::Offset(since))?;
        }
    }
    let mut positions = TopicPartitionList::new();
    for found in consumer.offsets_for_times(times, ANSWER_LIMIT)?.elements() {
        let (topic, partition) = (found.topic(), found.partition());
        let offset = match found.offset() {
            Offset::Offset(offset) => offset,
            _ if shutdown.is_cancelled() => break,
            _ => consumer.fetch_watermarks(topic, partition, ANSWER_LIMIT)?.1,
        };
        positions.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(positions)
}

fn settings(config: &ConsumerConfig, engine: &Engine) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set(
            "group.id",
            format!("{}{}.{}", config.names.prefix(), engine.store.service(), engine.handler.name()),
        )
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        // A killed consumer's partitions move on after this.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1000")
        .set("fetch.wait.max.ms", "20")
        .set("queued.max.messages.kbytes", "16384");
    settings
}

/// One topic may be that of several categories.
fn topics(config: &ConsumerConfig, engine: &Engine) -> BTreeSet<String> {
    let Subscription { source, categories } = engine.handler.subscription();
    categories.iter().map(|category| config.names.topic(source, category)).collect()
}

/// Delivers a batch in as many transactions at once as the handler allows, a stream's events in one of them.
async fn deliver(engine: &Engine, batch: Vec<Arc<RecordedEvent>>) -> Result<(), Stopped> {
    let lanes = engine.handler.concurrency();
    let mut by_lane: Vec<Vec<Arc<RecordedEvent>>> = vec![Vec::new(); lanes];
    for event in batch {
        let mut hasher = DefaultHasher::new();
        event.stream.as_str().hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % lanes as u64).unwrap_or_default();
        by_lane[lane].push(event);
    }
    try_join_all(by_lane.iter().map(|events| engine.deliver(events))).await.map(drop)
}

/// Reads no further in a partition until the next session; its offset stays before what holds it up.
fn hold_up(consumer: &StreamConsumer, (topic, partition): &(String, i32)) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, *partition);
    consumer.pause(&list)
}

fn committed(offsets: HashMap<(String, i32), i64>) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(&topic, partition, Offset::Offset(offset))?;
    }
    Ok(list)
}
