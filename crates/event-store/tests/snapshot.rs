//! Kept states: used where they are of the right version, ignored otherwise, written beside the appends.

use event::{Aggregate, Context, Seq, Snapshots, events};
use event_store::{Ahead, Error, Group, Store};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use testbed::{TestDatabase, eventually};
use uuid::Uuid;

use crate::counter::request;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Added {
    by: i64,
}

events! {
    pub enum SumEvent { Added = 1 }
}

/// A program of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sum<const VERSION: i16> {
    sum: i64,
}

impl<const VERSION: i16> Aggregate for Sum<VERSION> {
    const CATEGORY: &'static str = "sum";
    const SNAPSHOTS: Option<Snapshots<Self>> = Some(Snapshots::of_version(VERSION));
    type Event = SumEvent;
    type Command = i64;
    type Refusal = &'static str;

    fn evolve(state: Option<Self>, SumEvent::Added(Added { by }): &SumEvent) -> Option<Self> {
        Some(Self { sum: state.map_or(0, |state| state.sum) + by })
    }

    fn decide(_: Option<&Self>, by: i64, _: &Context) -> Result<Vec<SumEvent>, &'static str> {
        if by < 0 { Err("it only grows") } else { Ok(vec![Added { by }.into()]) }
    }
}

async fn kept(store: &Store) -> Option<(i16, i64, i64)> {
    let kept = sqlx::query_as("select version, seq, (state ->> 'sum')::bigint from snapshot");
    kept.fetch_optional(store.pool()).await.unwrap()
}

async fn run(store: &Store, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(store.pool()).await.unwrap();
}

async fn add(store: &Store, id: Uuid, times: i64) {
    for _ in 0..times {
        store.execute::<Sum<1>>(id, 1, request()).await.unwrap();
    }
}

async fn loaded<const VERSION: i16>(store: &Store, id: Uuid) -> (i64, i64) {
    let (state, seq) = store.load::<Sum<VERSION>>(id).await.unwrap();
    (state.unwrap().sum, seq.get())
}

/// As a group of requests sees it, which reads ahead; of a process that remembers nothing.
async fn ahead<const VERSION: i16>(store: &Store, id: Uuid) -> i64 {
    let group = Group::new(Store::new("core", store.pool().clone()));
    let reads = Ahead { key: None, reads: vec![Sum::<VERSION>::stream(id)] };
    let done = group.try_run(
        || Context::at_rest("test"),
        reads,
        move |unit| {
            Box::pin(async move { Ok::<_, Error>(unit.state::<Sum<VERSION>>(id).await?.unwrap().sum) })
        },
    );
    done.await.unwrap().unwrap().0
}

#[tokio::test]
async fn a_long_stream_is_folded_from_its_kept_state() {
    let database = TestDatabase::create("core").await;
    let (store, id) = (database.store().await, Uuid::now_v7());
    add(&store, id, 130).await;
    eventually("its state is kept", async || (kept(&store).await == Some((1, 128, 128))).then_some(())).await;
    assert_eq!(loaded::<1>(&store, id).await, (130, 130));
    // That it is used shows when it is wrong.
    run(&store, "update snapshot set state = '{\"sum\": 1128}'").await;
    assert_eq!((loaded::<1>(&store, id).await, ahead::<1>(&store, id).await), ((1_130, 130), 1_130));
    // Of another version, or unreadable, it is not.
    assert_eq!((loaded::<2>(&store, id).await, ahead::<2>(&store, id).await), ((130, 130), 130));
    eventually("the other version keeps its own", async || {
        let _ = loaded::<2>(&store, id).await;
        (kept(&store).await == Some((2, 130, 130))).then_some(())
    })
    .await;
    run(&store, "update snapshot set state = '[]'").await;
    assert_eq!((loaded::<2>(&store, id).await, ahead::<2>(&store, id).await), ((130, 130), 130));
    run(&store, "delete from snapshot").await;
    assert_eq!((loaded::<1>(&store, id).await, ahead::<1>(&store, id).await), ((130, 130), 130));
    store.pool().close().await;
    database.drop_database().await;
}

#[tokio::test]
async fn a_unit_of_work_keeps_a_state_once_it_is_committed() {
    let database = TestDatabase::create("core").await;
    let (store, id) = (database.store().await, Uuid::now_v7());
    for is_committed in [false, true] {
        let mut unit = store.begin(request()).await.unwrap();
        for _ in 0..70 {
            unit.execute::<Sum<1>>(id, 1).await.unwrap();
        }
        if is_committed {
            unit.commit().await.unwrap();
        }
    }
    eventually("its state is kept", async || kept(&store).await).await;
    let (version, seq, sum) = kept(&store).await.unwrap();
    assert!(version == 1 && seq == sum && seq == 70, "{seq} {sum}");
    assert_eq!(store.load::<Sum<1>>(id).await.unwrap().1, Seq::new(70));
    store.pool().close().await;
    database.drop_database().await;
}
