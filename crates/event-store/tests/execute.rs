//! One aggregate and its rivals.

use std::collections::HashSet;

use event::{Aggregate, Seq};
use futures::future::join_all;
use testbed::TestDatabase;
use uuid::Uuid;

use crate::counter::{Command, Counter, request};
use crate::entry::{append_directly, entry, until_one_waits_for_another};

const WRITERS: u64 = 16;
const COMMANDS_EACH: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_race_on_one_stream_lose_nothing_and_leave_no_hole() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    let writers = (0..WRITERS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..COMMANDS_EACH {
                store.execute::<Counter>(id, Command::Count, request()).await.unwrap();
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());

    let expected = WRITERS * COMMANDS_EACH;
    let events = store.read(&Counter::stream(id), Seq::ZERO, 10_000).await.unwrap();
    let seqs: Vec<i64> = events.iter().map(|event| event.seq.get()).collect();
    assert_eq!(seqs, (1..=i64::try_from(expected).unwrap()).collect::<Vec<_>>());
    let commands: HashSet<Uuid> = events.iter().map(|event| event.causation_id).collect();
    assert_eq!(commands.len() as u64, expected, "each command is counted once");
    assert_eq!(store.load::<Counter>(id).await.unwrap().0.unwrap().count, expected);
    database.drop_database().await;
}

#[tokio::test]
async fn a_decision_keeps_its_ids_when_a_conflict_makes_it_decide_again() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    let context = request();
    let first_id = context.new_id();

    // A rival is ahead and has not committed yet: the command waits for it, and then finds its place taken.
    let mut rival = store.begin(request()).await.unwrap();
    let mut first = entry(Counter::stream(id).as_str(), 1);
    (first.event_type, first.data) = ("Counted".into(), crate::entry::json(r#"{"by": 5}"#));
    append_directly(rival.connection(), &first).await;
    let command = {
        let store = store.clone();
        tokio::spawn(async move { store.execute::<Counter>(id, Command::Count, context).await })
    };
    until_one_waits_for_another(&database).await;
    rival.commit().await.unwrap();

    let executed = command.await.unwrap().unwrap();
    assert_eq!((executed.seq, executed.state.unwrap().count), (Seq::new(2), 6));
    let last = store.last(&Counter::stream(id)).await.unwrap().unwrap();
    assert_eq!(last.id, first_id);
    database.drop_database().await;
}

#[tokio::test]
async fn a_command_without_events_appends_nothing() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    let executed = store.execute::<Counter>(id, Command::EndWait, request()).await.unwrap();
    assert_eq!((executed.events.len(), executed.seq), (0, Seq::ZERO));
    assert_eq!(store.load::<Counter>(id).await.unwrap(), (None, Seq::ZERO));
    database.drop_database().await;
}

#[tokio::test]
async fn an_event_that_this_program_does_not_know_stops_the_command() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let id = Uuid::now_v7();
    store.append(vec![entry(Counter::stream(id).as_str(), 1)]).await.unwrap();
    let error = store.execute::<Counter>(id, Command::Count, request()).await.unwrap_err();
    let place = format!("{}@1", Counter::stream(id));
    assert!(error.to_string().contains(&place), "{error}");
    database.drop_database().await;
}
