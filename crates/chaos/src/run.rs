//! One run: a database with two relays on it, watched from its first event to the verdict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use replication::{Config, Host};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tempfile::TempDir;
use testbed::{Proxy, TestDatabase, eventually, unique};
use uuid::Uuid;

use crate::checker::{Checker, TableRow};
use crate::figures::{Figures, milliseconds};
use crate::load::{Rows, Written};
use crate::nemesis::Inflicted;
use crate::record::{Partition, hash, read_all};
use crate::relays::{Program, RELAYS, Relays, Session};
use crate::sampler::Sampler;
use crate::site::Site;
use crate::violations::Violations;
use crate::witness::Witness;

/// The categories that are written, and so the topics that are read.
pub(crate) const CATEGORIES: [&str; 2] = ["account", "transfer"];
pub(crate) const PARTITIONS: i32 = 3;
/// C13: from the last fault's end to a lag of zero. A broker that was killed last takes most of it.
const LAG_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

pub(crate) struct Run {
    pub(crate) site: Arc<Site>,
    pub(crate) database: TestDatabase,
    pub(crate) relays: Relays,
    /// One in front of the server for each relay.
    pub(crate) relay_proxies: Vec<Proxy>,
    pub(crate) witness: Witness,
    pub(crate) sampler: Sampler,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) faults: Vec<Inflicted>,
    /// The last words of relays that ended by themselves, without a halt, and were started again, as a supervisor does.
    pub(crate) restarted: Vec<String>,
    started: Instant,
    // Removed last.
    _directory: TempDir,
}

/// What the checks came to.
pub struct Verdict {
    pub violations: Violations,
    /// Why a relay stopped for good, if one did.
    pub halt: Option<String>,
    pub figures: Figures,
    /// The relays' last words, when there is something to explain.
    pub log: String,
}

impl Run {
    /// Returns when a relay reads the slot, before the first event.
    pub(crate) async fn start(site: &Arc<Site>, program: &Program) -> Self {
        let database = TestDatabase::create_on(site.postgres.superuser(), "core").await;
        let directory = tempfile::Builder::new().prefix("lunaria-chaos-").tempdir().unwrap();
        let mut relay_proxies = Vec::new();
        for _ in 0..RELAYS {
            relay_proxies.push(Proxy::start(site.postgres.port()).await);
        }
        let prefix = unique("c").replace('_', "-") + ".";
        let configs = [0, 1].map(|relay| config(site, &database, relay_proxies[relay].port(), &prefix));
        let mut relays = Relays::new(program.clone(), directory.path(), configs);
        let (user, password, host, port) = database.relay_login();
        let login = Config {
            password: Some(password.as_str().into()),
            application_name: "witness".to_owned(),
            ..Config::new(Host::Tcp { host, port }, user, &database.name)
        };
        let witness = Witness::start(login, &format!("{}_witness", database.name)).await;
        let partitions: Vec<Partition> = CATEGORIES
            .iter()
            .flat_map(|category| (0..PARTITIONS).map(move |number| (category, number)))
            .map(|(category, number)| Partition { topic: format!("{prefix}core.{category}"), number })
            .collect();
        relays.start_all();
        let bootstrap = site.kafka.bootstrap();
        let (superuser, slot) = (database.superuser().clone(), database.name.clone());
        let sampler = Sampler::start(superuser, slot, bootstrap, partitions.clone());
        let started = Instant::now();
        let (faults, site) = (Vec::new(), Arc::clone(site));
        let restarted = Vec::new();
        let run = Self {
            site,
            database,
            relays,
            relay_proxies,
            witness,
            sampler,
            partitions,
            faults,
            restarted,
            started,
            _directory: directory,
        };
        eventually("a relay reads the slot", async || run.session_after(0)).await;
        run
    }

    /// The session that reads the slot, once it is newer than `epoch`: as the server sees it, and as the relay says.
    pub(crate) fn session_after(&self, epoch: i64) -> Option<Session> {
        let latest = self.sampler.latest().filter(|latest| latest.is_active && latest.epoch > epoch)?;
        self.relays.leader().filter(|leader| leader.epoch == latest.epoch)
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.sampler.latest().map_or(0, |sample| sample.epoch)
    }

    /// Does what a supervisor does. Returns false once a relay has halted.
    pub(crate) fn tend(&mut self) -> bool {
        for relay in self.relays.ended() {
            if self.relays.halt().is_some() {
                return false;
            }
            self.restarted.push(self.relays.last_line(relay));
            self.relays.start(relay);
        }
        true
    }

    /// Waits, within a limit, and tends the relays meanwhile. Returns whether it came true.
    pub(crate) async fn within(&mut self, limit: Duration, is_true: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if is_true(self) {
                return true;
            }
            if !self.tend() || Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// One transaction, outside of any load: the stream's events from `seqs`, each with so much padding.
    pub(crate) async fn append(&self, stream: &str, seqs: std::ops::RangeInclusive<i64>, padding: usize) {
        let mut connection = PgConnection::connect_with(&self.database.application()).await.unwrap();
        rows(stream, seqs, padding).append(&mut connection).await.unwrap();
    }

    /// Until all that has been committed is with Kafka, and confirmed; for the beginning of a scenario.
    pub(crate) async fn settle(&mut self) -> bool {
        let Some(end) = self.end_of_log().await else { return false };
        self.witness.reach(end).await;
        let last = self.witness.log().end;
        self.within(LAG_LIMIT, |run| run.sampler.latest().is_some_and(|sample| sample.confirmed >= last))
            .await
    }

    async fn end_of_log(&self) -> Option<u64> {
        let mut connection = PgConnection::connect_with(self.database.superuser()).await.ok()?;
        // So that the server has something to tell of after the last commit.
        let text: String = sqlx::query_scalar("select pg_logical_emit_message(false, 'chaos', 'end')::text")
            .fetch_one(&mut connection)
            .await
            .ok()?;
        Some(text.parse::<pgoutput::Lsn>().unwrap().as_u64())
    }

    /// Reads everything, each from where it cannot change any more, and judges it. Faults have to be healed before.
    pub(crate) async fn finish(mut self, written: Written) -> Verdict {
        let healed = Instant::now();
        let is_settled = self.settle().await;
        let lag = healed.elapsed();
        self.relays.kill_all();
        let halt = self.relays.halt();
        let rows = self.table().await;
        let samples = self.sampler.finish().await;
        let log = self.witness.finish().await;

        let checking = Instant::now();
        let mut checker = Checker::new(&log, &self.faults, self.partitions.len());
        checker.table(&rows, &written);
        let mut digests = [0_u64; 2];
        let bootstrap = self.site.kafka.bootstrap();
        tokio::task::block_in_place(|| {
            read_all(bootstrap, &self.partitions, |record| {
                digests[0] = digest(digests[0], record);
                checker.record(record);
            });
            read_all(bootstrap, &self.partitions, |record| digests[1] = digest(digests[1], record));
        });
        checker.finish(&samples);
        if digests[0] != digests[1] {
            checker.violations.add("C16 offsets", || "two consumers have read different records".to_owned());
        }
        if !is_settled && halt.is_none() {
            let limit_s = LAG_LIMIT.as_secs();
            checker.violations.add("C13 lag", || format!("there was a lag {limit_s} s after the last fault"));
        }
        let resent = checker.resent(&samples);
        let mut figures = Figures::default();
        figures.put("events", log.events.len());
        figures.put("transactions", log.transactions);
        figures.put("transactions of unknown outcome", written.unknown);
        figures.put("records", checker.records);
        figures.put("duplicates", checker.duplicates);
        figures.put("sent before, and skipped by the next session", resent);
        figures.put("sessions", samples.last().map_or(0, |sample| sample.epoch));
        figures.put("relays that ended by themselves", self.restarted.len());
        self.restarted.iter().take(3).for_each(|words| figures.put("  such as", words));
        figures.put("samples of the slot", samples.len());
        figures.put("lag zero after healing", milliseconds(lag));
        let rate = checker.records * 1000 / u64::try_from(checking.elapsed().as_millis()).unwrap().max(1);
        figures.put("checker, records per second", rate);
        figures.put("whole run", milliseconds(self.started.elapsed()));
        judge_duplicates(&mut checker, &self.faults);
        let violations = std::mem::take(&mut checker.violations);
        let is_well = violations.is_empty() && halt.is_none();
        let log = if is_well { String::new() } else { self.relays.last_words() };
        let verdict = Verdict { violations, halt, figures, log };
        drop(checker);
        self.database.drop_database().await;
        verdict
    }

    async fn table(&self) -> Vec<TableRow> {
        let mut connection = PgConnection::connect_with(self.database.superuser()).await.unwrap();
        let all = "select id, stream, seq, type, version, data::text, correlation_id, causation_id,
                          metadata::text from event";
        let rows = sqlx::query(all).fetch_all(&mut connection).await.unwrap();
        let row = |row: sqlx::postgres::PgRow| TableRow {
            id: row.get::<Uuid, _>(0).as_u128(),
            stream: row.get(1),
            seq: row.get(2),
            hash: hash(
                row.get::<&str, _>(3).as_bytes(),
                row.get(4),
                row.get::<&str, _>(5).as_bytes(),
                row.get(6),
                row.get(7),
                row.get::<&str, _>(8).as_bytes(),
            ),
        };
        rows.into_iter().map(row).collect()
    }

    pub(crate) async fn slot_exists(&self) -> bool {
        let mut connection = PgConnection::connect_with(self.database.superuser()).await.unwrap();
        let exists = "select exists (select from pg_replication_slots where slot_name = $1)";
        sqlx::query_scalar(exists).bind(&self.database.name).fetch_one(&mut connection).await.unwrap()
    }

    pub(crate) async fn superuser(&self, sql: &str) {
        let mut connection = PgConnection::connect_with(self.database.superuser()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }
}

/// At most what was under way when the faults came.
fn judge_duplicates(checker: &mut Checker<'_>, faults: &[Inflicted]) {
    let in_flight: u64 = faults.iter().map(|fault| fault.in_flight).sum();
    let duplicates = checker.duplicates;
    if duplicates > in_flight {
        checker.violations.add("C3 duplicate", || {
            format!("{duplicates} duplicates, and {in_flight} events under way at the faults")
        });
    }
}

/// Independent of the order in which partitions are read.
fn digest(before: u64, record: &crate::record::Record<'_>) -> u64 {
    let place = record.offset.unsigned_abs() << 8 | record.partition as u64;
    before.wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ record.hash.wrapping_mul(place | 1))
}

pub(crate) fn rows(stream: &str, seqs: std::ops::RangeInclusive<i64>, padding: usize) -> Rows {
    let mut rows = Rows::default();
    seqs.for_each(|seq| rows.push(stream, seq, Uuid::from_u128(rand::random()), padding));
    rows
}

fn config(site: &Site, database: &TestDatabase, port: u16, prefix: &str) -> String {
    let through = database.at_port(port);
    let (application, relay, slot) = (through.application_url(), through.relay_url(), &database.name);
    let (brokers, replication) = (site.kafka.proxied_bootstrap(), site.brokers.min(3));
    format!(
        "transport = \"kafka\"
ops.listen = \"127.0.0.1:0\"
kafka = {{ brokers = \"{brokers}\", prefix = \"{prefix}\", partitions = {PARTITIONS}, replication = {replication} }}
core.database = {{ database_url = \"{application}\", relay_url = \"{relay}\", slot = \"{slot}\", connections_max = 4 }}
"
    )
}
