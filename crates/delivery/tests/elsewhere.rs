//! Read models that are kept elsewhere: the example of one in a document store, and one in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use delivery::{Elsewhere, HandleError, Subscription};
use event::{RecordedEvent, Seq, StreamName};
use serde_json::Value;
use testbed::{eventually, unique};

use crate::kafka::Topics;
use crate::stage::Stage;

#[path = "../examples/document_store.rs"]
#[expect(dead_code, reason = "its main is for who runs it")]
mod document_store;
use document_store::Documents;

/// In a file of its own, which goes with it.
struct Store {
    file: PathBuf,
}

impl Store {
    fn new() -> Self {
        Self { file: std::env::temp_dir().join(unique("documents.")) }
    }

    fn open(&self) -> Documents {
        Documents::open(&self.file).unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// What the story of a stream's document says, as numbers.
fn story(documents: &Documents, stream: &str) -> usize {
    let document = documents.find(stream).unwrap();
    document.and_then(|document| Some(document.get("story")?.as_array()?.len())).unwrap_or_default()
}

async fn until_told(documents: &Documents, stream: &str, events: usize) {
    eventually("the document has all events", async || (story(documents, stream) >= events).then_some(()))
        .await;
    assert_eq!(story(documents, stream), events, "{stream}: each event once");
    let document = documents.find(stream).unwrap().unwrap();
    assert_eq!(document.get("n").and_then(Value::as_u64), u64::try_from(events).ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_store_has_each_event_once_across_restarts() {
    let (stage, store) = (Stage::create().await, Store::new());
    let before = stage.append("transfer-1", 3).await;
    let documents = store.open();
    let fed = stage.feed_elsewhere(Arc::new(documents.clone())).await;
    until_told(&documents, "transfer-1", 3).await;
    // Delivered again, beside new ones of this stream and of another; and with a hole, which the history fills.
    fed.offer(&before).await;
    fed.offer(&stage.append("transfer-1", 2).await).await;
    let missed = stage.append("transfer-2", 5).await;
    fed.offer(&missed[3..].to_vec()).await;
    until_told(&documents, "transfer-1", 5).await;
    until_told(&documents, "transfer-2", 5).await;
    fed.abort().await;
    drop(documents);
    // The store has its own places, so that nothing is told twice.
    let documents = store.open();
    let fed = stage.feed_elsewhere(Arc::new(documents.clone())).await;
    fed.offer(&missed).await;
    fed.offer(&stage.append("transfer-2", 1).await).await;
    until_told(&documents, "transfer-2", 6).await;
    assert_eq!(stage.ask::<i64>("select count(*) from cursor").await, 0);
    fed.stop().await;
    stage.drop().await;
}

/// In memory: fails when it is told to, at an event or altogether.
#[derive(Default)]
struct Counted {
    counts: Mutex<BTreeMap<StreamName, Seq>>,
    is_away: AtomicBool,
    /// `stream@seq`
    refuses: Mutex<Option<String>>,
    has_caught_up: AtomicBool,
    is_kept: bool,
    refused: AtomicUsize,
}

impl Counted {
    fn count(&self, stream: &str) -> i64 {
        let counts = self.counts.lock().unwrap();
        counts.get(&stream.parse::<StreamName>().unwrap()).map_or(0, |seq| seq.get())
    }

    async fn until(&self, stream: &str, count: i64) {
        eventually("it has counted them", async || (self.count(stream) >= count).then_some(())).await;
        assert_eq!(self.count(stream), count);
    }
}

#[async_trait]
impl Elsewhere for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["note"] }
    }

    async fn places(&self, streams: &[&StreamName]) -> Result<Vec<Seq>, HandleError> {
        let counts = self.counts.lock().unwrap();
        Ok(streams.iter().map(|stream| counts.get(*stream).copied().unwrap_or_default()).collect())
    }

    async fn take(&self, events: &[&RecordedEvent]) -> Result<(), HandleError> {
        if self.is_away.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(HandleError::Unavailable("it is away".to_owned()));
        }
        let refuses = self.refuses.lock().unwrap().clone();
        for event in events {
            if refuses.as_ref() == Some(&format!("{}@{}", event.stream, event.seq)) {
                return Err(HandleError::Failed("told to refuse it".to_owned()));
            }
        }
        let mut counts = self.counts.lock().unwrap();
        for event in events {
            let count = counts.entry(event.stream.clone()).or_default();
            assert_eq!(event.seq, count.next(), "in order, without a hole");
            *count = event.seq;
        }
        Ok(())
    }

    fn is_volatile(&self) -> bool {
        !self.is_kept
    }

    fn has_caught_up(&self) {
        self.has_caught_up.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_cannot_take_now_waits_and_what_it_never_takes_is_parked_alone() {
    let stage = Stage::create().await;
    let counted = Arc::new(Counted { is_kept: true, ..Counted::default() });
    let fed = stage.feed_elsewhere(Arc::<Counted>::clone(&counted)).await;
    counted.is_away.store(true, Ordering::SeqCst);
    let events = stage.append("note-1", 2).await;
    fed.offer(&events).await;
    eventually("it was tried", async || (counted.refused.load(Ordering::SeqCst) >= 2).then_some(())).await;
    assert_eq!((counted.count("note-1"), fed.settled()), (0, 0), "nothing is settled that it has not");
    counted.is_away.store(false, Ordering::SeqCst);
    counted.until("note-1", 2).await;
    fed.until_settled(2).await;

    *counted.refuses.lock().unwrap() = Some("note-1@3".to_owned());
    fed.offer(&stage.append("note-1", 2).await).await;
    fed.offer(&stage.append("note-2", 2).await).await;
    counted.until("note-2", 2).await;
    fed.until_settled(6).await;
    assert_eq!(counted.count("note-1"), 2);
    assert_eq!(stage.ask::<i64>("select count(*) from parked where handler = 'counted'").await, 1);
    *counted.refuses.lock().unwrap() = None;
    counted.until("note-1", 4).await;
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_memory_begins_with_the_history_in_each_process_embedded() {
    let stage = Stage::create().await;
    let mut count = 0;
    for _ in 0..2 {
        stage.append("note-1", 3).await;
        count += 3;
        let counted = Arc::new(Counted::default());
        let fed = stage.feed_elsewhere(Arc::<Counted>::clone(&counted)).await;
        eventually("it knows", async || counted.has_caught_up.load(Ordering::SeqCst).then_some(())).await;
        assert_eq!(counted.count("note-1"), count, "all that there was");
        fed.offer(&stage.append("note-1", 2).await).await;
        count += 2;
        counted.until("note-1", count).await;
        fed.stop().await;
    }
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_memory_begins_with_the_history_in_each_process_over_kafka() {
    let stage = Stage::create().await;
    let topics = Topics::open(&stage).await;
    stage.append("note-1", 3).await;
    // Two at once, and each has all.
    let views = [Arc::new(Counted::default()), Arc::new(Counted::default())];
    let consuming: Vec<_> =
        views.iter().map(|view| topics.consume_elsewhere(&stage, Arc::<Counted>::clone(view))).collect();
    for view in &views {
        eventually("it knows", async || view.has_caught_up.load(Ordering::SeqCst).then_some(())).await;
        assert!(view.count("note-1") >= 3);
    }
    stage.append("note-1", 2).await;
    stage.append("note-2", 1).await;
    for view in &views {
        view.until("note-1", 5).await;
        view.until("note-2", 1).await;
    }
    for consuming in consuming {
        consuming.stop().await;
    }
    topics.close().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_store_is_kept_over_kafka() {
    let (stage, store) = (Stage::create().await, Store::new());
    let topics = Topics::open(&stage).await;
    stage.append("transfer-1", 3).await;
    for events in [5, 7] {
        let documents = store.open();
        let consuming = topics.consume_elsewhere(&stage, Arc::new(documents.clone()));
        stage.append("transfer-1", 2).await;
        until_told(&documents, "transfer-1", events).await;
        consuming.stop().await;
    }
    topics.close().await;
    stage.drop().await;
}

/// What is fed and what is read meet at the same streams, while it catches up, joins, and falls behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_it_catches_up_comes_once_and_in_order() {
    let stage = Stage::create().await;
    let streams: Vec<String> = (0..20).map(|n| format!("note-{n}")).collect();
    for stream in &streams {
        stage.append(stream, 50).await;
    }
    let counted = Arc::new(Counted::default());
    let fed = stage.feed_now(Arc::<Counted>::clone(&counted)).await;
    for _ in 0..10 {
        for stream in &streams {
            fed.offer(&stage.append(stream, 2).await).await;
        }
    }
    for stream in &streams {
        counted.until(stream, 70).await;
    }
    assert_eq!(stage.ask::<i64>("select count(*) from parked").await, 0);
    fed.stop().await;
    stage.drop().await;
}
