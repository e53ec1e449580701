//! Reading a stream from a seq, and the streams of a category.

use event::{Seq, StreamName};
use testbed::TestDatabase;

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
