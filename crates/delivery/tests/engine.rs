//! Cursor, duplicates, gaps, rivals.

use std::sync::Arc;

use delivery::Engine;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::stage::{Events, Stage};

/// More than a page of the history.
const LONG: i64 = 450;
const ROUNDS: i64 = 25;

#[tokio::test]
async fn what_was_handled_before_is_skipped() {
    let stage = Stage::create().await;
    let engine = stage.engine(Journal::new("journal"), &CancellationToken::new());
    let events = stage.append("note-1", 4).await;
    for delivery in [&events[..2], &events[..2], &events[1..3], &events[..1], &events[..]] {
        engine.deliver(delivery).await.unwrap();
    }
    assert_eq!(stage.effects("journal", "note-1").await, [1, 2, 3, 4]);
    stage.drop().await;
}

#[tokio::test]
async fn a_gap_is_filled_from_the_history() {
    let stage = Stage::create().await;
    let engine = stage.engine(Journal::new("journal"), &CancellationToken::new());
    let long = stage.append("note-1", LONG).await;
    engine.deliver(&long[long.len() - 1..]).await.unwrap();
    assert_eq!(stage.effects("journal", "note-1").await, (1..=LONG).collect::<Vec<_>>());

    // Within a batch too, while another stream has none.
    let (holed, whole) = (stage.append("note-2", 3).await, stage.append("note-3", 2).await);
    let batch: Events = [&holed[0], &whole[0], &holed[2], &whole[1]].map(Arc::clone).to_vec();
    engine.deliver(&batch).await.unwrap();
    assert_eq!(stage.effects("journal", "note-2").await, [1, 2, 3]);
    assert_eq!(stage.effects("journal", "note-3").await, [1, 2]);
    stage.drop().await;
}

#[tokio::test]
async fn a_handler_has_a_cursor_of_its_own() {
    let stage = Stage::create().await;
    let shutdown = CancellationToken::new();
    let events = stage.append("note-1", 3).await;
    for name in ["journal", "ledger"] {
        stage.engine(Journal::new(name), &shutdown).deliver(&events).await.unwrap();
        assert_eq!(stage.effects(name, "note-1").await, [1, 2, 3]);
    }
    stage.drop().await;
}

/// Delivers the same events by two consumers at once, round after round; nothing may be parked.
async fn race(stage: &Stage) {
    let shutdown = CancellationToken::new();
    let rivals: [Engine; 2] = [0, 1].map(|_| stage.engine(Journal::new("journal"), &shutdown));
    let streams = ["note-1", "note-2", "note-3"];
    for _ in 0..ROUNDS {
        let mut events = Events::new();
        for stream in streams {
            events.extend(stage.append(stream, 3).await);
        }
        // One of them has the streams the other way round, in pieces.
        let mut other = events.clone();
        other.sort_by(|a, b| (&b.stream, a.seq).cmp(&(&a.stream, b.seq)));
        let deliveries = [
            tokio::spawn(deliver_in_pieces(rivals[0].clone(), events, 9)),
            tokio::spawn(deliver_in_pieces(rivals[1].clone(), other, 2)),
        ];
        join_all(deliveries).await.into_iter().for_each(|delivered| delivered.unwrap());
    }
    for stream in streams {
        assert_eq!(stage.effects("journal", stream).await, (1..=3 * ROUNDS).collect::<Vec<_>>());
    }
    let parked: Vec<String> =
        sqlx::query_scalar("select reason from parked").fetch_all(stage.store.pool()).await.unwrap();
    assert!(parked.is_empty(), "a lost race is no failure of the event: {parked:?}");
}

async fn deliver_in_pieces(engine: Engine, events: Events, size: usize) {
    for piece in events.chunks(size) {
        engine.deliver(piece).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consumers_of_one_handler_have_each_effect_once() {
    let stage = Stage::create().await;
    race(&stage).await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_loses_a_race_in_the_handlers_own_rows_parks_nothing() {
    let stage = Stage::create().await;
    let mut superuser = stage.database.superuser_connection().await;
    sqlx::query("create unique index on effect (handler, stream, seq)")
        .execute(&mut superuser)
        .await
        .unwrap();
    race(&stage).await;
    stage.drop().await;
}
