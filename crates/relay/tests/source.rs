//! A service database, a slot name, and relays that run on them.

use std::time::Duration;

use event_store::Store;
use local_servers::PostgresCluster;
use relay::{Cause, Config, Error, OpenSink, Phase, Refilled, Status};
use replication::{Host, Lsn, SlotName};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use testbed::{TestDatabase, eventually, patience, unique};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Often enough that no test waits for it.
const WATCH_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Source {
    pub(crate) database: TestDatabase,
    pub(crate) slot: String,
    pub(crate) store: Store,
    superuser: PgPool,
}

pub(crate) struct Relay {
    shutdown: CancellationToken,
    pub(crate) status: Status,
    task: JoinHandle<Result<(), Error>>,
}

impl Source {
    pub(crate) async fn create() -> Self {
        Self::of(TestDatabase::create("core").await).await
    }

    /// On a cluster of the test's own.
    pub(crate) async fn on(cluster: &PostgresCluster) -> Self {
        Self::on_server(&cluster.superuser_url("postgres").parse().unwrap()).await
    }

    pub(crate) async fn on_server(superuser: &PgConnectOptions) -> Self {
        Self::of(TestDatabase::create_on(superuser, "core").await).await
    }

    async fn of(database: TestDatabase) -> Self {
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
        let slot = SlotName::new(&*self.slot).unwrap();
        Config { watch_every: WATCH_EVERY, ..Config::new("core", replication, slot, "lunaria") }
    }

    /// Starts a relay and waits until it reads the slot.
    pub(crate) async fn relay(&self, open: impl OpenSink<Sink: Sync> + 'static) -> Relay {
        let relay = self.try_relay(open);
        relay.until_relaying().await;
        relay
    }

    pub(crate) fn try_relay(&self, open: impl OpenSink<Sink: Sync> + 'static) -> Relay {
        Relay::start(self.config(), open)
    }

    pub(crate) async fn refill(&self, open: &impl OpenSink) -> Result<Refilled, Error> {
        relay::refill(&self.config(), open, &|_| (), &CancellationToken::new()).await
    }

    pub(crate) async fn append(&self, stream: &str, seq: i64) {
        append_in(&mut self.store.pool().acquire().await.unwrap(), stream, seq..=seq).await;
    }

    pub(crate) async fn superuser(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.superuser).await.unwrap();
    }

    /// Has every commit from now on wait for the standby of this name.
    pub(crate) async fn wait_for_standby(&self, name: &str) {
        self.superuser(&format!("alter system set synchronous_standby_names = '{name}'")).await;
        self.superuser("select pg_reload_conf()").await;
        // A session that begins with the setting shows that the server has told all its processes.
        eventually("the server has read its settings", async || {
            let mut session = self.database.superuser_connection().await;
            let names = "select current_setting('synchronous_standby_names')";
            let now = sqlx::query_scalar::<_, String>(names).fetch_one(&mut session).await.unwrap();
            session.close().await.unwrap();
            (now == name).then_some(())
        })
        .await;
        // It is the checkpointer that lets commits wait, and it reads its settings before it obeys.
        self.superuser("checkpoint").await;
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

    /// Waits until the slot is confirmed up to there. The last few bytes of an idle log are not worth a confirm, so
    /// that some more are written first.
    pub(crate) async fn until_confirmed(&self, lsn: Lsn) {
        self.superuser("select pg_logical_emit_message(false, 'test', repeat('x', 200000))").await;
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

    /// The server process that reads the slot.
    pub(crate) async fn active_pid(&self) -> Option<i32> {
        self.ask(&format!(
            "select max(active_pid) from pg_replication_slots where slot_name = '{}'",
            self.slot
        ))
        .await
    }

    /// A column of the slot's row in `relay_state`, as text.
    pub(crate) async fn state(&self, column: &str) -> Option<String> {
        self.ask(&format!("select max({column}::text) from relay_state where slot = '{}'", self.slot)).await
    }

    pub(crate) async fn set_state(&self, assignment: &str) {
        self.superuser(&format!("update relay_state set {assignment} where slot = '{}'", self.slot)).await;
    }

    pub(crate) async fn drop_slot(&self) {
        self.superuser(&format!("select pg_drop_replication_slot('{}')", self.slot)).await;
    }

    /// For a server that ends anyway.
    pub(crate) async fn close(self) {
        self.store.pool().close().await;
        self.superuser.close().await;
    }

    pub(crate) async fn drop(self) {
        self.store.pool().close().await;
        self.superuser.close().await;
        self.database.drop_database().await;
    }
}

impl Relay {
    pub(crate) fn start(config: Config, open: impl OpenSink<Sink: Sync> + 'static) -> Self {
        let shutdown = CancellationToken::new();
        let status = config.status.clone();
        let task = tokio::spawn(relay::run(config, open, shutdown.clone()));
        Self { shutdown, status, task }
    }

    pub(crate) async fn until_relaying(&self) {
        eventually("the relay reads its slot", async || {
            assert!(!self.task.is_finished(), "the relay has ended");
            (self.status.report().phase == Phase::Relaying).then_some(())
        })
        .await;
    }

    pub(crate) async fn until(&self, phase: Phase) {
        let mut reports = self.status.subscribe();
        let reached = reports.wait_for(|report| report.phase == phase);
        tokio::time::timeout(patience(), reached).await.expect("the phase is never reached").unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// As a kill -9 would: nothing more is confirmed, and the connections close.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    /// Waits until the relay has halted; returns why, and what to do.
    pub(crate) async fn halted(self) -> (String, String) {
        let (_, reason, remedy) = self.halted_by().await;
        (reason, remedy)
    }

    pub(crate) async fn halted_by(self) -> (Cause, String, String) {
        match tokio::time::timeout(patience(), self.task).await.expect("the relay never halted").unwrap() {
            Err(Error::Halted { cause, reason, remedy }) => {
                let report = self.status.report();
                assert_eq!((report.phase, report.cause), (Phase::Halted, Some(cause)));
                (cause, reason, remedy)
            }
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
