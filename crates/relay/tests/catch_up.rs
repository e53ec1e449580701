//! A backlog that the event table gives faster than the log, and refills that a relay begins, or ends, by itself.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use relay::{Config, Phase, RefillMode, SinkAccount, TopicAccount, Way};
use replication::Lsn;
use sqlx::PgConnection;
use testbed::{eventually, own_newer_postgres};

use crate::recorder::Recorder;
use crate::source::{Relay, Source, append_in};

const BACKLOG: &str = r#"refill = '{"cause": "backlog", "reason": "the test wants it"}'"#;

/// A relay of which the horizon covers `note-1@1`.
async fn with_horizon() -> (Source, Recorder, Relay) {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.append("note-1", 1).await;
    until_the_horizon_covers(&source, "note-1").await;
    (source, recorder, relay)
}

async fn until_the_horizon_covers(source: &Source, stream: &str) {
    let seqs = AtomicI64::new(1);
    let covered = format!(
        "select coalesce(bool_and(event.xmin::text::bigint < split_part(horizon, ':', 1)::bigint), false)
         from relay_state, event where stream = '{stream}'"
    );
    eventually("the horizon covers the stream", async || {
        // A ceiling is written with each event, and brings the horizon along.
        source.append("tick-1", seqs.fetch_add(1, Ordering::Relaxed)).await;
        source.ask::<bool>(&covered).await.then_some(())
    })
    .await;
}

/// Appends in a transaction that stays open; its number.
async fn open(connection: &mut PgConnection, stream: &str) -> String {
    sqlx::raw_sql("begin; savepoint inner_one").execute(&mut *connection).await.unwrap();
    append_in(connection, stream, 1..=1).await;
    sqlx::query_scalar("select pg_current_xact_id()::text").fetch_one(connection).await.unwrap()
}

async fn commit(connection: &mut PgConnection) {
    sqlx::raw_sql("commit").execute(connection).await.unwrap();
}

/// Waits until somebody waits for that transaction to end: the new slot does, when it was begun before.
async fn until_waited_for(source: &Source, xid: &str) {
    let waits =
        format!("select count(*) > 0 from pg_locks where not granted and transactionid::text = '{xid}'");
    eventually("the slot's creation waits", async || source.ask::<bool>(&waits).await.then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_open_at_the_horizon_is_sent_and_what_is_open_at_the_snapshot_comes_from_the_slot() {
    let (source, recorder, relay) = with_horizon().await;
    let connect = async || source.database.superuser_connection().await;
    let mut across_the_horizon = connect().await;
    open(&mut across_the_horizon, "note-2").await;
    source.append("note-3", 1).await;
    until_a_later_horizon(&source).await;
    relay.stop().await;
    commit(&mut across_the_horizon).await;
    source.append("note-4", 1).await;

    let (mut first, mut second, mut across_the_snapshot) =
        (connect().await, connect().await, connect().await);
    let first_xid = open(&mut first, "note-5").await;
    source.set_state(BACKLOG).await;
    let refill = source.refill(&recorder);
    let transactions = async {
        until_waited_for(&source, &first_xid).await;
        let second_xid = open(&mut second, "note-6").await;
        commit(&mut first).await;
        until_waited_for(&source, &second_xid).await;
        open(&mut across_the_snapshot, "note-7").await;
        commit(&mut second).await;
    };
    let (refilled, ()) = tokio::join!(refill, transactions);
    assert_eq!(refilled.unwrap().way, Some(Way::Horizon));
    let sent = recorder.names(2);
    for stream in ["note-2", "note-4", "note-5", "note-6"] {
        assert!(sent.contains(&format!("{stream}@1")), "{stream} is missing: {sent:?}");
    }
    assert!(!sent.contains(&"note-1@1".to_owned()), "{sent:?}");
    assert!(!sent.contains(&"note-7@1".to_owned()), "{sent:?}");

    commit(&mut across_the_snapshot).await;
    let relay = source.relay(recorder.clone()).await;
    source.append("note-8", 1).await;
    eventually("the slot goes on", async || (recorder.names(3).len() >= 2).then_some(())).await;
    assert_eq!(recorder.names(3), ["note-7@1", "note-8@1"]);
    relay.stop().await;
    source.drop().await;
}

/// One that was taken after now.
async fn until_a_later_horizon(source: &Source) {
    let before = source.state("horizon").await;
    let seqs = AtomicI64::new(1);
    eventually("a new horizon", async || {
        source.append("tock-1", seqs.fetch_add(1, Ordering::Relaxed)).await;
        (source.state("horizon").await != before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catch_up_that_is_killed_goes_on_where_the_sink_has_acknowledged() {
    let (source, recorder, relay) = with_horizon().await;
    relay.stop().await;
    // More than one read brings, so that the first ones are acknowledged while the last one is held back.
    for seq in 1..=60 {
        source
            .superuser(&format!(
                "select append_events('{{note-2}}', '{{{seq}}}', array[gen_random_uuid()], '{{Entered}}', '{{1}}',
                    array[jsonb_build_object('text', repeat('x', 50000))], array[gen_random_uuid()],
                    array[gen_random_uuid()], array['{{}}'::jsonb])"
            ))
            .await;
    }
    source.append("held-1", 1).await;
    source.set_state(BACKLOG).await;
    recorder.hold("held");
    let (config, sink) = (source.config(), recorder.clone());
    let killed = tokio::spawn(async move {
        relay::refill(&config, &sink, &|_| (), &tokio_util::sync::CancellationToken::new()).await
    });
    eventually("the refill notes how far it is", async || {
        assert!(!killed.is_finished());
        source.state("refill ->> 'copied'").await
    })
    .await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());

    recorder.release();
    let refilled = source.refill(&recorder).await.unwrap();
    assert_eq!(refilled.way, Some(Way::Horizon));
    let (first, second) = (recorder.names(2), recorder.names(3));
    assert!(first.contains(&"note-2@1".to_owned()) && first.last().unwrap() == "held-1@1", "{first:?}");
    assert!(!second.contains(&"note-2@1".to_owned()), "it has begun anew: {second:?}");
    assert_eq!(second.last().unwrap(), "held-1@1");
    assert_eq!(refilled.events, second.len() as u64);
    source.drop().await;
}

/// The sink has everything before the spare slot, and each step after that may be the last one before a crash.
#[tokio::test(flavor = "multi_thread")]
async fn a_refill_that_was_cut_short_between_its_slots_is_finished_by_the_next_one() {
    let copy = "select pg_copy_logical_replication_slot('SLOT_refill', 'SLOT')";
    let drop = "select pg_drop_replication_slot('SLOT')";
    let drop_spare = "select pg_drop_replication_slot('SLOT_refill')";
    for steps in [&[][..], &[drop], &[drop, copy], &[drop, copy, drop_spare]] {
        let (source, recorder, relay) = with_horizon().await;
        relay.stop().await;
        let spare = format!("{}_refill", source.slot);
        source.superuser(&format!("select pg_create_logical_replication_slot('{spare}', 'pgoutput')")).await;
        let lsn: String = source
            .ask(&format!(
                "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = '{spare}'"
            ))
            .await;
        let adopt = format!(
            "refill = jsonb_build_object('cause', 'slot', 'reason', 'test', 'adopt', jsonb_build_object(
                'lsn', '{lsn}', 'horizon', '3:3:', 'publication', publication::text))"
        );
        source.set_state(&adopt).await;
        for step in steps {
            source.superuser(&step.replace("SLOT", &source.slot)).await;
        }
        let refilled = source.refill(&recorder).await.unwrap();
        assert_eq!((refilled.way, refilled.events), (None, 0), "{steps:?}");
        assert_eq!(refilled.lsn, lsn.parse::<Lsn>().unwrap());
        is_adopted(&source, refilled.lsn).await;
        assert_eq!(recorder.sessions(), 1, "nothing more is sent");
        source.relay(recorder.clone()).await.stop().await;
        source.drop().await;
    }
}

async fn is_adopted(source: &Source, lsn: Lsn) {
    assert_eq!(source.confirmed().await, lsn);
    assert_eq!(source.state("confirmed_lsn").await.unwrap().parse::<Lsn>().unwrap(), lsn);
    assert_eq!(source.state("refill").await, None);
    let slots =
        format!("select count(*) from pg_replication_slots where slot_name = '{}_refill'", source.slot);
    assert_eq!(source.ask::<i64>(&slots).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spare_slot_that_is_gone_means_a_whole_refill() {
    let (source, recorder, relay) = with_horizon().await;
    relay.stop().await;
    let adopt = "refill = jsonb_build_object('cause', 'slot', 'reason', 'test', 'adopt', jsonb_build_object(
        'lsn', '0/1', 'horizon', '3:3:', 'publication', publication::text))";
    source.set_state(adopt).await;
    let refilled = source.refill(&recorder).await.unwrap();
    assert_eq!(refilled.way, Some(Way::Everything), "this sink keeps no record");
    assert!(recorder.names(2).contains(&"note-1@1".to_owned()));
    is_adopted(&source, refilled.lsn).await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_has_lost_something_is_not_believed_to_have_what_it_had() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let topics = [("core.note".to_owned(), TopicAccount { partitions: 1, ends: vec![7] })].into();
    recorder.set_account(SinkAccount { newest: None, topics });
    let relay = source.relay(recorder.clone()).await;
    source.append("note-1", 1).await;
    until_the_horizon_covers(&source, "note-1").await;
    relay.stop().await;
    source.set_state(BACKLOG).await;
    recorder.set_account(SinkAccount::default());
    let refilled = source.refill(&recorder).await.unwrap();
    assert_eq!(refilled.way, Some(Way::Everything));
    assert!(recorder.names(2).contains(&"note-1@1".to_owned()));
    source.drop().await;
}

fn automatic(source: &Source) -> Config {
    Config { refill: RefillMode::Automatic, ..source.config() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_may_mends_a_lost_slot_and_an_altered_publication_by_itself() {
    let (source, recorder, relay) = with_horizon().await;
    relay.stop().await;
    source.append("note-2", 1).await;
    source.drop_slot().await;
    let relay = Relay::start(automatic(&source), recorder.clone());
    relay.until_relaying().await;
    assert!(recorder.names(2).contains(&"note-2@1".to_owned()));

    source.superuser("alter publication lunaria drop table event").await;
    source.append("note-3", 1).await;
    source.superuser("alter publication lunaria add table event").await;
    eventually("the gap is filled", async || {
        let delivered = recorder.delivered();
        delivered.iter().any(|one| one.name() == "note-3@1").then_some(())
    })
    .await;
    source.append("note-4", 1).await;
    eventually("the relay goes on", async || {
        recorder.delivered().iter().any(|one| one.name() == "note-4@1").then_some(())
    })
    .await;
    relay.stop().await;
    source.drop().await;
}

/// Log that is no event, as others in the same server write it.
async fn grow_the_log(source: &Source) {
    source.superuser("select pg_logical_emit_message(false, 'test', repeat('x', 2000000))").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_is_caught_up_with_out_of_the_table_and_then_the_slot_is_read_again() {
    let (source, recorder, relay) = with_horizon().await;
    relay.stop().await;
    source.append("note-2", 1).await;
    grow_the_log(&source).await;
    let config = Config { catch_up_bytes: Some(1_000_000), ..source.config() };
    let relay = Relay::start(config, recorder.clone());
    relay.until_relaying().await;
    let caught_up = recorder.names(2);
    assert!(caught_up.contains(&"note-2@1".to_owned()), "{caught_up:?}");
    assert!(!caught_up.contains(&"note-1@1".to_owned()), "the sink has it: {caught_up:?}");
    source.append("note-2", 2).await;
    eventually("the slot is read", async || (!recorder.names(3).is_empty()).then_some(())).await;
    assert_eq!(recorder.names(3), ["note-2@2"]);

    // And the same while it runs, when the sink does not keep up.
    recorder.hold("held");
    source.append("held-1", 1).await;
    eventually("it is in flight", async || (recorder.names(3).len() == 2).then_some(())).await;
    grow_the_log(&source).await;
    relay.until(Phase::Refilling).await;
    recorder.release();
    eventually("the slot is read again", async || (recorder.sessions() == 5).then_some(())).await;
    assert_eq!(recorder.names(4).last().unwrap(), "held-1@1");
    source.append("note-2", 3).await;
    eventually("the relay goes on", async || (!recorder.names(5).is_empty()).then_some(())).await;
    assert_eq!(recorder.names(5), ["note-2@3"]);
    relay.stop().await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_standbys_keep_up_stays_one() {
    let postgres = own_newer_postgres(&[("wal_level", "logical")]).await;
    let source = Source::on_server(postgres.superuser()).await;
    let recorder = Recorder::default();
    let config = Config { failover: true, ..source.config() };
    let relay = Relay::start(config.clone(), recorder.clone());
    relay.until_relaying().await;
    source.append("note-1", 1).await;
    recorder.until_delivered(1).await;
    relay.stop().await;
    source.drop_slot().await;
    let shutdown = tokio_util::sync::CancellationToken::new();
    relay::refill(&config, &recorder, &|_| (), &shutdown).await.unwrap();
    let kept_up = "select bool_and(failover) from pg_replication_slots";
    assert!(source.ask::<bool>(kept_up).await);
    let relay = Relay::start(Config { watch_every: Duration::from_millis(100), ..config }, recorder);
    relay.until_relaying().await;
    relay.stop().await;
    source.close().await;
}
