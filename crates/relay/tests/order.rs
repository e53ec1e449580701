//! What arrives, and in which order.

use event::{Metadata, NewEvent, Seq};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::recorder::{Delivered, Recorder};
use crate::source::{Source, append_in};

const WRITERS: usize = 6;
const TRANSACTIONS_EACH: i64 = 15;
const LARGE: i64 = 20_000;

fn assert_strictly_rising(delivered: &[Delivered]) {
    for pair in delivered.windows(2) {
        assert!(pair[0].at < pair[1].at, "{} before {}", pair[0].name(), pair[1].name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_arrive_whole_and_the_commit_position_strictly_rises() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    let writers = (0..WRITERS).map(|writer| {
        let store = source.store.clone();
        tokio::spawn(async move {
            for n in 1..=TRANSACTIONS_EACH {
                let (correlation_id, streams) = (Uuid::now_v7(), ["a", "b", "c"]);
                let events = streams
                    .map(|category| new_event(&format!("{category}-{writer}"), n, correlation_id))
                    .to_vec();
                store.append(events).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let transactions = WRITERS * usize::try_from(TRANSACTIONS_EACH).unwrap();
    let delivered = recorder.until_delivered(3 * transactions).await;
    assert_eq!(delivered.len(), 3 * transactions);
    assert_strictly_rising(&delivered);
    for transaction in delivered.chunks(3) {
        assert_eq!(transaction.iter().map(|one| one.at.ordinal).collect::<Vec<_>>(), [0, 1, 2]);
        for one in transaction {
            assert_eq!(one.at.commit_lsn, transaction[0].at.commit_lsn);
            assert_eq!(one.row.correlation_id, transaction[0].row.correlation_id);
        }
    }
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn the_order_is_that_of_the_commits_not_that_of_the_inserts() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    let mut early = source.store.pool().begin().await.unwrap();
    append_in(&mut early, "note-early", 1..=2).await;
    source.append("note-late", 1).await;
    early.commit().await.unwrap();

    let delivered = recorder.until_delivered(3).await;
    let names: Vec<_> = delivered.iter().map(Delivered::name).collect();
    assert_eq!(names, ["note-late@1", "note-early@1", "note-early@2"]);
    assert!(delivered[0].row.position > delivered[1].row.position, "positions tell another story");
    assert_strictly_rising(&delivered);
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn what_was_rolled_back_does_not_arrive() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    let mut abandoned = source.store.pool().begin().await.unwrap();
    append_in(&mut abandoned, "note-1", 1..=5).await;
    abandoned.rollback().await.unwrap();
    let mut partly = source.store.pool().begin().await.unwrap();
    sqlx::query("savepoint before").execute(&mut *partly).await.unwrap();
    append_in(&mut partly, "note-2", 1..=5).await;
    sqlx::query("rollback to before").execute(&mut *partly).await.unwrap();
    append_in(&mut partly, "note-3", 1..=1).await;
    partly.commit().await.unwrap();

    recorder.until_delivered(1).await;
    source.until_confirmed(source.wal_end().await).await;
    assert_eq!(recorder.names(1), ["note-3@1"]);
    relay.stop().await;
    source.drop().await;
}

#[tokio::test]
async fn an_event_arrives_as_it_stands_in_the_table() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.store.append(vec![new_event("payment.v1-1", 1, Uuid::now_v7())]).await.unwrap();
    let arrived = recorder.until_delivered(1).await.pop().unwrap().row;
    let stored = source.store.last(&"payment.v1-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(arrived.category(), "payment.v1");
    let arrived = arrived.to_event().unwrap();
    assert_eq!(serde_json::to_value(&arrived).unwrap(), serde_json::to_value(&stored).unwrap());
    assert_eq!(arrived.data.get(), stored.data.get(), "byte for byte");
    relay.stop().await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_many_thousand_events_passes_whole() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    append_in(&mut source.store.pool().acquire().await.unwrap(), "note-1", 1..=LARGE).await;
    let after = source.wal_end().await;
    let delivered = recorder.until_delivered(usize::try_from(LARGE).unwrap()).await;
    for (n, one) in (1..).zip(&delivered) {
        assert_eq!(one.row.seq, n);
        assert_eq!(one.at.commit_lsn, delivered[0].at.commit_lsn);
    }
    assert_strictly_rising(&delivered);
    source.until_confirmed(after).await;
    relay.stop().await;
    source.drop().await;
}

fn new_event(stream: &str, seq: i64, correlation_id: Uuid) -> NewEvent {
    NewEvent {
        stream: stream.parse().unwrap(),
        seq: Seq::new(seq),
        id: Uuid::now_v7(),
        event_type: "Entered".into(),
        version: 3,
        data: RawValue::from_string(r#"{"b": 1.50, "a": ["ü", null, "\u0001"]}"#.to_owned()).unwrap(),
        correlation_id,
        causation_id: Uuid::now_v7(),
        metadata: Metadata {
            actor: event::Actor("customer:Zoë".to_owned()),
            causation_kind: event::CausationKind::Event,
            traceparent: Some("00-1-2-3".to_owned()),
            source: None,
        },
    }
}
