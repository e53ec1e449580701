//! Units of work that share a commit: each is as if it were alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use event::Aggregate;
use event_store::{Ahead, Claim, Error, ExecuteError, Group, Request, RequestKey, Store, StreamSeq};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testbed::TestDatabase;
use uuid::Uuid;

use crate::counter::{Command, Counter, request};

#[derive(Debug)]
enum Failure {
    Store(Error),
    Unwanted,
}

impl From<ExecuteError<crate::counter::Stubborn>> for Failure {
    fn from(error: ExecuteError<crate::counter::Stubborn>) -> Self {
        match error {
            ExecuteError::Store(error) => Self::Store(error),
            ExecuteError::Refused(_) => Self::Unwanted,
        }
    }
}

type Counted = Option<Result<(u64, Vec<StreamSeq>), Failure>>;

/// Counts, and then fails if it is to.
async fn count(group: &Group, counter: Uuid, fails: bool) -> Counted {
    let done = group.try_run(request, Ahead::default(), move |unit| {
        Box::pin(async move {
            unit.execute::<Counter>(counter, Command::Count).await?;
            unit.execute::<Counter>(counter, Command::Wait(SignedDuration::from_hours(1))).await?;
            let count = unit.state::<Counter>(counter).await.map_err(Failure::Store)?.unwrap().count;
            if fails { Err(Failure::Unwanted) } else { Ok(count) }
        })
    });
    done.await
}

/// What another unit, of another process even, is answering is left to whoever looks at it alone.
#[tokio::test]
async fn a_key_that_somebody_else_has_is_left_alone() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let group = Group::new(store.clone());
    let key = RequestKey { principal: "customer:1".to_owned(), operation: "count", key: "k".to_owned() };
    let mut other = store.begin(request()).await.unwrap();
    assert_eq!(other.claim_request(&key).await.unwrap(), Claim::Ours);
    let run = async || {
        let ahead = Ahead { key: Some(key.clone()), reads: Vec::new() };
        group.try_run(request, ahead, |_| Box::pin(async { Ok::<_, Failure>(()) })).await
    };
    assert!(run().await.is_none());
    other.roll_back().await;
    assert!(run().await.is_some());
    database.drop_database().await;
}

async fn counted(store: &Store, counter: Uuid) -> u64 {
    store.load::<Counter>(counter).await.unwrap().0.map_or(0, |counter| counter.count)
}

#[tokio::test]
async fn those_of_one_stream_are_decided_on_each_others_results() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let (group, counter) = (Group::new(store.clone()), Uuid::now_v7());
    let mut counts = Vec::new();
    for done in join_all((0..200).map(|_| count(&group, counter, false))).await {
        let (count, written) = done.unwrap().unwrap();
        // Each has its own place: its two events, and nobody else's.
        assert_eq!(written.len(), 1);
        assert_eq!(
            (written[0].stream.clone(), written[0].seq.get()),
            (Counter::stream(counter), 2 * i64::try_from(count).unwrap())
        );
        counts.push(count);
    }
    counts.sort_unstable();
    assert_eq!(counts, (1..=200).collect::<Vec<_>>());
    assert_eq!(counted(&store, counter).await, 200);
    let mut connection = database.superuser_connection().await;
    let commits = "select count(distinct xmin::text) from event";
    let commits: i64 = sqlx::query_scalar(commits).fetch_one(&mut connection).await.unwrap();
    assert!(commits < 50, "200 units of work took {commits} commits");
    let deadlines: i64 =
        sqlx::query_scalar("select count(*) from deadline").fetch_one(&mut connection).await.unwrap();
    assert_eq!(deadlines, 1);
    drop(group);
    database.drop_database().await;
}

#[tokio::test]
async fn one_that_fails_is_taken_back_and_has_its_own_answer() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let group = Group::new(store.clone());
    let counters: Vec<Uuid> = (0..60).map(|_| Uuid::now_v7()).collect();
    let all = counters.iter().enumerate().map(|(n, counter)| count(&group, *counter, n % 3 == 0));
    for (n, done) in join_all(all).await.into_iter().enumerate() {
        match done.unwrap() {
            Ok((count, _)) => assert!(n % 3 != 0 && count == 1),
            Err(Failure::Unwanted) => assert!(n % 3 == 0),
            Err(Failure::Store(error)) => panic!("{error}"),
        }
    }
    for (n, counter) in counters.iter().enumerate() {
        assert_eq!(counted(&store, *counter).await, u64::from(n % 3 != 0));
    }
    let mut connection = database.superuser_connection().await;
    let deadlines: i64 =
        sqlx::query_scalar("select count(*) from deadline").fetch_one(&mut connection).await.unwrap();
    assert_eq!(deadlines, 40);
    drop(group);
    database.drop_database().await;
}

/// What it has seen may never be committed, so its failure is no answer.
#[tokio::test]
async fn one_that_fails_on_what_another_has_just_decided_is_left_to_run_alone() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let (group, counter) = (Group::new(store.clone()), Uuid::now_v7());
    let done = join_all((0..64).map(|n| count(&group, counter, n % 2 == 1))).await;
    let ok = done.iter().filter(|done| matches!(done, Some(Ok(_)))).count();
    assert_eq!(ok, 32);
    // At most the first of a group can fail on its own.
    assert!(done.iter().filter(|done| done.is_none()).count() >= 16);
    assert_eq!(counted(&store, counter).await, 32);
    drop(group);
    database.drop_database().await;
}

#[tokio::test]
async fn what_a_group_remembers_may_be_out_of_date() {
    let database = TestDatabase::create("core").await;
    let (one, other) = (database.store().await, database.store().await);
    let groups = [Group::new(one.clone()), Group::new(other)];
    let counter = Uuid::now_v7();
    let mut expected = 0;
    for round in 0..20 {
        // In turn: what each remembers, the other has changed.
        let (_, written) = count(&groups[round % 2], counter, false).await.unwrap().unwrap();
        expected += 1;
        assert_eq!(written[0].seq.get(), 2 * expected);
    }
    // And both at once: who falls out of both tries is counted by nobody.
    let both = (0..100).map(|n| count(&groups[n % 2], counter, false));
    let done = join_all(both).await.into_iter().flatten().filter(Result::is_ok).count();
    assert_eq!(counted(&one, counter).await, u64::try_from(expected).unwrap() + u64::try_from(done).unwrap());
    drop(groups);
    database.drop_database().await;
}

#[tokio::test]
async fn a_remembered_state_that_is_only_read_is_that_of_now() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let group = Group::new(store.clone());
    let (watched, written) = (Uuid::now_v7(), Uuid::now_v7());
    count(&group, watched, false).await.unwrap().unwrap();
    // Behind the group's back: in another process.
    let other = database.store().await;
    other.execute::<Counter>(watched, Command::Count, request()).await.unwrap();
    other.execute::<Counter>(watched, Command::Count, request()).await.unwrap();
    let tries = Arc::new(AtomicU32::new(0));
    let tried = Arc::clone(&tries);
    let done = group.try_run(request, Ahead::default(), move |unit| {
        tried.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let seen = unit.state::<Counter>(watched).await.map_err(Failure::Store)?.unwrap().count;
            unit.execute::<Counter>(written, Command::Count).await?;
            Ok::<_, Failure>(seen)
        })
    });
    let (seen, _) = done.await.unwrap().unwrap();
    assert_eq!((seen, tries.load(Ordering::Relaxed)), (3, 2));
    drop(group);
    database.drop_database().await;
}

#[tokio::test]
async fn of_identical_requests_one_is_decided() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let (group, counter) = (Group::new(store.clone()), Uuid::now_v7());
    let key = RequestKey { principal: "customer:1".to_owned(), operation: "count", key: "k".to_owned() };
    let ask = || {
        let recorded = key.clone();
        group.try_run(
            request,
            Ahead { key: Some(key.clone()), reads: vec![Counter::stream(counter)] },
            move |unit| {
                let key = recorded.clone();
                Box::pin(async move {
                    unit.execute::<Counter>(counter, Command::Count).await?;
                    let (id, accepted_at) = (Uuid::now_v7(), Timestamp::now());
                    let answer = "counted".to_owned();
                    let request = Request { id, content: json!({}), status: 201, answer, accepted_at };
                    if unit.record_request(key, request) {
                        Ok(())
                    } else {
                        Err(Failure::Store(Error::Conflict))
                    }
                })
            },
        )
    };
    let done = join_all((0..64).map(|_| ask())).await;
    assert_eq!(done.iter().filter(|done| matches!(done, Some(Ok(_)))).count(), 1);
    assert!(ask().await.is_none(), "it is answered already");
    assert_eq!(counted(&store, counter).await, 1);
    drop(group);
    database.drop_database().await;
}
