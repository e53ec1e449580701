//! What `append_events` takes, refuses and recognises.

use event::{NewEvent, Seq};
use event_store::{Error, Store};
use jiff::{SignedDuration, Timestamp};
use testbed::TestDatabase;
use uuid::Uuid;

use crate::entry::{
    append_directly, entry, events_of_all_streams, json, seqs, stream, until_one_waits_for_another,
};

/// What the server says to an append that is the caller's mistake.
fn code_of(outcome: Result<bool, Error>) -> String {
    let Err(Error::Database(error)) = outcome else { panic!("{outcome:?}") };
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn an_event_is_read_back_as_it_was_appended() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let (first, second) = (entry("note-1", 1), entry("note-1", 2));
    assert!(store.append(vec![second.clone(), first.clone()]).await.unwrap());

    let read = store.read(&stream("note-1"), Seq::ZERO, 10).await.unwrap();
    assert_eq!(read.len(), 2);
    for (read, given) in read.iter().zip([first, second]) {
        assert_eq!((read.seq, read.id), (given.seq, given.id));
        assert_eq!((read.event_type.as_str(), read.version), (&*given.event_type, given.version));
        assert_eq!(read.data.get(), given.data.get());
        assert_eq!(read.correlation_id, given.correlation_id);
        assert_eq!(read.causation_id, given.causation_id);
        assert_eq!(read.metadata, given.metadata);
    }
    database.drop_database().await;
}

#[tokio::test]
async fn a_seq_that_is_too_low_is_a_conflict_and_appends_nothing() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    store.append(vec![entry("note-1", 1), entry("note-1", 2)]).await.unwrap();
    for batch in [vec![2], vec![1, 2], vec![2, 3], vec![1, 2, 3]] {
        let events = batch.into_iter().map(|seq| entry("note-1", seq)).collect();
        assert!(matches!(store.append(events).await, Err(Error::Conflict)));
    }
    assert_eq!(seqs(&store, "note-1").await, [1, 2]);
    database.drop_database().await;
}

#[tokio::test]
async fn a_seq_that_is_too_high_is_a_conflict_and_appends_nothing() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    for batch in [vec![2], vec![2, 3]] {
        let events = batch.into_iter().map(|seq| entry("note-1", seq)).collect();
        assert!(matches!(store.append(events).await, Err(Error::Conflict)));
    }
    assert_eq!(events_of_all_streams(&store).await, 0);
    store.append(vec![entry("note-1", 1)]).await.unwrap();
    for batch in [vec![3], vec![3, 4], vec![99]] {
        let events = batch.into_iter().map(|seq| entry("note-1", seq)).collect();
        assert!(matches!(store.append(events).await, Err(Error::Conflict)));
    }
    assert_eq!(seqs(&store, "note-1").await, [1]);
    database.drop_database().await;
}

#[tokio::test]
async fn a_unit_with_a_hole_or_the_same_seq_twice_is_refused_whole() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    store.append(vec![entry("note-1", 1)]).await.unwrap();
    for batch in [vec![2, 4], vec![2, 2], vec![2, 3, 5]] {
        let mut events: Vec<NewEvent> = batch.into_iter().map(|seq| entry("note-1", seq)).collect();
        events.push(entry("note-2", 1));
        assert_eq!(code_of(store.append(events).await), "LU002");
    }
    assert_eq!(events_of_all_streams(&store).await, 1);
    database.drop_database().await;
}

#[tokio::test]
async fn one_conflict_leaves_nothing_of_the_other_streams_either() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    store.append(vec![entry("note-2", 1)]).await.unwrap();
    for rival_seq in [1, 3] {
        let events = vec![entry("note-1", 1), entry("note-2", rival_seq), entry("note-3", 1)];
        assert!(matches!(store.append(events).await, Err(Error::Conflict)));
    }
    assert_eq!(events_of_all_streams(&store).await, 1);
    database.drop_database().await;
}

#[tokio::test]
async fn an_append_that_is_repeated_is_recognised_and_appends_nothing() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let events = vec![entry("note-1", 1), entry("note-1", 2), entry("note-2", 1)];
    assert!(store.append(events.clone()).await.unwrap());
    // Also when the stream has moved on since.
    store.append(vec![entry("note-1", 3)]).await.unwrap();
    assert!(!store.append(events).await.unwrap());
    assert_eq!(events_of_all_streams(&store).await, 4);
    database.drop_database().await;
}

#[tokio::test]
async fn a_repetition_that_overtakes_its_first_try_waits_for_it_and_is_recognised() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    for events in [vec![entry("note-1", 1)], vec![entry("note-2", 1), entry("note-3", 1)]] {
        let mut first_try = store.pool().begin().await.unwrap();
        for event in &events {
            append_directly(&mut first_try, event).await;
        }
        let repetition = tokio::spawn({
            let store = store.clone();
            async move { store.append(events).await }
        });
        until_one_waits_for_another(&database).await;
        first_try.commit().await.unwrap();
        assert!(!repetition.await.unwrap().unwrap());
    }
    assert_eq!(events_of_all_streams(&store).await, 3);
    database.drop_database().await;
}

#[tokio::test]
async fn the_same_ids_with_anything_else_in_them_are_a_conflict() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let (first, second) = (entry("note-1", 1), entry("note-1", 2));
    store.append(vec![first.clone(), second.clone()]).await.unwrap();

    let differ: [fn(&mut NewEvent); 8] = [
        |event| event.data = json(r#"{"n": 7}"#),
        |event| event.event_type = "Left".into(),
        |event| event.version = 2,
        |event| event.correlation_id = Uuid::now_v7(),
        |event| event.causation_id = Uuid::now_v7(),
        |event| event.metadata.actor.0 = "customer:other".to_owned(),
        |event| (event.stream, event.seq) = (stream("note-2"), Seq::FIRST),
        |event| event.seq = Seq::new(3),
    ];
    for change in differ {
        let mut other = second.clone();
        change(&mut other);
        let outcome = store.append(vec![other]).await;
        assert!(matches!(outcome, Err(Error::Conflict)), "{outcome:?}");
    }
    // A part of it with something new, in a stream of its own or behind it.
    for new in [entry("note-3", 1), entry("note-1", 3)] {
        let outcome = store.append(vec![first.clone(), second.clone(), new]).await;
        assert!(matches!(outcome, Err(Error::Conflict)), "{outcome:?}");
    }
    assert_eq!(events_of_all_streams(&store).await, 2);
    database.drop_database().await;
}

#[tokio::test]
async fn any_isolation_but_read_committed_is_refused() {
    let database = TestDatabase::create("core").await;
    for isolation in ["repeatable read", "serializable"] {
        let options = database.application().options([("default_transaction_isolation", isolation)]);
        let store = Store::connect("core", options, 1).await.unwrap();
        assert_eq!(code_of(store.append(vec![entry("note-1", 1)]).await), "LU002", "{isolation}");
        assert_eq!(events_of_all_streams(&store).await, 0);
        store.pool().close().await;
    }
    database.drop_database().await;
}

#[tokio::test]
async fn recorded_at_never_goes_back_within_a_stream() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    store.append(vec![entry("note-1", 1)]).await.unwrap();
    let ahead = Timestamp::now() + SignedDuration::from_hours(1);
    let ahead = Timestamp::from_microsecond(ahead.as_microsecond()).unwrap();
    // As if the clock had been set back since.
    let mut superuser = database.superuser_connection().await;
    sqlx::query("set session_replication_role = replica").execute(&mut superuser).await.unwrap();
    sqlx::query("update event set recorded_at = $1 where stream = 'note-1'")
        .bind(jiff_sqlx::Timestamp::from(ahead))
        .execute(&mut superuser)
        .await
        .unwrap();
    store.append(vec![entry("note-1", 2), entry("note-1", 3)]).await.unwrap();

    let set_ahead = store.read(&stream("note-1"), Seq::ZERO, 10).await.unwrap();
    assert!(set_ahead.iter().all(|event| event.recorded_at == ahead));
    database.drop_database().await;
}
