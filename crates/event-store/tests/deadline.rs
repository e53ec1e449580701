//! Deadlines: kept with the events, fired once, starving nobody.

use event::{Aggregate, CausationKind, Seq};
use event_store::{Scheduler, Store};
use jiff::{SignedDuration, Timestamp};
use testbed::{TestDatabase, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::counter::{Command, Counter, CounterEvent, request};
use crate::entry::events_of_all_streams;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// More than a scheduler claims at once.
const STUBBORN: usize = 300;

async fn waits(store: &Store, id: Uuid) -> Option<(Uuid, Timestamp)> {
    let row: Option<(Uuid, jiff_sqlx::Timestamp)> =
        sqlx::query_as("select id, due_at from deadline where stream = $1")
            .bind(Counter::stream(id).as_str())
            .fetch_optional(store.pool())
            .await
            .unwrap();
    row.map(|(id, due_at)| (id, due_at.to_jiff()))
}

async fn live(store: &Store) -> i64 {
    sqlx::query_scalar("select count(*) from deadline").fetch_one(store.pool()).await.unwrap()
}

async fn expiries(store: &Store, id: Uuid) -> usize {
    let events = store.read(&Counter::stream(id), Seq::ZERO, 100).await.unwrap();
    events.iter().filter(|event| event.event_type == "WaitExpired").count()
}

fn schedule(store: &Store, shutdown: &CancellationToken) -> JoinHandle<()> {
    let (scheduler, shutdown) = (Scheduler::new(store.clone()).with::<Counter>(), shutdown.clone());
    tokio::spawn(async move { scheduler.run(shutdown).await.unwrap() })
}

#[tokio::test]
async fn a_deadline_is_set_moved_and_cleared_with_the_events() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    for limit in [HOUR, HOUR * 2] {
        let executed = store.execute::<Counter>(id, Command::Wait(limit), request()).await.unwrap();
        let [CounterEvent::WaitStarted(started)] = executed.events.as_slice() else { panic!() };
        assert_eq!(waits(&store, id).await, Some((started.deadline.id, started.deadline.due_at)));
        // What does not concern the wait leaves it alone.
        store.execute::<Counter>(id, Command::Count, request()).await.unwrap();
        assert_eq!(waits(&store, id).await, Some((started.deadline.id, started.deadline.due_at)));
    }
    let mut unit = store.begin(request()).await.unwrap();
    unit.execute::<Counter>(id, Command::EndWait).await.unwrap();
    assert!(waits(&store, id).await.is_some(), "before the commit nothing has changed");
    unit.commit().await.unwrap();
    assert_eq!(waits(&store, id).await, None);
    database.drop_database().await;
}

#[tokio::test]
async fn a_wait_that_begins_and_ends_in_one_unit_leaves_no_deadline() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    let mut unit = store.begin(request()).await.unwrap();
    unit.execute::<Counter>(id, Command::Wait(HOUR)).await.unwrap();
    unit.execute::<Counter>(id, Command::EndWait).await.unwrap();
    unit.commit().await.unwrap();
    assert_eq!(waits(&store, id).await, None);
    database.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_fire_each_due_deadline_once_and_none_that_is_not_due() {
    let database = TestDatabase::create("core").await;
    let (store, rival) = (database.store().await, database.store().await);
    let shutdown = CancellationToken::new();
    let schedulers = [schedule(&store, &shutdown), schedule(&rival, &shutdown)];
    let due: Vec<Uuid> = (0..40).map(|_| Uuid::now_v7()).collect();
    let later = Uuid::now_v7();
    store.execute::<Counter>(later, Command::Wait(HOUR), request()).await.unwrap();
    for id in &due {
        store.execute::<Counter>(*id, Command::Wait(SignedDuration::ZERO), request()).await.unwrap();
    }
    eventually("all that is due has fired", async || (live(&store).await == 1).then_some(())).await;
    shutdown.cancel();
    for scheduler in schedulers {
        scheduler.await.unwrap();
    }

    for id in due {
        let events = store.read(&Counter::stream(id), Seq::ZERO, 100).await.unwrap();
        let [started, expired] = events.as_slice() else { panic!("{} events", events.len()) };
        let CounterEvent::WaitStarted(started_wait) = started.decode().unwrap() else { panic!() };
        assert_eq!(expired.event_type, "WaitExpired");
        assert_eq!(expired.metadata.causation_kind, CausationKind::Deadline);
        assert_eq!(expired.causation_id, started_wait.deadline.id);
        assert_eq!(expired.correlation_id, started.correlation_id);
    }
    assert!(waits(&store, later).await.is_some());
    assert_eq!(expiries(&store, later).await, 0);
    database.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_that_are_refused_starve_nobody() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let long_ago = SignedDuration::ZERO - HOUR;
    let mut unit = store.begin(request()).await.unwrap();
    for _ in 0..STUBBORN {
        unit.execute::<Counter>(Uuid::now_v7(), Command::WaitStubbornly(long_ago)).await.unwrap();
    }
    unit.commit().await.unwrap();
    let id = Uuid::now_v7();
    store.execute::<Counter>(id, Command::Wait(SignedDuration::ZERO), request()).await.unwrap();

    let shutdown = CancellationToken::new();
    let scheduler = schedule(&store, &shutdown);
    eventually("the one behind them fires", async || (expiries(&store, id).await == 1).then_some(())).await;
    shutdown.cancel();
    scheduler.await.unwrap();
    let kept: i64 =
        sqlx::query_scalar("select count(*) from deadline where attempts > 0 and next_at > due_at")
            .fetch_one(store.pool())
            .await
            .unwrap();
    assert_eq!(kept, i64::try_from(STUBBORN).unwrap(), "each was tried and is tried again");
    database.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_refused_again_and_again_is_tried_less_and_less_often() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    store.execute::<Counter>(id, Command::WaitStubbornly(SignedDuration::ZERO), request()).await.unwrap();
    let fourth = "update deadline set attempts = 3";
    sqlx::query(fourth).execute(store.pool()).await.unwrap();
    let shutdown = CancellationToken::new();
    let scheduler = schedule(&store, &shutdown);
    eventually("it is put off for longer than a claim", async || {
        let put_off = "select attempts = 4 and next_at > now() + interval '1 minute' from deadline";
        let put_off: bool = sqlx::query_scalar(put_off).fetch_one(store.pool()).await.unwrap();
        put_off.then_some(())
    })
    .await;
    shutdown.cancel();
    scheduler.await.unwrap();
    database.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_whose_aggregate_has_moved_on_goes_without_an_event() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let (moved_on, waiting) = (Uuid::now_v7(), Uuid::now_v7());
    store.execute::<Counter>(moved_on, Command::Count, request()).await.unwrap();
    store.execute::<Counter>(waiting, Command::Wait(HOUR), request()).await.unwrap();
    let before = events_of_all_streams(&store).await;
    // What a firing that lost its race would leave.
    sqlx::query(
        "insert into deadline (stream, category, id, due_at, correlation_id, next_at)
         values ($1, 'counter', gen_random_uuid(), now(), gen_random_uuid(), now())",
    )
    .bind(Counter::stream(moved_on).as_str())
    .execute(store.pool())
    .await
    .unwrap();

    let shutdown = CancellationToken::new();
    let scheduler = schedule(&store, &shutdown);
    eventually("it goes", async || waits(&store, moved_on).await.is_none().then_some(())).await;
    shutdown.cancel();
    scheduler.await.unwrap();
    assert_eq!(events_of_all_streams(&store).await, before);
    assert!(waits(&store, waiting).await.is_some());
    database.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firing_in_a_callers_own_way_gets_the_deadline_and_its_correlation() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let context = request();
    let (id, correlation_id) = (Uuid::now_v7(), context.correlation_id);
    let (sender, mut fired) = tokio::sync::mpsc::unbounded_channel();
    let scheduler = Scheduler::new(store.clone()).with_fire::<Counter>(move |store, due| {
        let sender = sender.clone();
        Box::pin(async move {
            let executed = event_store::fire::<Counter>(&store, &due, Command::Expire(due.deadline)).await?;
            let again = event_store::fire::<Counter>(&store, &due, Command::Expire(due.deadline)).await?;
            let _ = sender.send((due, executed.is_some(), again.is_some()));
            Ok(())
        })
    });
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    store.execute::<Counter>(id, Command::Wait(SignedDuration::ZERO), context).await.unwrap();
    let (due, executed, again) = fired.recv().await.unwrap();
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!((due.stream, due.correlation_id), (Counter::stream(id), correlation_id));
    assert!(executed && !again, "fired twice, it has happened once");
    assert_eq!(expiries(&store, id).await, 1);
    database.drop_database().await;
}

#[tokio::test]
async fn deadlines_that_are_lost_are_set_once_more() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let [waiting, kept, idle] = [(); 3].map(|()| Uuid::now_v7());
    for id in [waiting, kept] {
        store.execute::<Counter>(id, Command::Wait(HOUR), request()).await.unwrap();
    }
    store.execute::<Counter>(idle, Command::Count, request()).await.unwrap();
    let before = [waits(&store, waiting).await, waits(&store, kept).await];
    let lost =
        sqlx::query("delete from deadline where stream = $1").bind(Counter::stream(waiting).to_string());
    lost.execute(store.pool()).await.unwrap();
    let scheduler = Scheduler::new(store.clone()).with::<Counter>();
    assert_eq!(scheduler.restore().await.unwrap(), 1);
    assert_eq!([waits(&store, waiting).await, waits(&store, kept).await], before);
    assert_eq!(waits(&store, idle).await, None);
    assert_eq!(scheduler.restore().await.unwrap(), 0);
    database.drop_database().await;
}
