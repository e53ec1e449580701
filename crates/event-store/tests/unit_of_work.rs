//! Several streams, a deadline and a projection in one transaction.

use event::{Aggregate, Seq, Source, events};
use event_store::{Error, ExecuteError, Store, StreamSeq};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use testbed::TestDatabase;
use uuid::Uuid;

use crate::counter::{Command, Counter, request};
use crate::entry::{events_of_all_streams, stream};

const ROUNDS: u64 = 60;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CountPublished {
    count: u64,
}

events! {
    pub enum PublicEvent { CountPublished = 1 }
}

#[tokio::test]
async fn a_unit_sees_what_it_has_decided_and_nobody_else_does_before_the_commit() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    let mut unit = store.begin(request()).await.unwrap();
    unit.execute::<Counter>(id, Command::Count).await.unwrap();
    unit.execute::<Counter>(id, Command::Count).await.unwrap();
    assert_eq!(unit.state::<Counter>(id).await.unwrap().unwrap().count, 2);
    assert_eq!(store.load::<Counter>(id).await.unwrap(), (None, Seq::ZERO));

    let written = unit.commit().await.unwrap();
    assert_eq!(written, [StreamSeq { stream: Counter::stream(id), seq: Seq::new(2) }]);
    let (state, seq) = store.load::<Counter>(id).await.unwrap();
    assert_eq!((state.unwrap().count, seq), (2, Seq::new(2)));
    database.drop_database().await;
}

#[tokio::test]
async fn a_unit_that_conflicts_in_one_stream_leaves_nothing_at_all() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    create_projection(&database).await;
    let (contested, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut unit = store.begin(request()).await.unwrap();
    unit.execute::<Counter>(other, Command::Wait(SignedDuration::from_hours(1))).await.unwrap();
    unit.execute::<Counter>(contested, Command::Count).await.unwrap();
    sqlx::query("insert into reading values (1)").execute(unit.connection()).await.unwrap();
    store.execute::<Counter>(contested, Command::Count, request()).await.unwrap();

    assert!(matches!(unit.commit().await, Err(Error::Conflict)));
    assert_eq!(events_of_all_streams(&store).await, 1);
    assert_eq!(rows(&store, "select count(*) from reading").await, 0);
    assert_eq!(rows(&store, "select count(*) from deadline").await, 0);
    database.drop_database().await;
}

#[tokio::test]
async fn a_unit_that_is_dropped_leaves_nothing() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let mut unit = store.begin(request()).await.unwrap();
    unit.execute::<Counter>(Uuid::now_v7(), Command::Wait(SignedDuration::ZERO)).await.unwrap();
    drop(unit);
    assert_eq!(events_of_all_streams(&store).await, 0);
    assert_eq!(rows(&store, "select count(*) from deadline").await, 0);
    database.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_touch_the_same_streams_in_opposite_order_never_deadlock() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let streams = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    let (mut forth, mut back) = (streams, streams);
    forth.sort();
    back.sort_by(|a, b| b.cmp(a));
    let rivals = [forth, back, forth, back].map(|order| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                while !count_in_order(&store, order).await {}
            }
        })
    });
    for rival in rivals {
        rival.await.unwrap();
    }
    for id in streams {
        assert_eq!(store.load::<Counter>(id).await.unwrap().0.unwrap().count, 4 * ROUNDS);
    }
    database.drop_database().await;
}

/// False after a conflict; anything else that fails, such as a deadlock, fails the test.
async fn count_in_order(store: &Store, order: [Uuid; 3]) -> bool {
    let mut unit = store.begin(request()).await.unwrap();
    for id in order {
        unit.execute::<Counter>(id, Command::Count).await.unwrap();
        unit.execute::<Counter>(id, Command::Wait(SignedDuration::from_hours(1))).await.unwrap();
    }
    match unit.commit().await {
        Ok(_) => true,
        Err(Error::Conflict) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_external_event_continues_its_stream_and_names_its_source() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    for _ in 0..2 {
        store.execute::<Counter>(id, Command::Count, request()).await.unwrap();
    }
    let external = stream(&format!("count.v1-{id}"));
    // And once more, as when its cursors are gone: nothing comes of it.
    for _ in 0..2 {
        for source in store.read(&Counter::stream(id), Seq::ZERO, 10).await.unwrap() {
            let context = event::Context::after(&source, "core", "publisher", Timestamp::now());
            let mut unit = store.begin(context).await.unwrap();
            for count in [1, 2] {
                let published = PublicEvent::from(CountPublished { count });
                unit.append_external(external.clone(), &published, &source).await.unwrap();
            }
            unit.commit().await.unwrap();
        }
    }
    let sources = store.read(&Counter::stream(id), Seq::ZERO, 10).await.unwrap();
    let published = store.read(&external, Seq::ZERO, 10).await.unwrap();
    assert_eq!(published.iter().map(|event| event.seq.get()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for (n, event) in published.iter().enumerate() {
        let source = &sources[n / 2];
        assert_eq!(event.causation_id, source.id);
        assert_eq!(event.correlation_id, source.correlation_id);
        let (stream, seq, id) = (source.stream.clone(), source.seq, source.id);
        assert_eq!(event.metadata.source, Some(Source { service: "core".to_owned(), stream, seq, id }));
    }
    database.drop_database().await;
}

#[tokio::test]
async fn a_stream_cannot_be_two_things_in_one_unit() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    store.execute::<Counter>(id, Command::Count, request()).await.unwrap();
    let source = store.last(&Counter::stream(id)).await.unwrap().unwrap();
    let mut unit = store.begin(request()).await.unwrap();
    let published = PublicEvent::from(CountPublished { count: 1 });
    unit.append_external(Counter::stream(id), &published, &source).await.unwrap();
    let outcome = unit.execute::<Counter>(id, Command::Count).await;
    assert!(matches!(outcome, Err(ExecuteError::Store(Error::WrongAggregate(_)))));
    database.drop_database().await;
}

async fn create_projection(database: &TestDatabase) {
    let mut superuser = database.superuser_connection().await;
    for sql in ["create table reading (n bigint)", "grant all on reading to lunaria_app"] {
        sqlx::query(sql).execute(&mut superuser).await.unwrap();
    }
}

async fn rows(store: &Store, count: &'static str) -> i64 {
    sqlx::query_scalar(count).fetch_one(store.pool()).await.unwrap()
}
