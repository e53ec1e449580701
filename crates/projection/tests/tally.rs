//! A projection of two tables, with a handler that keeps it, and a keeper to ask for rebuilds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use delivery::{Engine, HandleError, Subscription};
use event::{Aggregate, Context, RecordedEvent, Seq};
use event_store::Store;
use projection::{
    Difference, Keeper, Projecting, Projection, Purpose, Rebuild, RebuildCommand, RebuildDesk,
    RebuildRequested, Status,
};
use sqlx::{AssertSqlSafe, PgConnection};
use testbed::{TestDatabase, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Counts the events of each stream, and those of all.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) version: i32,
    /// Fails where it writes into what is being built.
    pub(crate) fails: AtomicBool,
}

#[async_trait]
impl Projection for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["note", "memo"] }
    }

    fn version(&self) -> i32 {
        self.version
    }

    async fn project(
        &self,
        events: &[&RecordedEvent],
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let schema: String =
            sqlx::query_scalar("select current_schema()::text").fetch_one(&mut *connection).await?;
        if schema == "rebuild" && self.fails.load(Ordering::SeqCst) {
            return Err(HandleError::Failed("it makes no sense".to_owned()));
        }
        for event in events {
            let is_next = sqlx::query(
                "insert into tally (stream, events) values ($1, $2 * $3)
                 on conflict (stream) do update set events = tally.events + $3
                     where tally.events = ($2 - 1) * $3",
            )
            .bind(event.stream.as_str())
            .bind(event.seq.get())
            .bind(i64::from(self.version))
            .execute(&mut *connection)
            .await?;
            assert_eq!(
                is_next.rows_affected(),
                1,
                "{}@{} is not the next in {schema}",
                event.stream,
                event.seq
            );
        }
        sqlx::query("insert into tally_total values (1, $1) on conflict (id) do update set events = tally_total.events + $1")
            .bind(i64::try_from(events.len()).unwrap())
            .execute(connection)
            .await?;
        Ok(())
    }
}

pub(crate) struct Stage {
    database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) tally: Arc<Tally>,
}

impl Stage {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create("core").await;
        let mut superuser = database.superuser_connection().await;
        sqlx::raw_sql(
            "set role lunaria_owner;
             create table tally (stream text collate \"C\" constraint tally_stream primary key, events bigint not null)
                 with (fillfactor = 80);
             create index tally_events on tally (events desc) where events > 1;
             create table tally_total (id int constraint tally_total_id primary key, events bigint not null);
             grant select, insert, update, delete on tally, tally_total to lunaria_app;
             insert into projection (name, tables) values ('tally', '{tally, tally_total}')",
        )
        .execute(&mut superuser)
        .await
        .unwrap();
        let store = database.store().await;
        Self { database, store, tally: Arc::new(Tally { version: 1, ..Tally::default() }) }
    }

    /// Appends the next events of a stream, and has them handled.
    pub(crate) async fn handle(&self, stream: &str, count: i64) {
        let last = self.append(stream, count).await;
        self.handle_after(stream, last, u32::MAX).await;
    }

    /// Returns where the stream ended before.
    pub(crate) async fn append(&self, stream: &str, count: i64) -> Seq {
        let name = stream.parse().unwrap();
        let last = self.store.last(&name).await.unwrap().map_or(Seq::ZERO, |event| event.seq);
        sqlx::query(
            r#"select append_events(
                array_agg($1::text), array_agg(n), array_agg(gen_random_uuid()), array_agg('Entered'::text),
                array_agg(1::smallint), array_agg('{}'::jsonb), array_agg(gen_random_uuid()),
                array_agg(gen_random_uuid()), array_agg('{"actor": "test", "causation_kind": "request"}'::jsonb))
               from generate_series($2::bigint, $3::bigint) as n"#,
        )
        .bind(stream)
        .bind(last.get() + 1)
        .bind(last.get() + count)
        .execute(self.store.pool())
        .await
        .unwrap();
        last
    }

    pub(crate) async fn handle_after(&self, stream: &str, last: Seq, limit: u32) {
        let events = self.store.read(&stream.parse().unwrap(), last, limit).await.unwrap();
        let handler = Projecting(Arc::clone(&self.tally) as Arc<dyn Projection>);
        let engine = Engine::new(
            Arc::new(handler),
            self.store.clone(),
            Arc::new(self.store.clone()),
            CancellationToken::new(),
        );
        for some in events.into_iter().map(Arc::new).collect::<Vec<_>>().chunks(250) {
            engine.deliver(some).await.unwrap();
        }
    }

    /// Asks for a rebuild, which the desk takes in.
    pub(crate) async fn ask(&self, purpose: Purpose) -> Uuid {
        let id = Uuid::now_v7();
        let requested =
            RebuildRequested { projection: "tally".to_owned(), purpose, version: self.tally.version };
        self.command(id, RebuildCommand::Request(requested)).await;
        id
    }

    pub(crate) async fn command(&self, id: Uuid, command: RebuildCommand) {
        self.store.execute::<Rebuild>(id, command, Context::at_rest("test")).await.unwrap();
        self.tell_desk(id).await;
    }

    pub(crate) async fn tell_desk(&self, id: Uuid) {
        let events = self.store.read(&Rebuild::stream(id), Seq::ZERO, 10).await.unwrap();
        let engine = Engine::new(
            Arc::new(RebuildDesk),
            self.store.clone(),
            Arc::new(self.store.clone()),
            CancellationToken::new(),
        );
        engine.deliver(&events.into_iter().map(Arc::new).collect::<Vec<_>>()).await.unwrap();
    }

    pub(crate) fn keep(&self) -> (CancellationToken, JoinHandle<()>) {
        let keeper = Keeper::new(self.store.clone(), vec![Arc::clone(&self.tally) as _]);
        let token = CancellationToken::new();
        (token.clone(), tokio::spawn(keeper.run(token)))
    }

    pub(crate) async fn status(&self, id: Uuid) -> Status {
        self.store.load::<Rebuild>(id).await.unwrap().0.unwrap().status
    }

    /// How a rebuild ends.
    pub(crate) async fn end(&self, id: Uuid) -> Status {
        eventually("the rebuild has ended", async || {
            Some(self.status(id).await).filter(|status| *status != Status::UnderWay)
        })
        .await
    }

    /// What a comparison has found.
    pub(crate) async fn differences(&self, id: Uuid) -> Vec<Difference> {
        match self.end(id).await {
            Status::Completed { differences, .. } => differences,
            other => panic!("it has not completed: {other:?}"),
        }
    }

    /// Fails unless both tables say what the events do.
    pub(crate) async fn check(&self) {
        let wrong: i64 = self
            .query(&format!(
                "select count(*) from (select stream, max(seq) * {} as events from event
                     where stream like 'note-%' or stream like 'memo-%' group by stream) as expected
                 full join tally using (stream) where expected.events is distinct from tally.events",
                self.tally.version
            ))
            .await;
        assert_eq!(wrong, 0, "streams are not as they ought to be");
        let total: i64 = self.query("select events from tally_total").await;
        let events: i64 =
            self.query("select count(*) from event where stream like 'note-%' or stream like 'memo-%'").await;
        assert_eq!(total, events);
    }

    pub(crate) async fn query<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(self.store.pool()).await.unwrap()
    }

    pub(crate) async fn run(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(self.store.pool()).await.unwrap();
    }

    pub(crate) async fn migrate(&self, sql: &str) {
        let mut superuser = self.database.superuser_connection().await;
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut superuser).await.unwrap();
    }

    pub(crate) async fn drop(self) {
        self.store.pool().close().await;
        self.database.drop_database().await;
    }
}
