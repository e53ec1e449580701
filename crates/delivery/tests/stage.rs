//! A database with events, a table for effects, and a look at both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use delivery::{Elsewhere, Engine, Feed, Handler, History};
use event::{RecordedEvent, Seq};
use event_store::Store;
use sqlx::AssertSqlSafe;
use testbed::{TestDatabase, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) type Events = Vec<Arc<RecordedEvent>>;

pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
}

/// A feed with its worker, as it runs beside a relay.
pub(crate) struct Fed {
    pub(crate) feed: Arc<Feed>,
    settled: Arc<AtomicUsize>,
    shutdown: CancellationToken,
    worker: JoinHandle<()>,
}

impl Stage {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create("core").await;
        let mut superuser = database.superuser_connection().await;
        sqlx::raw_sql(
            "create table effect (n bigint generated always as identity, handler text, stream text, seq bigint);
             grant all on effect to lunaria_app",
        )
        .execute(&mut superuser)
        .await
        .unwrap();
        let store = database.store().await;
        Self { database, store }
    }

    pub(crate) fn engine(&self, handler: impl Handler, shutdown: &CancellationToken) -> Engine {
        let history = Arc::new(self.store.clone());
        Engine::new(Arc::new(handler), self.store.clone(), history, shutdown.clone())
    }

    pub(crate) async fn feed(&self, handler: impl Handler) -> Fed {
        self.feed_from(handler, Arc::new(self.store.clone())).await
    }

    pub(crate) async fn feed_from(&self, handler: impl Handler, history: Arc<dyn History>) -> Fed {
        let shutdown = CancellationToken::new();
        let engine = Engine::new(Arc::new(handler), self.store.clone(), history, shutdown.clone());
        Fed::start(engine, shutdown).await
    }

    pub(crate) fn engine_elsewhere(&self, view: Arc<dyn Elsewhere>, shutdown: &CancellationToken) -> Engine {
        Engine::elsewhere(view, self.store.clone(), Arc::new(self.store.clone()), shutdown.clone())
    }

    pub(crate) async fn feed_elsewhere(&self, view: Arc<dyn Elsewhere>) -> Fed {
        let (name, is_volatile) = (view.name(), view.is_volatile());
        let fed = self.feed_now(view).await;
        if !is_volatile {
            self.until_joined(name).await;
        }
        fed
    }

    /// While it still catches up.
    pub(crate) async fn feed_now(&self, view: Arc<dyn Elsewhere>) -> Fed {
        let shutdown = CancellationToken::new();
        Fed::start(self.engine_elsewhere(view, &shutdown), shutdown).await
    }

    /// A feed whose handler has caught up with the history.
    pub(crate) async fn joined_feed(&self, handler: impl Handler) -> Fed {
        let name = handler.name();
        let fed = self.feed(handler).await;
        self.until_joined(name).await;
        fed
    }

    /// Appends the next `count` events of a stream and returns them as they were recorded.
    pub(crate) async fn append(&self, stream: &str, count: i64) -> Events {
        let name = stream.parse().unwrap();
        let last = self.store.last(&name).await.unwrap().map_or(Seq::ZERO, |event| event.seq);
        sqlx::query(
            r#"select append_events(
                array_agg($1::text), array_agg(n), array_agg(gen_random_uuid()), array_agg('Entered'::text),
                array_agg(1::smallint), array_agg(jsonb_build_object('n', n)), array_agg(gen_random_uuid()),
                array_agg(gen_random_uuid()), array_agg('{"actor": "test", "causation_kind": "request"}'::jsonb))
               from generate_series($2::bigint, $3::bigint) as n"#,
        )
        .bind(stream)
        .bind(last.get() + 1)
        .bind(last.get() + count)
        .execute(self.store.pool())
        .await
        .unwrap();
        let events = self.store.read(&name, last, u32::MAX).await.unwrap();
        events.into_iter().map(Arc::new).collect()
    }

    /// The seqs of a stream in the order in which a handler's effects were written.
    pub(crate) async fn effects(&self, handler: &str, stream: &str) -> Vec<i64> {
        sqlx::query_scalar("select seq from effect where handler = $1 and stream = $2 order by n")
            .bind(handler)
            .bind(stream)
            .fetch_all(self.store.pool())
            .await
            .unwrap()
    }

    pub(crate) async fn until_effects(&self, handler: &str, stream: &str, count: i64) {
        eventually("the effects are there", async || {
            let effects = self.effects(handler, stream).await;
            (i64::try_from(effects.len()).unwrap() >= count).then_some(())
        })
        .await;
        assert_eq!(self.effects(handler, stream).await, (1..=count).collect::<Vec<_>>(), "{stream}");
    }

    /// Whether the handler is durably marked behind.
    pub(crate) async fn behind(&self, handler: &str) -> bool {
        self.ask(&format!("select behind from handler where name = '{handler}'")).await
    }

    pub(crate) async fn until_joined(&self, handler: &str) {
        eventually("the handler has joined", async || (!self.behind(handler).await).then_some(())).await;
    }

    pub(crate) async fn ask<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(self.store.pool()).await.unwrap()
    }

    pub(crate) async fn run(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(self.store.pool()).await.unwrap();
    }

    pub(crate) async fn drop(self) {
        self.store.pool().close().await;
        self.database.drop_database().await;
    }
}

impl Fed {
    async fn start(engine: Engine, shutdown: CancellationToken) -> Self {
        let (feed, worker) = Feed::open(engine).await.unwrap();
        Self { feed, settled: Arc::default(), shutdown, worker: tokio::spawn(worker.run()) }
    }

    /// Offers events as the relay does, without waiting for the handler.
    pub(crate) async fn offer(&self, events: &Events) {
        for event in events {
            let settled = Arc::clone(&self.settled);
            let settle = Box::new(move || {
                settled.fetch_add(1, Ordering::SeqCst);
            });
            self.feed.offer(event, settle).await.unwrap();
        }
    }

    pub(crate) fn settled(&self) -> usize {
        self.settled.load(Ordering::SeqCst)
    }

    pub(crate) async fn until_settled(&self, count: usize) {
        eventually("the events are settled", async || (self.settled() >= count).then_some(())).await;
        assert_eq!(self.settled(), count, "each is settled once");
    }

    /// Ends as the process would; returns how many events were settled before.
    pub(crate) async fn abort(self) -> usize {
        self.worker.abort();
        assert!(self.worker.await.unwrap_err().is_cancelled());
        self.settled.load(Ordering::SeqCst)
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.worker.await.unwrap();
    }
}
