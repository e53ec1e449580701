//! Replace, compare, cancel, fail, go on after a kill.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use event::Seq;
use projection::{Difference, Purpose, RebuildCommand, Status, list, progress};
use testbed::eventually;

use crate::tally::{Stage, Tally};

/// More than a chunk, in one stream and in many.
const LONG: i64 = 9_000;
const STREAMS: i64 = 60;

async fn with_history() -> (Stage, i64) {
    let stage = Stage::create().await;
    for n in 0..STREAMS {
        stage.handle(&format!("note-{n:03}"), 100).await;
    }
    stage.handle("memo-long", LONG).await;
    stage.handle("memo-short", 1).await;
    stage.check().await;
    (stage, STREAMS * 100 + LONG + 1)
}

const NAMES: &str = "select string_agg(indexname || ' ' || indexdef, ';' order by indexname)
    from pg_indexes where schemaname = 'public' and tablename like 'tally%'";

#[tokio::test]
async fn what_was_destroyed_is_built_anew_while_events_come() {
    let (stage, events) = with_history().await;
    let indexes: String = stage.query(NAMES).await;
    stage.run("update tally set events = -1 where stream >= 'note-03'").await;
    stage.run("delete from tally where stream < 'memo-m'").await;
    stage.run("delete from tally_total").await;
    let id = stage.ask(Purpose::Replace).await;
    let (token, keeper) = stage.keep();
    // A second one is refused, and changes nothing.
    let second = stage.ask(Purpose::Compare).await;
    assert!(matches!(stage.end(second).await, Status::Failed { .. }));
    // Old streams go on, and new ones begin, before and behind where the load is. What serves is no use, so that each is a new one there.
    let mut n = 0;
    while stage.status(id).await == Status::UnderWay {
        n += 1;
        stage.handle(&format!("memo-{n:03}"), 2).await;
        stage.handle(&format!("note-zz{n:03}"), 2).await;
    }
    assert!(n > 4, "only {n} streams have begun meanwhile");
    let Status::Completed { events: loaded, differences } = stage.end(id).await else {
        panic!("it has not completed")
    };
    assert!(loaded >= events && differences.is_empty(), "{loaded} of {events}: {differences:?}");
    stage.handle("memo-long", 5).await;
    stage.check().await;
    assert_eq!(stage.query::<String>(NAMES).await, indexes);
    let options: Vec<String> =
        stage.query("select reloptions from pg_class where oid = 'public.tally'::regclass").await;
    assert_eq!(options, ["fillfactor=80"]);
    assert_eq!(stage.query::<i64>("select count(*) from pg_tables where schemaname = 'rebuild'").await, 0);
    let found = progress(&stage.store, id).await.unwrap().unwrap();
    assert!(found.events_done == loaded && found.events_total >= events, "{found:?}");
    token.cancel();
    keeper.await.unwrap();
    stage.drop().await;
}

#[tokio::test]
async fn a_rebuild_goes_on_where_a_process_has_ended() {
    let (stage, events) = with_history().await;
    let id = stage.ask(Purpose::Replace).await;
    // Each is killed after some of it: whatever its transaction had done is gone with it.
    let mut before = -1;
    while stage.status(id).await == Status::UnderWay {
        let (_, keeper) = stage.keep();
        let reached = before;
        before = eventually("it has loaded some more", async || {
            let done: i64 = stage.query("select events_done from projection_rebuild").await;
            (done > reached || stage.status(id).await != Status::UnderWay).then_some(done)
        })
        .await;
        keeper.abort();
        let _ = keeper.await;
    }
    let Status::Completed { events: loaded, .. } = stage.end(id).await else {
        panic!("it has not completed")
    };
    assert_eq!(loaded, events, "each event is loaded once");
    stage.check().await;
    stage.drop().await;
}

#[tokio::test]
async fn a_comparison_finds_what_is_wrong_and_changes_nothing() {
    let (stage, _) = with_history().await;
    let (token, keeper) = stage.keep();
    let id = stage.ask(Purpose::Compare).await;
    let differences = stage.differences(id).await;
    assert_eq!(differences, []);
    stage.run("update tally set events = 7 where stream = 'note-007'").await;
    stage.run("delete from tally where stream = 'note-008'").await;
    let id = stage.ask(Purpose::Compare).await;
    let differences = stage.differences(id).await;
    assert_eq!(differences, [Difference { table: "tally".to_owned(), only_serving: 1, only_rebuilt: 2 }]);
    let examples = progress(&stage.store, id).await.unwrap().unwrap().examples.unwrap().0;
    assert_eq!(examples["tally"]["only_serving"][0]["events"], 7);
    assert_eq!(stage.query::<i64>("select events from tally where stream = 'note-007'").await, 7);
    assert_eq!(stage.query::<i64>("select count(*) from pg_tables where schemaname = 'rebuild'").await, 0);
    token.cancel();
    keeper.await.unwrap();
    stage.drop().await;
}

#[tokio::test]
async fn a_rebuild_that_fails_or_is_cancelled_leaves_what_serves_alone() {
    let (stage, _) = with_history().await;
    stage.tally.fails.store(true, Ordering::SeqCst);
    let (token, keeper) = stage.keep();
    let id = stage.ask(Purpose::Replace).await;
    assert_eq!(stage.end(id).await, Status::Failed { reason: "it makes no sense".to_owned() });
    stage.tally.fails.store(false, Ordering::SeqCst);
    token.cancel();
    keeper.await.unwrap();

    // At a new event of a stream that is loaded: the handler goes on.
    let id = stage.ask(Purpose::Replace).await;
    stage
        .run("update projection_rebuild set state = 'loading', loaded_to = 'note.', has_tables = make_rebuild_tables('tally') is not null")
        .await;
    stage.tally.fails.store(true, Ordering::SeqCst);
    stage.handle("note-000", 1).await;
    stage.check().await;
    let (token, keeper) = stage.keep();
    assert_eq!(stage.end(id).await, Status::Failed { reason: "it makes no sense".to_owned() });
    stage.tally.fails.store(false, Ordering::SeqCst);
    token.cancel();
    keeper.await.unwrap();

    let id = stage.ask(Purpose::Replace).await;
    stage
        .run("update projection_rebuild set state = 'loading', has_tables = make_rebuild_tables('tally') is not null")
        .await;
    stage.command(id, RebuildCommand::Cancel).await;
    let (token, keeper) = stage.keep();
    eventually("its tables are gone", async || {
        let left: i64 = stage.query("select count(*) from pg_tables where schemaname = 'rebuild'").await;
        (left == 0).then_some(())
    })
    .await;
    assert_eq!(stage.status(id).await, Status::Cancelled);
    stage.handle("note-000", 1).await;
    stage.check().await;
    token.cancel();
    keeper.await.unwrap();
    stage.drop().await;
}

#[tokio::test]
async fn of_a_stream_that_the_handler_lags_behind_as_much_is_loaded_as_it_has_handled() {
    let (stage, _) = with_history().await;
    let last = stage.append("memo-long", LONG).await;
    let id = stage.ask(Purpose::Compare).await;
    let (token, keeper) = stage.keep();
    for n in 0..LONG / 100 {
        stage.handle_after("memo-long", Seq::new(last.get() + n * 100), 100).await;
    }
    assert_eq!(stage.differences(id).await, []);
    // And with a handler that stands still meanwhile.
    let last = stage.append("memo-long", LONG).await;
    stage.handle_after("memo-long", last, 700).await;
    let id = stage.ask(Purpose::Compare).await;
    assert_eq!(stage.differences(id).await, []);
    token.cancel();
    keeper.await.unwrap();
    stage.drop().await;
}

#[tokio::test]
async fn who_reads_for_long_delays_the_change_and_nobody_else() {
    let (stage, _) = with_history().await;
    let mut reader = stage.store.pool().begin().await.unwrap();
    sqlx::query("lock table tally in access share mode").execute(&mut *reader).await.unwrap();
    let id = stage.ask(Purpose::Replace).await;
    let (token, keeper) = stage.keep();
    eventually("all is loaded", async || {
        let loaded_to: String = stage.query("select loaded_to from projection_rebuild").await;
        (loaded_to == "note.").then_some(())
    })
    .await;
    for _ in 0..5 {
        stage.handle("note-000", 1).await;
    }
    assert_eq!(stage.status(id).await, Status::UnderWay);
    reader.commit().await.unwrap();
    assert!(matches!(stage.end(id).await, Status::Completed { .. }));
    stage.check().await;
    token.cancel();
    keeper.await.unwrap();
    stage.drop().await;
}

#[tokio::test]
async fn a_rebuild_that_is_under_way_is_cancelled_and_a_table_that_has_changed_is_not_replaced() {
    let (stage, _) = with_history().await;
    let id = stage.ask(Purpose::Replace).await;
    let (token, keeper) = stage.keep();
    eventually("it loads", async || {
        let done: i64 = stage.query("select events_done from projection_rebuild").await;
        (done > 0).then_some(())
    })
    .await;
    stage.command(id, RebuildCommand::Cancel).await;
    eventually("its tables are gone", async || {
        let left: i64 = stage.query("select count(*) from pg_tables where schemaname = 'rebuild'").await;
        (left == 0).then_some(())
    })
    .await;
    assert_eq!(stage.status(id).await, Status::Cancelled);
    assert_eq!(stage.query::<String>("select state from projection_rebuild").await, "cancelled");
    stage.check().await;

    // A migration that comes meanwhile would be lost.
    let mut reader = stage.store.pool().begin().await.unwrap();
    sqlx::query("lock table tally_total in access share mode").execute(&mut *reader).await.unwrap();
    let id = stage.ask(Purpose::Replace).await;
    eventually("all is loaded", async || {
        let loaded_to: String = stage.query("select loaded_to from projection_rebuild").await;
        (loaded_to == "note.").then_some(())
    })
    .await;
    stage.migrate("alter table tally add column reason text").await;
    reader.commit().await.unwrap();
    let Status::Failed { reason } = stage.end(id).await else { panic!("it has not failed") };
    assert!(reason.contains("has been changed since"), "{reason}");

    // Nor is anything written into what serves, where what is built is gone.
    let id = stage.ask(Purpose::Replace).await;
    eventually("it loads", async || {
        let done: i64 = stage.query("select events_done from projection_rebuild").await;
        (done > 0).then_some(())
    })
    .await;
    stage.migrate("drop table if exists rebuild.tally").await;
    let Status::Failed { reason } = stage.end(id).await else { panic!("it has not failed") };
    assert!(reason.contains("its tables are gone"), "{reason}");
    stage.check().await;
    token.cancel();
    keeper.await.unwrap();
    stage.drop().await;
}

#[tokio::test]
async fn a_program_with_other_rules_ends_a_rebuild() {
    let (mut stage, _) = with_history().await;
    let id = stage.ask(Purpose::Replace).await;
    stage
        .run("update projection_rebuild set state = 'loading', loaded_to = 'note.', has_tables = make_rebuild_tables('tally') is not null")
        .await;
    let last = stage.append("memo-short", 1).await;
    stage.tally = Arc::new(Tally { version: 2, ..Tally::default() });
    // That it makes nothing of rows of other rules is the tally's own.
    stage.run("update tally set events = events * 2").await;
    stage.handle_after("memo-short", last, 1).await;
    let (token, keeper) = stage.keep();
    let Status::Failed { reason } = stage.end(id).await else { panic!("it has not failed") };
    assert!(reason.contains("version 2 of its rules is still handling"), "{reason}");
    token.cancel();
    keeper.await.unwrap();
    stage.drop().await;
}

#[tokio::test]
async fn new_rules_have_the_rows_built_anew() {
    let (mut stage, _) = with_history().await;
    stage.tally = Arc::new(Tally { version: 3, ..Tally::default() });
    let keepers = [stage.keep(), stage.keep()];
    let id = eventually("somebody has asked for it", async || {
        sqlx::query_scalar("select substr(stream, 9)::uuid from event where stream like 'rebuild-%'")
            .fetch_optional(stage.store.pool())
            .await
            .unwrap()
    })
    .await;
    stage.tell_desk(id).await;
    assert!(matches!(stage.end(id).await, Status::Completed { .. }));
    stage.check().await;
    let overview = list(&stage.store).await.unwrap().into_iter().find(|row| row.name == "tally").unwrap();
    assert_eq!((overview.version, overview.rebuild_id), (3, Some(id)));
    assert_eq!(
        stage.query::<i64>("select count(*) from event where stream like 'rebuild-%' and seq = 1").await,
        1
    );
    for (token, keeper) in keepers {
        token.cancel();
        keeper.await.unwrap();
    }
    stage.drop().await;
}
