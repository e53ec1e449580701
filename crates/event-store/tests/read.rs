//! Reading a stream from a seq, and the streams of a category.

use event::{Seq, StreamName};
use event_store::{EventKind, Store};
use jiff::Timestamp;
use sqlx::postgres::PgPoolOptions;
use testbed::TestDatabase;
use uuid::Uuid;

use crate::entry::{entry, stream};

#[tokio::test]
async fn a_read_begins_after_the_given_seq_and_ends_at_its_limit() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    store.append((1..=7).map(|seq| entry("note-1", seq)).collect()).await.unwrap();
    store.append(vec![entry("note-10", 1)]).await.unwrap();
    for (after, limit, expected) in
        [(0, 3, vec![1, 2, 3]), (3, 3, vec![4, 5, 6]), (6, 3, vec![7]), (7, 3, vec![]), (99, 3, vec![])]
    {
        let events = store.read(&stream("note-1"), Seq::new(after), limit).await.unwrap();
        assert_eq!(events.iter().map(|event| event.seq.get()).collect::<Vec<_>>(), expected);
        assert!(events.iter().all(|event| event.stream == stream("note-1")));
    }
    assert_eq!(store.last(&stream("note-1")).await.unwrap().unwrap().seq, Seq::new(7));
    assert!(store.last(&stream("note-2")).await.unwrap().is_none());
    database.drop_database().await;
}

#[tokio::test]
async fn a_category_is_paged_through_whole_and_without_its_neighbours() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let own = ["a--x", "a-.b-1", "a-1", "a-1.2", "a-10", "a-2", "a-Z", "a-z"];
    for name in own.into_iter().chain(["a.b-1", "a.b-2", "a.v1-1", "a0-1", "ab-1", "b-1"]) {
        store.append(vec![entry(name, 1), entry(name, 2)]).await.unwrap();
    }
    store.append(vec![entry("a-2", 3)]).await.unwrap();
    for page_size in [1, 3, 8, 100] {
        let (mut found, mut after) = (Vec::new(), None::<StreamName>);
        loop {
            let page = store.streams("a", after.as_ref(), page_size).await.unwrap();
            assert!(page.len() <= page_size as usize);
            let Some(last) = page.last() else { break };
            after = Some(last.stream.clone());
            found.extend(page);
        }
        assert_eq!(found.iter().map(|at| at.stream.as_str()).collect::<Vec<_>>(), own);
        for at in found {
            assert_eq!(at.seq.get(), if at.stream.as_str() == "a-2" { 3 } else { 2 });
        }
    }
    let dotted = store.streams("a.b", None, 10).await.unwrap();
    assert_eq!(dotted.iter().map(|at| at.stream.as_str()).collect::<Vec<_>>(), ["a.b-1", "a.b-2"]);
    assert!(store.streams("c", None, 10).await.unwrap().is_empty());
    database.drop_database().await;
}

/// However little is looked at for a page, and however few of those are of the kind.
#[tokio::test]
async fn events_of_a_kind_are_paged_through_each_once() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let mut made = Vec::new();
    for n in 1..=30 {
        // Several of one request, too.
        let mut entry =
            entry(if n % 3 == 0 { "a-1" } else { "b-1" }, if n % 3 == 0 { n / 3 } else { n - n / 3 });
        entry.correlation_id = Uuid::from_u128(u128::try_from(n / 4).unwrap());
        made.extend((n % 3 == 0).then_some(entry.id));
        store.append(vec![entry]).await.unwrap();
    }
    made.reverse();
    for (category, event_type, expected) in
        [(Some("a"), None, made.clone()), (None, Some("Left"), vec![]), (Some("a"), Some("Entered"), made)]
    {
        let kind = EventKind { category, event_type, recorded_before: None };
        for (limit, looked_at) in [(1, 1), (2, 5), (3, 7), (50, 1), (50, 100)] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = store.newest(&kind, after, (limit, looked_at)).await.unwrap();
                found.extend(page.events.into_iter().map(|event| event.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{kind:?}, {limit} of {looked_at}");
        }
    }
    let kind = EventKind { recorded_before: Some(Timestamp::UNIX_EPOCH), ..EventKind::default() };
    assert!(store.newest(&kind, None, (50, 100)).await.unwrap().events.is_empty());
    database.drop_database().await;
}

#[tokio::test]
async fn what_an_event_or_a_request_has_caused_is_found_and_a_stranger_is_told_apart() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let (mut first, mut effect) = (entry("a-1", 1), entry("b-1", 1));
    first.causation_id = first.correlation_id;
    (effect.correlation_id, effect.causation_id) = (first.correlation_id, first.id);
    let (request, cause) = (first.correlation_id, first.id);
    store.append(vec![first, effect]).await.unwrap();
    let caused = async |id| {
        let events = store.caused_by(id, 10).await.unwrap();
        events.map(|events| events.into_iter().map(|event| event.stream.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(caused(request).await, Some(vec!["a-1".to_owned()]));
    assert_eq!(caused(cause).await, Some(vec!["b-1".to_owned()]));
    assert_eq!(caused(Uuid::now_v7()).await, None);
    database.drop_database().await;
}

/// As any other read has them, and a refused copy spoils no connection.
#[tokio::test]
async fn events_are_copied_out_whole_and_in_the_order_of_their_streams() {
    let database = TestDatabase::create("core").await;
    let pool = PgPoolOptions::new().max_connections(1).connect_with(database.application()).await.unwrap();
    let store = Store::new("core", pool);
    store
        .append((1..=3).flat_map(|seq| [entry("note-1", seq), entry("note-2", seq)]).collect())
        .await
        .unwrap();
    let copied = store.read_range(("note-1", Seq::new(1)), "note.", 4).await.unwrap();
    let mut read = store.read(&stream("note-1"), Seq::new(1), 10).await.unwrap();
    read.extend(store.read(&stream("note-2"), Seq::ZERO, 2).await.unwrap());
    assert_eq!(serde_json::to_value(copied).unwrap(), serde_json::to_value(read).unwrap());

    let mut superuser = database.superuser_connection().await;
    sqlx::raw_sql("revoke select on event from lunaria_app").execute(&mut superuser).await.unwrap();
    assert!(store.read_range(("note-1", Seq::ZERO), "note.", 4).await.is_err());
    sqlx::raw_sql("grant select on event to lunaria_app").execute(&mut superuser).await.unwrap();
    for seq in 1..=3 {
        let last = store.read(&stream("note-1"), Seq::new(seq - 1), 1).await.unwrap();
        assert_eq!(last[0].seq.get(), seq);
    }
    database.drop_database().await;
}
