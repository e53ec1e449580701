//! Looks all the time at how far the slot is confirmed, and then at how much Kafka has: never may the first be beyond the second.
//!
//! In this order, because then whatever is confirmed in a sample had to be acknowledged before its second half was read. A broker
//! tells no high watermark that it is not sure of after an election (KIP-207), so that a new leader raises no false alarm.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;

use crate::record::{Partition, consumer};

const EVERY: Duration = Duration::from_millis(20);
/// A partition without a leader is left out of the sample.
const WATERMARK_TIMEOUT: Duration = Duration::from_millis(500);
/// In a request for the offset of a time: the end. One request to each broker, where asking partition by partition takes 50 ms.
const LATEST: Offset = Offset::End;
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) confirmed: u64,
    /// The newest session that has leased the slot.
    pub(crate) epoch: i64,
    pub(crate) is_active: bool,
    /// By partition; None where nobody could say.
    pub(crate) highs: Vec<Option<i64>>,
}

pub(crate) struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    consumer: Arc<BaseConsumer>,
    partitions: Arc<[Partition]>,
    task: JoinHandle<()>,
}

impl Sampler {
    pub(crate) fn start(
        database: PgConnectOptions,
        slot: String,
        bootstrap: &str,
        partitions: Vec<Partition>,
    ) -> Self {
        let (samples, consumer) = (Arc::default(), Arc::new(consumer(bootstrap)));
        let partitions: Arc<[Partition]> = partitions.into();
        let (into, asked, of) = (Arc::clone(&samples), Arc::clone(&consumer), Arc::clone(&partitions));
        let task = tokio::spawn(async move {
            loop {
                // The server is down, or has just been killed.
                let _ = sample(&database, &slot, &asked, &of, &into).await;
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { samples, consumer, partitions, task }
    }

    pub(crate) fn latest(&self) -> Option<Sample> {
        self.samples.lock().unwrap().last().cloned()
    }

    /// How many records there are now, by the partitions that answer; the others count with what they last had.
    pub(crate) async fn records(&self) -> u64 {
        let highs = highs(&self.consumer, &self.partitions).await;
        let samples = self.samples.lock().unwrap();
        let known = highs.iter().enumerate().map(|(partition, high)| {
            high.or_else(|| samples.iter().rev().find_map(|sample| sample.highs[partition])).unwrap_or(0)
        });
        known.map(i64::unsigned_abs).sum()
    }

    /// The broker that leads each partition, -1 for none; None when no broker says.
    pub(crate) fn leaders(&self) -> Option<Vec<i32>> {
        let metadata = self.consumer.fetch_metadata(None, METADATA_TIMEOUT).ok()?;
        let leader = |partition: &Partition| {
            let topic = metadata.topics().iter().find(|topic| topic.name() == partition.topic)?;
            Some(topic.partitions().iter().find(|one| one.id() == partition.number)?.leader())
        };
        self.partitions.iter().map(leader).collect()
    }

    pub(crate) async fn finish(self) -> Vec<Sample> {
        assert!(!self.task.is_finished(), "the sampler has failed");
        self.task.abort();
        let _ = self.task.await;
        std::mem::take(&mut *self.samples.lock().unwrap())
    }
}

async fn sample(
    database: &PgConnectOptions,
    slot: &str,
    consumer: &Arc<BaseConsumer>,
    partitions: &Arc<[Partition]>,
    into: &Mutex<Vec<Sample>>,
) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(database).await?;
    loop {
        let asked = sqlx::query_as::<_, (String, bool, i64)>(
            "select confirmed_flush_lsn::text, active, epoch
             from pg_replication_slots join relay_state on slot = slot_name where slot_name = $1",
        );
        let row = asked.bind(slot).fetch_optional(&mut connection).await?;
        if let Some((confirmed, is_active, epoch)) = row {
            let highs = highs(consumer, partitions).await;
            let confirmed = confirmed.parse::<pgoutput::Lsn>().unwrap().as_u64();
            into.lock().unwrap().push(Sample { confirmed, epoch, is_active, highs });
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn highs(consumer: &Arc<BaseConsumer>, partitions: &Arc<[Partition]>) -> Vec<Option<i64>> {
    let (consumer, partitions) = (Arc::clone(consumer), Arc::clone(partitions));
    let ask = move || {
        let mut asked = TopicPartitionList::new();
        for Partition { topic, number } in &*partitions {
            asked.add_partition_offset(topic, *number, LATEST).unwrap();
        }
        let Ok(told) = consumer.offsets_for_times(asked, WATERMARK_TIMEOUT) else {
            return vec![None; partitions.len()];
        };
        let high = |partition: &Partition| {
            let told = told.find_partition(&partition.topic, partition.number)?;
            told.error().ok()?;
            told.offset().to_raw().filter(|offset| *offset >= 0)
        };
        partitions.iter().map(high).collect()
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}
