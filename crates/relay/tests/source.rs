//! A service database, a slot name, and relays that run on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_store::Store;
use relay::{Config, Error, OpenSink};
use replication::{Host, Lsn, SlotName};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use testbed::{TestDatabase, eventually, patience, unique};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Source {
    pub(crate) database: TestDatabase,
    pub(crate) slot: String,
    pub(crate) store: Store,
    superuser: PgPool,
}

pub(crate) struct Relay {
    shutdown: CancellationToken,
    relaying: Arc<AtomicBool>,
    task: JoinHandle<Result<(), Error>>,
}

impl Source {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create("core").await;
        let store = database.store().await;
        let superuser = PgPool::connect_with(database.superuser().clone()).await.unwrap();
        Self { database, slot: unique("relay"), store, superuser }
    }

    pub(crate) fn config(&self) -> Config {
        let (user, password, host, port) = self.database.relay_login();
        let replication = replication::Config {
            password: Some(password.as_str().into()),
            ..replication::Config::new(Host::Tcp { host, port }, user, &self.database.name)
        };
        Config {
            replication,
            slot: SlotName::new(&*self.slot).unwrap(),
            publication: "lunaria".to_owned(),
            relaying: Arc::default(),
        }
    }

    /// Starts a relay and waits until it reads the slot.
    pub(crate) async fn relay(&self, open: impl OpenSink<Sink: Sync> + 'static) -> Relay {
        let relay = self.try_relay(open);
        eventually("the relay reads its slot", async || {
            assert!(!relay.task.is_finished(), "the relay has ended");
            relay.relaying.load(Ordering::Acquire).then_some(())
        })
        .await;
        relay
    }

    pub(crate) fn try_relay(&self, open: impl OpenSink<Sink: Sync> + 'static) -> Relay {
        let (config, shutdown) = (self.config(), CancellationToken::new());
        let relaying = Arc::clone(&config.relaying);
        let task = tokio::spawn(relay::run(config, open, shutdown.clone()));
        Relay { shutdown, relaying, task }
    }

    pub(crate) async fn append(&self, stream: &str, seq: i64) {
        append_in(&mut self.store.pool().acquire().await.unwrap(), stream, seq..=seq).await;
    }

    pub(crate) async fn superuser(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.superuser).await.unwrap();
    }

    pub(crate) async fn ask<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.superuser).await.unwrap()
    }

    /// Where the server's log ends now.
    pub(crate) async fn wal_end(&self) -> Lsn {
        self.ask::<String>("select pg_current_wal_insert_lsn()::text").await.parse().unwrap()
    }

    pub(crate) async fn confirmed(&self) -> Lsn {
        let confirmed = "select confirmed_flush_lsn::text from pg_replication_slots where slot_name";
        self.ask::<String>(&format!("{confirmed} = '{}'", self.slot)).await.parse().unwrap()
    }

    pub(crate) async fn until_confirmed(&self, lsn: Lsn) {
        eventually("the slot is confirmed", async || (self.confirmed().await >= lsn).then_some(())).await;
    }

    /// Waits until the server has had two more status updates of the relay.
    pub(crate) async fn until_the_relay_has_reported(&self) {
        for _ in 0..2 {
            let now: String = self.ask("select clock_timestamp()::text").await;
            let reported = format!(
                "select count(*) > 0 from pg_stat_replication join pg_replication_slots on pid = active_pid
                 where slot_name = '{}' and reply_time > '{now}'",
                self.slot
            );
            eventually("a status update", async || self.ask::<bool>(&reported).await.then_some(())).await;
        }
    }

    pub(crate) async fn drop(self) {
        self.store.pool().close().await;
        self.superuser.close().await;
        self.database.drop_database().await;
    }
}

impl Relay {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Waits until the relay has halted; returns why, and what to do.
    pub(crate) async fn halted(self) -> (String, String) {
        match tokio::time::timeout(patience(), self.task).await.expect("the relay never halted").unwrap() {
            Err(Error::Halted { reason, remedy }) => (reason, remedy),
            outcome => panic!("the relay did not halt: {outcome:?}"),
        }
    }
}

/// Appends these seqs of a stream in the transaction that is open on `connection`, if one is.
pub(crate) async fn append_in(
    connection: &mut PgConnection,
    stream: &str,
    seqs: std::ops::RangeInclusive<i64>,
) {
    sqlx::query(
        r#"select append_events(
            array_agg($1::text), array_agg(n), array_agg(gen_random_uuid()), array_agg('Entered'::text),
            array_agg(1::smallint), array_agg(jsonb_build_object('n', n)), array_agg(gen_random_uuid()),
            array_agg(gen_random_uuid()), array_agg('{"actor": "test", "causation_kind": "request"}'::jsonb))
           from generate_series($2::bigint, $3::bigint) as n"#,
    )
    .bind(stream)
    .bind(seqs.start())
    .bind(seqs.end())
    .execute(connection)
    .await
    .unwrap();
}
