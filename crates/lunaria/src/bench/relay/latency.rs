//! How long an event takes, at a rate that the writers keep whatever the answers do, and how far the slot is behind.
//!
//! Each event carries when it was due to be appended. A consumer of its own reads the topic and takes the time since
//! then, so that a stall counts for every event that it held up. What the relay itself counts, from the commit to the
//! acknowledgement, is beside it, and what the appends alone took: nothing behind them can be faster.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use event::NewEvent;
use event_store::Store;
use hdrhistogram::Histogram;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::child::RelayChild;
use super::figure;
use super::ground::Ground;
use crate::bench::figure::{Figure, quantile_ms};
use crate::bench::{age_log, append};

const WRITERS: u32 = 16;
/// Of the same load, and not counted: until then the broker's Java compiles more than it serves.
const WARM_SECONDS: u32 = 20;
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
const CONFIRM_LAG_LIMIT_MS: f64 = 1_000.0;
/// What is due is written by then, or the machine cannot keep the rate.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(30);
const DUE: &str = "{\"due\": ";

/// A load, and the limits of the relay's own count under it.
pub(super) struct Load {
    /// And the database.
    pub(super) slot: &'static str,
    transactions_per_second: u32,
    transaction_events: u32,
    names: [&'static str; 7],
    limits_ms: [f64; 2],
}

pub(super) const LOADS: [Load; 2] = [
    Load {
        slot: "latency_2k",
        transactions_per_second: 2_000,
        transaction_events: 1,
        names: [
            "relay.commit_to_ack_p50.2k",
            "relay.commit_to_ack_p99.2k",
            "relay.due_to_committed_p50.2k",
            "relay.due_to_committed_p99.2k",
            "relay.due_to_consumer_p50.2k",
            "relay.due_to_consumer_p99.2k",
            "relay.confirm_lag.2k",
        ],
        limits_ms: [4.0, 15.0],
    },
    Load {
        slot: "latency_10k",
        transactions_per_second: 1_000,
        transaction_events: 10,
        names: [
            "relay.commit_to_ack_p50.10k",
            "relay.commit_to_ack_p99.10k",
            "relay.due_to_committed_p50.10k",
            "relay.due_to_committed_p99.10k",
            "relay.due_to_consumer_p50.10k",
            "relay.due_to_consumer_p99.10k",
            "relay.confirm_lag.10k",
        ],
        limits_ms: [5.0, 25.0],
    },
];

#[expect(clippy::float_arithmetic, reason = "milliseconds, far from any money")]
pub(super) async fn measure(ground: &Ground, load: &Load, seconds: u32) -> anyhow::Result<Vec<Figure>> {
    age_log(&mut ground.connection().await?).await?;
    ground.make_slots(&[load.slot]).await?;
    let relay = RelayChild::start(ground, load.slot, &[]).await?;
    let transactions = load.transactions_per_second * seconds;
    let store = ground.store(WRITERS, "on").await?;
    append_at_rate(&store, load, load.transactions_per_second * WARM_SECONDS).await?;
    ground.until_confirmed(load.slot, ground.log_end().await?, |_| {}).await?;
    let warm = Acknowledged::read(&relay.ops_url).await?;
    let consumer =
        Consuming::start(&ground.brokers, load.slot, transactions * load.transaction_events).await?;
    let confirm_lag = sample_confirm_lag(ground, load.slot).await?;
    let appended = append_at_rate(&store, load, transactions).await?;
    store.pool().close().await;
    let seen = consumer.finish().await?;
    let lag = confirm_lag.finish().await?;
    let acknowledged = Acknowledged::read(&relay.ops_url).await?.since(&warm);
    relay.stop().await?;
    ground.drop_slot(load.slot).await?;
    let [ack_50, ack_99, committed_50, committed_99, due_50, due_99, lag_name] = load.names;
    Ok(vec![
        figure(ack_50, acknowledged.quantile_ms(0.5), "ms", Some(load.limits_ms[0])),
        figure(ack_99, acknowledged.quantile_ms(0.99), "ms", Some(load.limits_ms[1])),
        figure(committed_50, quantile_ms(&appended, 0.5), "ms", None),
        figure(committed_99, quantile_ms(&appended, 0.99), "ms", None),
        figure(due_50, quantile_ms(&seen, 0.5), "ms", None),
        figure(due_99, quantile_ms(&seen, 0.99), "ms", None),
        figure(lag_name, lag.as_secs_f64() * 1_000.0, "ms", Some(CONFIRM_LAG_LIMIT_MS)),
    ])
}

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Each transaction when it is due, whatever became of those before. Returns how long after that it was committed.
async fn append_at_rate(store: &Store, load: &Load, transactions: u32) -> anyhow::Result<Histogram<u64>> {
    let (due, arrives) = mpsc::unbounded_channel();
    let pause = Duration::from_secs(1) / load.transactions_per_second;
    // A thread of its own: the runtime's timer is a millisecond too coarse.
    let clock = std::thread::spawn(move || {
        let (start, start_micros) = (Instant::now(), micros());
        for n in 0..transactions {
            std::thread::sleep((start + pause * n).saturating_duration_since(Instant::now()));
            let after = u64::try_from((pause * n).as_micros()).unwrap_or(u64::MAX);
            if due.send(start_micros + after).is_err() {
                return;
            }
        }
    });
    let (arrives, events) = (Arc::new(Mutex::new(arrives)), load.transaction_events);
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, arrives) = (store.clone(), Arc::clone(&arrives));
        writers.spawn(async move {
            let mut took = Histogram::<u64>::new(3)?;
            loop {
                let Some(due) = arrives.lock().await.recv().await else { return anyhow::Ok(took) };
                let events = (0..events).map(|_| event(due)).collect::<anyhow::Result<Vec<_>>>()?;
                store.append(events).await?;
                took.record(micros().saturating_sub(due))?;
            }
        });
    }
    let mut took = Histogram::new(3)?;
    while let Some(writer) = writers.join_next().await {
        took.add(writer??)?;
    }
    clock.join().map_err(|_| anyhow::anyhow!("the clock has panicked"))?;
    Ok(took)
}

/// The bench's event, with when it was due at its front.
fn event(due: u64) -> anyhow::Result<NewEvent> {
    let event = append::event()?;
    let data = event.data.get().replacen('{', &format!("{{\"due\":{due},"), 1);
    Ok(NewEvent { data: RawValue::from_string(data)?, event_type: Cow::Borrowed("Due"), ..event })
}

/// An ordinary consumer on a thread of its own.
struct Consuming {
    taken: JoinHandle<anyhow::Result<Histogram<u64>>>,
}

impl Consuming {
    /// Returns when it has read what stands there already. Counts what is due from then on.
    async fn start(brokers: &str, slot: &str, events: u32) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", format!("{slot}.bench"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .create()?;
        consumer.subscribe(&[&format!("{slot}.core.account")])?;
        let (joined, reads) = oneshot::channel();
        let taken = tokio::task::spawn_blocking(move || take(&consumer, joined, events));
        // Dropped when the task has failed, which its result tells.
        let _ = reads.await;
        Ok(Self { taken })
    }

    async fn finish(self) -> anyhow::Result<Histogram<u64>> {
        self.taken.await?
    }
}

fn take(consumer: &BaseConsumer, joined: oneshot::Sender<()>, events: u32) -> anyhow::Result<Histogram<u64>> {
    let (mut histogram, mut joined) = (Histogram::new(3)?, Some(joined));
    let (mut last, mut has_begun, mut counted_from) = (Instant::now(), false, u64::MAX);
    while histogram.len() < u64::from(events) {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            ensure!(last.elapsed() < ARRIVAL_LIMIT, "{} of {events} events arrived", histogram.len());
            if let Some(joined) = joined.take_if(|_| has_begun) {
                counted_from = micros();
                let _ = joined.send(());
            }
            continue;
        };
        let message = message?;
        has_begun = true;
        let payload = std::str::from_utf8(message.payload().unwrap_or_default())?;
        // Postgres puts the shortest keys of a jsonb first.
        let due = payload.strip_prefix(DUE).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
        if let Some(due) = due.filter(|due| *due >= counted_from) {
            histogram.record(micros().saturating_sub(due))?;
            last = Instant::now();
        }
    }
    Ok(histogram)
}

/// Looks where the log and the slot stand; the lag is since when the log has been further than the slot is now.
struct ConfirmLag {
    stop: Arc<AtomicBool>,
    worst_micros: Arc<AtomicU64>,
    sampling: JoinHandle<anyhow::Result<()>>,
}

async fn sample_confirm_lag(ground: &Ground, slot: &str) -> anyhow::Result<ConfirmLag> {
    let (stop, worst_micros) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stopped, worst) = (Arc::clone(&stop), Arc::clone(&worst_micros));
    let (mut connection, slot) = (ground.connection().await?, slot.to_owned());
    let sampling = tokio::spawn(async move {
        let mut written: VecDeque<(Instant, i64)> = VecDeque::new();
        while !stopped.load(Ordering::Relaxed) {
            let (end, confirmed): (i64, i64) = sqlx::query_as(
                "select (pg_current_wal_lsn() - '0/0')::int8, (confirmed_flush_lsn - '0/0')::int8
                 from pg_replication_slots where slot_name = $1",
            )
            .bind(&slot)
            .fetch_one(&mut connection)
            .await?;
            written.push_back((Instant::now(), end));
            while written.front().is_some_and(|(_, end)| *end <= confirmed) {
                written.pop_front();
            }
            let lag = written.front().map_or(Duration::ZERO, |(then, _)| then.elapsed());
            worst.fetch_max(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            tokio::time::sleep(SAMPLE_EVERY).await;
        }
        Ok(())
    });
    Ok(ConfirmLag { stop, worst_micros, sampling })
}

impl ConfirmLag {
    async fn finish(self) -> anyhow::Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.sampling.await??;
        Ok(Duration::from_micros(self.worst_micros.load(Ordering::Relaxed)))
    }
}

/// The relay's histogram from commit to acknowledgement: upper bounds in seconds, with how many are within.
struct Acknowledged(Vec<(f64, f64)>);

impl Acknowledged {
    async fn read(ops_url: &str) -> anyhow::Result<Self> {
        let text = reqwest::get(format!("{ops_url}/metrics")).await?.text().await?;
        let bucket = |line: &str| -> Option<(f64, f64)> {
            let rest =
                line.strip_prefix("lunaria_relay_commit_to_ack_seconds_bucket{service=\"core\",le=\"")?;
            let (bound, count) = rest.split_once("\"} ")?;
            Some((bound.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?))
        };
        let buckets: Vec<_> = text.lines().filter_map(bucket).collect();
        ensure!(!buckets.is_empty(), "the relay exports no commit_to_ack");
        Ok(Self(buckets))
    }

    #[expect(clippy::float_arithmetic, reason = "counts, far from any money")]
    fn since(self, before: &Self) -> Self {
        let counts = self.0.iter().zip(&before.0);
        Self(counts.map(|((bound, count), (_, before))| (*bound, count - before)).collect())
    }

    /// Within its bucket as if evenly spread.
    #[expect(clippy::float_arithmetic, reason = "milliseconds, far from any money")]
    fn quantile_ms(&self, quantile: f64) -> f64 {
        let wanted = self.0.last().map_or(0.0, |(_, all)| all * quantile);
        let (mut below, mut lower) = (0.0, 0.0);
        for (upper, count) in &self.0 {
            if *count >= wanted {
                let share = if *count > below { (wanted - below) / (count - below) } else { 1.0 };
                return if upper.is_finite() {
                    (lower + (upper - lower) * share) * 1_000.0
                } else {
                    f64::INFINITY
                };
            }
            (below, lower) = (*count, *upper);
        }
        f64::INFINITY
    }
}
