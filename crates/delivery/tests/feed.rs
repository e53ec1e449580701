//! The embedded transport: bounded queues, and handlers that are behind, new or restarted.

use testbed::eventually;

use crate::journal::Journal;
use crate::stage::{Events, Stage};

/// More than a worker's queue and batch hold.
const FLOOD_STREAMS: i64 = 70;
const FLOOD_EVENTS_EACH: i64 = 250;

/// Round robin: the first of each stream, the second of each, …
fn interleaved(streams: Vec<Events>) -> Events {
    let mut events: Vec<_> = streams.into_iter().flatten().collect();
    events.sort_by_key(|event| event.seq);
    events
}

async fn append_to_all(stage: &Stage, streams: i64, count: i64) -> Events {
    let mut all = Vec::new();
    for n in 0..streams {
        all.push(stage.append(&format!("note-{n}"), count).await);
    }
    interleaved(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stream_stays_in_order_however_many_workers_there_are() {
    let stage = Stage::create().await;
    let mut journal = Journal::new("journal");
    journal.concurrency = 8;
    let fed = stage.joined_feed(journal).await;
    let events = append_to_all(&stage, 20, 15).await;
    fed.offer(&events).await;
    fed.until_settled(events.len()).await;
    for n in 0..20 {
        let effects = stage.effects("journal", &format!("note-{n}")).await;
        assert_eq!(effects, (1..=15).collect::<Vec<_>>());
    }
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test]
async fn a_feed_wants_the_categories_of_its_source_and_no_others() {
    let stage = Stage::create().await;
    let fed = stage.feed(Journal::new("journal")).await;
    assert!(fed.feed.wants("core", "note"));
    for (source, category) in [("orders", "note"), ("core", "notes"), ("core", "note.v1")] {
        assert!(!fed.feed.wants(source, category));
    }
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_cannot_keep_up_is_marked_behind_catches_up_and_joins_again() {
    let stage = Stage::create().await;
    let mut journal = Journal::new("journal");
    journal.concurrency = 1;
    let fed = stage.joined_feed(journal.clone()).await;
    journal.close();
    let events = append_to_all(&stage, FLOOD_STREAMS, FLOOD_EVENTS_EACH).await;
    // Returns although the handler takes nothing: the relay never waits for it.
    fed.offer(&events).await;
    assert!(stage.behind("journal").await, "the mark is durable before an event is settled by it");
    let settled_by_the_mark = fed.settled();
    assert!(0 < settled_by_the_mark && settled_by_the_mark < events.len());
    assert_eq!(stage.ask::<i64>("select count(*) from effect").await, 0);

    journal.open();
    stage.until_joined("journal").await;
    for n in 0..FLOOD_STREAMS {
        stage.until_effects("journal", &format!("note-{n}"), FLOOD_EVENTS_EACH).await;
    }
    fed.until_settled(events.len()).await;
    let more = append_to_all(&stage, FLOOD_STREAMS, 1).await;
    fed.offer(&more).await;
    fed.until_settled(events.len() + more.len()).await;
    for n in 0..FLOOD_STREAMS {
        stage.until_effects("journal", &format!("note-{n}"), FLOOD_EVENTS_EACH + 1).await;
    }
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_added_later_gets_the_history_and_nothing_of_other_categories() {
    let stage = Stage::create().await;
    append_to_all(&stage, 3, 30).await;
    for other in ["note.v1-1", "notes-1", "memo-1"] {
        stage.append(other, 2).await;
    }
    let fed = stage.joined_feed(Journal::new("journal")).await;
    for n in 0..3 {
        stage.until_effects("journal", &format!("note-{n}"), 30).await;
    }
    assert_eq!(stage.ask::<i64>("select count(*) from effect").await, 90);
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_while_a_handler_catches_up_is_not_missed() {
    let stage = Stage::create().await;
    append_to_all(&stage, 4, 40).await;
    let journal = Journal::new("journal");
    journal.close();
    let fed = stage.feed(journal.clone()).await;
    let mut offered = 0;
    // Old streams and new ones, before and behind the place where the catch-up is.
    for round in 0..20 {
        for stream in ["note-0", "note-3", &format!("note-.{round}"), &format!("note-z{round}")] {
            let events = stage.append(stream, 2).await;
            fed.offer(&events).await;
            offered += events.len();
        }
        if round == 5 {
            journal.open();
        }
    }
    stage.until_joined("journal").await;
    fed.until_settled(offered).await;
    stage.until_effects("journal", "note-0", 80).await;
    stage.until_effects("journal", "note-3", 80).await;
    for round in 0..20 {
        stage.until_effects("journal", &format!("note-.{round}"), 2).await;
        stage.until_effects("journal", &format!("note-z{round}"), 2).await;
    }
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_a_handler_that_was_behind_catches_up() {
    let stage = Stage::create().await;
    let mut journal = Journal::new("journal");
    journal.concurrency = 1;
    let fed = stage.joined_feed(journal.clone()).await;
    journal.close();
    let events = append_to_all(&stage, FLOOD_STREAMS, FLOOD_EVENTS_EACH).await;
    fed.offer(&events).await;
    assert!(stage.behind("journal").await);
    fed.abort().await;

    // Settled by the mark, so no relay offers them again.
    journal.open();
    let fed = stage.joined_feed(journal).await;
    for n in 0..FLOOD_STREAMS {
        stage.until_effects("journal", &format!("note-{n}"), FLOOD_EVENTS_EACH).await;
    }
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_before_its_effect_is_not_settled() {
    let stage = Stage::create().await;
    let journal = Journal::new("journal");
    let fed = stage.joined_feed(journal.clone()).await;
    journal.close();
    let events = append_to_all(&stage, 4, 10).await;
    fed.offer(&events).await;
    let settled = fed.abort().await;
    assert_eq!(settled, 0);
    assert_eq!(stage.ask::<i64>("select count(*) from effect").await, 0);

    journal.open();
    let fed = stage.joined_feed(journal).await;
    fed.offer(&events).await;
    fed.until_settled(events.len()).await;
    for n in 0..4 {
        stage.until_effects("journal", &format!("note-{n}"), 10).await;
    }
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_handler_does_not_hold_up_another() {
    let stage = Stage::create().await;
    let (slow, quick) = (Journal::new("slow"), Journal::new("quick"));
    let (slow_fed, quick_fed) = (stage.joined_feed(slow.clone()).await, stage.joined_feed(quick).await);
    slow.close();
    let events = append_to_all(&stage, 2, 20).await;
    slow_fed.offer(&events).await;
    quick_fed.offer(&events).await;
    quick_fed.until_settled(events.len()).await;
    assert_eq!(slow_fed.settled(), 0);
    slow.open();
    eventually("the slow one is done", async || (slow_fed.settled() == events.len()).then_some(())).await;
    slow_fed.stop().await;
    quick_fed.stop().await;
    stage.drop().await;
}
