//! An event that cannot be handled: tried again, then parked, and its stream waits.

use std::sync::Arc;

use delivery::{
    parked_event_in, parked_group, parked_groups, parked_streams, retry_parked_in, skip_parked_in,
    waiting_parked_in,
};
use event::{Seq, StreamName};
use testbed::eventually;

use crate::gate::GatedHistory;
use crate::journal::Journal;
use crate::stage::Stage;

async fn until_attempts(stage: &Stage, attempts: i32) {
    eventually("it is tried so often", async || {
        let tried: Option<i32> = sqlx::query_scalar("select max(attempts) from parked")
            .fetch_one(stage.store.pool())
            .await
            .unwrap();
        (tried >= Some(attempts)).then_some(())
    })
    .await;
}

async fn until_nothing_is_parked(stage: &Stage) {
    eventually("nothing is parked", async || {
        (stage.ask::<i64>("select count(*) from parked").await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_event_is_parked_with_its_reason_its_stream_waits_and_then_goes_on_without_a_gap() {
    let stage = Stage::create().await;
    let journal = Journal::new("journal");
    let fed = stage.joined_feed(journal.clone()).await;
    journal.fail("note-1@3");
    fed.offer(&stage.append("note-1", 5).await).await;
    fed.offer(&stage.append("note-2", 5).await).await;

    // Retried with growing pauses until a person has to decide.
    eventually("it is parked for good", async || {
        let parked =
            "select exists (select from parked where stream = 'note-1' and seq = 3 and retry_at is null)";
        stage.ask::<bool>(parked).await.then_some(())
    })
    .await;
    assert_eq!(stage.ask::<i32>("select attempts from parked").await, 6);
    assert_eq!(stage.ask::<String>("select reason from parked").await, "told to fail at note-1@3");
    assert_eq!(stage.effects("journal", "note-1").await, [1, 2]);
    stage.until_effects("journal", "note-2", 5).await;

    // Its stream waits, the other one does not; both are settled.
    fed.offer(&stage.append("note-1", 2).await).await;
    fed.offer(&stage.append("note-2", 1).await).await;
    fed.until_settled(13).await;
    stage.until_effects("journal", "note-2", 6).await;
    assert_eq!(stage.effects("journal", "note-1").await, [1, 2]);
    assert_eq!(stage.ask::<i64>("select waiting_seq from parked").await, 7);

    journal.mend("note-1@3");
    stage.run("update parked set retry_at = now()").await;
    until_nothing_is_parked(&stage).await;
    assert_eq!(stage.effects("journal", "note-1").await, [1, 2, 3, 4, 5, 6, 7]);
    fed.offer(&stage.append("note-1", 1).await).await;
    stage.until_effects("journal", "note-1", 8).await;
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_recovers_between_retries_goes_on_by_itself() {
    let stage = Stage::create().await;
    let journal = Journal::new("journal");
    let fed = stage.joined_feed(journal.clone()).await;
    journal.fail("note-1@1");
    fed.offer(&stage.append("note-1", 3).await).await;
    until_attempts(&stage, 2).await;
    assert!(stage.effects("journal", "note-1").await.is_empty());
    journal.mend("note-1@1");
    stage.until_effects("journal", "note-1", 3).await;
    until_nothing_is_parked(&stage).await;
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_event_that_fails_is_parked_in_turn_with_tries_of_its_own() {
    let stage = Stage::create().await;
    let journal = Journal::new("journal");
    let fed = stage.joined_feed(journal.clone()).await;
    journal.fail("note-1@2");
    journal.fail("note-1@4");
    fed.offer(&stage.append("note-1", 5).await).await;
    until_attempts(&stage, 3).await;
    journal.mend("note-1@2");
    eventually("the other one fails", async || {
        (stage.ask::<i64>("select seq from parked").await == 4).then_some(())
    })
    .await;
    assert!(stage.ask::<i32>("select attempts from parked").await < 3);
    assert_eq!(stage.effects("journal", "note-1").await, [1, 2, 3]);
    journal.mend("note-1@4");
    stage.until_effects("journal", "note-1", 5).await;
    until_nothing_is_parked(&stage).await;
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_what_is_parked_and_retries_it() {
    let stage = Stage::create().await;
    let journal = Journal::new("journal");
    let fed = stage.joined_feed(journal.clone()).await;
    journal.fail("note-1@1");
    let events = stage.append("note-1", 3).await;
    fed.offer(&events).await;
    fed.until_settled(3).await;
    fed.stop().await;

    journal.mend("note-1@1");
    let fed = stage.joined_feed(journal).await;
    stage.until_effects("journal", "note-1", 3).await;
    until_nothing_is_parked(&stage).await;
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_handler_that_fails_in_the_history_goes_on_with_the_other_streams() {
    let stage = Stage::create().await;
    stage.append("note-1", 4).await;
    stage.append("note-2", 4).await;
    let journal = Journal::new("journal");
    journal.fail("note-1@2");
    let fed = stage.joined_feed(journal.clone()).await;
    stage.until_effects("journal", "note-2", 4).await;
    assert_eq!(stage.effects("journal", "note-1").await, [1]);
    journal.mend("note-1@2");
    stage.until_effects("journal", "note-1", 4).await;
    fed.stop().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_a_catch_up_passes_while_the_retry_ends_the_wait_is_not_lost() {
    let stage = Stage::create().await;
    let journal = Journal::new("journal");
    let fed = stage.joined_feed(journal.clone()).await;
    journal.fail("note-1@1");
    fed.offer(&stage.append("note-1", 1).await).await;
    fed.until_settled(1).await;
    fed.stop().await;

    // A restart in the state behind. The retry has handled the event and seen that nothing comes after it.
    journal.mend("note-1@1");
    stage.run("update handler set behind = true, behind_reason = 'its queue was full'").await;
    stage.run("update parked set retry_at = now()").await;
    let history = Arc::new(GatedHistory::closed(stage.store.clone()));
    let fed = stage.feed_from(journal, Arc::<GatedHistory>::clone(&history)).await;
    history.empty_pages.until_somebody_waits().await;
    // Then something comes, is settled since the handler is behind, and the catch-up sees a stream that waits.
    fed.offer(&stage.append("note-1", 1).await).await;
    fed.until_settled(1).await;
    history.streams.open();
    stage.until_joined("journal").await;
    history.empty_pages.open();

    stage.until_effects("journal", "note-1", 2).await;
    until_nothing_is_parked(&stage).await;
    fed.stop().await;
    stage.drop().await;
}

async fn until_waiting(stage: &Stage, streams: i64) {
    eventually("they wait for a person", async || {
        let waiting = stage.ask::<i64>("select count(*) from parked where retry_at is null").await;
        (waiting == streams).then_some(())
    })
    .await;
}

/// Fifty streams with twenty events each, and all of it is one thing to a person.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_one_cause_is_tried_again_as_one_and_in_order() {
    let stage = Stage::create().await;
    let journal = Journal::new("journal");
    let fed = stage.joined_feed(journal.clone()).await;
    for n in 1..=50 {
        journal.fail(&format!("note-{n}@3"));
        fed.offer(&stage.append(&format!("note-{n}"), 22).await).await;
    }
    until_waiting(&stage, 50).await;
    let mut connection = stage.store.pool().acquire().await.unwrap();
    let groups = parked_groups(&mut connection).await.unwrap();
    let [group] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((group.cause.as_str(), group.streams, group.events), ("told to fail at …", 50, 1_000));
    assert_eq!(parked_group(&mut connection, &group.id()).await.unwrap().as_ref(), Some(group));
    assert_eq!(parked_group(&mut connection, "another").await.unwrap(), None);
    let page = parked_streams(&stage.store, group, None, 20).await.unwrap();
    let rest = parked_streams(&stage.store, group, Some(&page[19].stream), 500).await.unwrap();
    assert_eq!((page.len(), rest.len()), (20, 30));
    assert_eq!((page[0].seq, page[0].attempts, page[0].events), (3, 6, 20));

    // One that is not mended, too: it waits again, and the others do not.
    for n in 2..=50 {
        journal.mend(&format!("note-{n}@3"));
    }
    let waiting = waiting_parked_in(&mut connection, group, None).await.unwrap();
    assert_eq!(waiting.len(), 50);
    // At too slow a pace they still wait for a person, who asks for another.
    stage.run("update parked set retry_at = now() + interval '1 hour'").await;
    assert_eq!(waiting_parked_in(&mut connection, group, None).await.unwrap().len(), 50);
    retry_parked_in(&mut connection, group, &waiting, 1_000).await.unwrap();
    for n in 2..=50 {
        stage.until_effects("journal", &format!("note-{n}"), 22).await;
        assert_eq!(stage.effects("journal", &format!("note-{n}")).await, (1..=22).collect::<Vec<_>>());
    }
    until_waiting(&stage, 1).await;
    assert_eq!(stage.ask::<i32>("select attempts from parked where stream = 'note-1'").await, 7);
    let one: StreamName = "note-1".parse().unwrap();
    let waiting = waiting_parked_in(&mut connection, group, Some(&one)).await.unwrap();
    retry_parked_in(&mut connection, group, &waiting, 1).await.unwrap();
    until_waiting(&stage, 1).await;
    // What is left out is left out alone.
    for (handler, seq) in [("journal", 4), ("another", 3)] {
        let found = parked_event_in(&mut connection, handler, &one, Seq::new(seq)).await.unwrap();
        assert_eq!(found, None);
        let skipped = skip_parked_in(&mut connection, handler, &one, Seq::new(seq)).await;
        assert!(matches!(skipped, Err(event_store::Error::Conflict)), "{skipped:?}");
    }
    let found = parked_event_in(&mut connection, "journal", &one, Seq::new(3)).await.unwrap();
    assert_eq!(found.unwrap().reason, "told to fail at note-1@3");
    skip_parked_in(&mut connection, "journal", &one, Seq::new(3)).await.unwrap();
    until_nothing_is_parked(&stage).await;
    let effects = stage.effects("journal", "note-1").await;
    assert_eq!(effects, [1, 2].into_iter().chain(4..=22).collect::<Vec<_>>());
    drop(connection);
    fed.stop().await;
    stage.drop().await;
}
