//! The writers: transactions of every shape that an application makes, at a rate that spreads them over the campaign.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::postgres::PgConnectOptions;
use sqlx::types::JsonValue;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

const WRITERS: u64 = 6;
const STREAMS: usize = 24;
/// A machine that is slower than was thought still writes something at each fault, and a faster one does not run ahead.
const PER_SECOND_MIN: u64 = 200;
const PER_SECOND_MAX: u64 = 20_000;
const RECONNECT: Duration = Duration::from_millis(50);
/// Of the transactions, in a thousand.
const ROLLED_BACK: u32 = 40;
const SAVEPOINTS: u32 = 80;
const MESSAGES: u32 = 60;
const OTHER_TABLES: u32 = 60;
const SEVERAL: u32 = 300;

/// What the writers know in the end.
#[derive(Default)]
pub(crate) struct Written {
    /// Events whose commit was acknowledged.
    pub(crate) committed: Vec<u128>,
    /// Events that were rolled back, wholly or to a savepoint.
    pub(crate) aborted: Vec<u128>,
    /// Transactions whose outcome nobody was told.
    pub(crate) unknown: u64,
}

pub(crate) struct Load {
    tasks: JoinSet<Written>,
    committed: Arc<AtomicU64>,
    pace: Arc<Pace>,
    target: u64,
}

/// How many events, how fast, and how often a transaction has thousands of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) events: u64,
    pub(crate) events_per_second: u64,
    pub(crate) large_every: u64,
    pub(crate) large_events: usize,
}

impl Load {
    pub(crate) fn start(database: &PgConnectOptions, amount: Amount, seed: u64) -> Self {
        let committed = Arc::new(AtomicU64::new(0));
        let pace = Arc::new(Pace::new(amount.events_per_second));
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            let writer = Writer {
                number,
                random: StdRng::seed_from_u64(seed.wrapping_add(number)),
                streams: Vec::new(),
                generation: 0,
                written: Written::default(),
                next_large: amount.large_every * (number + 1) / WRITERS,
                amount,
                committed: Arc::clone(&committed),
                pace: Arc::clone(&pace),
            };
            tasks.spawn(writer.run(database.clone()));
        }
        Self { tasks, committed, pace, target: amount.events }
    }

    /// How many events are known to be committed.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// What is left, in so much time.
    pub(crate) fn spread_over(&self, rest: Duration) {
        let left = self.target.saturating_sub(self.committed());
        let per_second = left * 1000 / u64::try_from(rest.as_millis()).unwrap().max(1);
        self.pace.per_second.store(per_second.clamp(PER_SECOND_MIN, PER_SECOND_MAX), Ordering::Relaxed);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.committed() >= self.target
    }

    pub(crate) async fn finish(mut self) -> Written {
        let mut all = Written::default();
        while let Some(written) = self.tasks.join_next().await {
            let written = written.unwrap();
            all.committed.extend(written.committed);
            all.aborted.extend(written.aborted);
            all.unknown += written.unknown;
        }
        all
    }
}

/// Lets so many events pass a second, of all writers together. What an outage has cost is not caught up with.
struct Pace {
    due: Mutex<Instant>,
    per_second: AtomicU64,
}

impl Pace {
    fn new(per_second: u64) -> Self {
        Self { due: Mutex::new(Instant::now()), per_second: per_second.into() }
    }

    async fn take(&self, events: u64) {
        let mine = {
            let mut due = self.due.lock().unwrap();
            let mine = Instant::now().max(*due);
            *due = mine + Duration::from_micros(events * 1_000_000 / self.per_second.load(Ordering::Relaxed));
            mine
        };
        tokio::time::sleep_until(mine).await;
    }
}

struct Writer {
    number: u64,
    random: StdRng,
    /// Each with the seq of its last event.
    streams: Vec<(String, i64)>,
    generation: u64,
    written: Written,
    /// The count of committed events at which this writer's next large transaction is due.
    next_large: u64,
    amount: Amount,
    committed: Arc<AtomicU64>,
    pace: Arc<Pace>,
}

/// The arrays of one `append_events`.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) streams: Vec<String>,
    pub(crate) seqs: Vec<i64>,
    pub(crate) ids: Vec<Uuid>,
    pub(crate) datas: Vec<JsonValue>,
}

impl Writer {
    async fn run(mut self, database: PgConnectOptions) -> Written {
        while self.committed.load(Ordering::Relaxed) < self.amount.events {
            // Of these nobody knows how far they came.
            self.found_streams();
            let Ok(mut connection) = PgConnection::connect_with(&database).await else {
                tokio::time::sleep(RECONNECT).await;
                continue;
            };
            if let Err(error) = self.write(&mut connection).await {
                let code = error.as_database_error().and_then(|error| error.code().map(String::from));
                let is_outage = code.as_deref().is_none_or(|code| code.starts_with("57P") || code == "53300");
                assert!(is_outage, "the load cannot be written: {error}");
                self.written.unknown += 1;
            }
        }
        self.written
    }

    fn found_streams(&mut self) {
        self.generation += 1;
        let (number, generation) = (self.number, self.generation);
        let categories = ["account", "transfer"].into_iter().cycle();
        self.streams = (0..STREAMS)
            .zip(categories)
            .map(|(n, category)| (format!("{category}-w{number}g{generation}n{n:02}"), 0))
            .collect();
        self.streams.sort();
    }

    async fn write(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        while self.committed.load(Ordering::Relaxed) < self.amount.events {
            let events = self.events();
            self.pace.take(events as u64).await;
            self.transact(connection, events).await?;
        }
        Ok(())
    }

    fn events(&mut self) -> usize {
        if self.committed.load(Ordering::Relaxed) >= self.next_large {
            self.next_large += self.amount.large_every;
            return self.random.random_range(self.amount.large_events / 2..=self.amount.large_events);
        }
        let is_several = self.random.random_range(0..1000) < SEVERAL;
        if is_several { self.random.random_range(2..=20) } else { 1 }
    }

    /// A committed transaction counts when the server has said so.
    async fn transact(&mut self, connection: &mut PgConnection, events: usize) -> Result<(), sqlx::Error> {
        let rows = self.rows(events);
        let mut of = |share: u32| self.random.random_range(0..1000) < share;
        let (is_rolled_back, has_savepoint) = (of(ROLLED_BACK), of(SAVEPOINTS));
        let (has_message, has_other_table) = (of(MESSAGES), of(OTHER_TABLES));
        let mut transaction = connection.begin().await?;
        if has_message {
            let emit = "select pg_logical_emit_message(true, 'chaos', 'of it'),
                               pg_logical_emit_message(false, 'chaos', 'beside it')";
            sqlx::query(emit).execute(&mut *transaction).await?;
        }
        if has_savepoint {
            let undone = self.rows(events.min(10));
            let mut savepoint = transaction.begin().await?;
            undone.append(&mut savepoint).await?;
            savepoint.rollback().await?;
            self.written.aborted.extend(undone.ids.iter().map(Uuid::as_u128));
        }
        rows.append(&mut transaction).await?;
        if has_other_table {
            let upsert = "insert into cursor (handler, source, stream, seq) values ('chaos', 'core', $1, 1)
                          on conflict (handler, source, stream) do update set seq = cursor.seq + 1";
            sqlx::query(upsert).bind(&rows.streams[0]).execute(&mut *transaction).await?;
        }
        if is_rolled_back {
            transaction.rollback().await?;
            self.written.aborted.extend(rows.ids.iter().map(Uuid::as_u128));
            return Ok(());
        }
        transaction.commit().await?;
        self.committed.fetch_add(rows.ids.len() as u64, Ordering::Relaxed);
        self.written.committed.extend(rows.ids.iter().map(Uuid::as_u128));
        for (stream, seq) in &mut self.streams {
            let last = rows.streams.iter().zip(&rows.seqs).rev().find(|(of, _)| *of == stream);
            *seq = last.map_or(*seq, |(_, last)| *last);
        }
        Ok(())
    }

    /// The next events of some streams, sorted.
    fn rows(&mut self, events: usize) -> Rows {
        let mut rows = Rows::default();
        let first = self.random.random_range(0..self.streams.len());
        let last = self.streams.len().min(first + self.random.random_range(1..=4));
        let streams = &self.streams[first..last];
        for (n, (stream, seq)) in streams.iter().enumerate() {
            let share = events / streams.len() + usize::from(n < events % streams.len());
            for further in (1..=share).map(|further| seq + i64::try_from(further).unwrap()) {
                let padding = self.random.random_range(10..200);
                rows.push(stream, further, Uuid::from_u128(self.random.random()), padding);
            }
        }
        rows
    }
}

impl Rows {
    pub(crate) fn push(&mut self, stream: &str, seq: i64, id: Uuid, padding: usize) {
        self.streams.push(stream.to_owned());
        self.seqs.push(seq);
        self.ids.push(id);
        let text = "x".repeat(padding);
        self.datas.push(serde_json::json!({ "of": format!("{stream}@{seq}"), "padding": text }));
    }

    pub(crate) async fn append(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let metadata = serde_json::json!({ "actor": "service:core/chaos", "causation_kind": "request" });
        sqlx::query("select append_events($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(&self.streams)
            .bind(&self.seqs)
            .bind(&self.ids)
            .bind(vec!["Written"; self.ids.len()])
            .bind(vec![1_i16; self.ids.len()])
            .bind(&self.datas)
            .bind(&self.ids)
            .bind(&self.ids)
            .bind(vec![metadata; self.ids.len()])
            .execute(connection)
            .await?;
        Ok(())
    }
}
