//! A gap between the event table and Kafka is filled, whatever made it, and nothing else is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use relay::{
    CapturedTable, CommitPosition, Config, Error, EventReader, InFlight, OpenKafka, OpenSink, Origin, Row,
    Sink, SinkAccount, Ticket, Way,
};
use testbed::{eventually, own_postgres};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::recorder::Recorder;
use crate::source::{Relay, Source, append_in};
use crate::topic::Topic;

const STREAMS: usize = 8;

async fn append(source: &Source, seqs: std::ops::RangeInclusive<i64>) {
    for stream in 1..=STREAMS {
        let mut connection = source.store.pool().acquire().await.unwrap();
        append_in(&mut connection, &format!("note-{stream}"), seqs.clone()).await;
    }
}

/// A source whose relay has brought three events of each stream to Kafka, and was stopped.
async fn relayed() -> (Source, Topic) {
    let (source, topic) = (Source::create().await, Topic::new());
    relay_three(&source, &topic).await;
    (source, topic)
}

async fn relay_three(source: &Source, topic: &Topic) {
    let relay = source.relay(topic.sink()).await;
    append(source, 1..=3).await;
    source.until_confirmed(source.wal_end().await).await;
    relay.stop().await;
}

/// After a refill a relay goes on by itself: what was appended before it started comes out of the slot.
async fn goes_on(source: &Source, topic: &Topic, next: i64) {
    append(source, next..=next).await;
    let relay = source.relay(topic.sink()).await;
    append(source, next + 1..=next + 1).await;
    source.until_confirmed(source.wal_end().await).await;
    relay.stop().await;
    topic.assert_complete(source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_moved_or_remade_slot_has_skipped_is_sent_once_and_nothing_else() {
    for sabotage in [
        "select pg_drop_replication_slot('SLOT')",
        "select pg_replication_slot_advance('SLOT', pg_current_wal_lsn())",
        "select pg_drop_replication_slot('SLOT'); select pg_create_logical_replication_slot('SLOT', 'pgoutput')",
    ] {
        let (source, topic) = relayed().await;
        append(&source, 4..=5).await;
        source.superuser(&sabotage.replace("SLOT", &source.slot)).await;
        source.try_relay(topic.sink()).halted().await;

        let refilled = source.refill(&topic.sink()).await.unwrap();
        assert_eq!((refilled.way, refilled.events), (Some(Way::Compare), 2 * STREAMS as u64), "{sabotage}");
        assert_eq!(refilled.lsn, source.confirmed().await);
        assert_eq!(topic.events().len(), 5 * STREAMS);
        goes_on(&source, &topic, 6).await;
        assert_eq!(topic.events().len(), 7 * STREAMS, "each event once");
        topic.assert_without_holes();
        source.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_middle_of_a_stream_is_found_and_filled() {
    let (source, topic) = relayed().await;
    // A watch that looks once and then sleeps, so that the hole is in the topic before anybody knows.
    let config = Config { watch_every: Duration::from_secs(3600), ..source.config() };
    let relay = Relay::start(config, topic.sink());
    eventually("the watch has looked", async || relay.status.report().backlog.map(drop)).await;
    source.superuser("alter publication lunaria drop table event").await;
    append(&source, 4..=4).await;
    source.superuser("alter publication lunaria add table event").await;
    append(&source, 5..=6).await;
    source.until_confirmed(source.wal_end().await).await;
    relay.stop().await;
    assert!(topic.events().iter().any(|event| event.seq == 6), "there is no hole");
    assert_eq!(topic.taken()["note-1"], 3, "there is no hole");
    source.try_relay(topic.sink()).halted().await;

    let refilled = source.refill(&topic.sink()).await.unwrap();
    assert_eq!(refilled.events, 3 * STREAMS as u64, "from the hole on");
    topic.assert_complete(&source).await;
    goes_on(&source, &topic, 7).await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_has_removed_is_not_missing() {
    retention_takes(false).await;
    retention_takes(true).await;
}

async fn retention_takes(knows_the_horizon: bool) {
    let (source, topic) = relayed().await;
    let horizon = if knows_the_horizon { "pg_current_snapshot()::text" } else { "null" };
    source.set_state(&format!("horizon = {horizon}")).await;
    topic.shorten(5).await;
    let left = topic.events();
    assert!(left.len() <= 3 * STREAMS - 5 && left.iter().any(|event| event.seq == 3), "{left:?}");
    append(&source, 4..=4).await;
    source.drop_slot().await;
    source.refill(&topic.sink()).await.unwrap();
    // A stream of which nothing is left is as one that was never there, unless the horizon tells.
    for stream in 1..=STREAMS {
        let of_stream = |events: Vec<crate::topic::Event>| -> Vec<i64> {
            let stream = format!("note-{stream}");
            events.into_iter().filter(|event| event.stream == stream).map(|event| event.seq).collect()
        };
        let (before, after) = (of_stream(left.clone()), of_stream(topic.events()));
        let unknown = before.is_empty() && !knows_the_horizon;
        let expected = if unknown { vec![1, 2, 3, 4] } else { [before, vec![4]].concat() };
        assert_eq!(after, expected, "note-{stream}");
    }
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_when_nothing_is_missing() {
    let (source, topic) = relayed().await;
    for _ in 0..2 {
        let refilled = source.refill(&topic.sink()).await.unwrap();
        assert_eq!((refilled.way, refilled.events), (Some(Way::Compare), 0));
    }
    assert_eq!(topic.events().len(), 3 * STREAMS);
    assert_eq!(source.state("refill").await, None);
    let slots = format!("select count(*) from pg_replication_slots where slot_name like '{}%'", source.slot);
    assert_eq!(source.ask::<i64>(&slots).await, 1, "no spare slot is left");
    goes_on(&source, &topic, 4).await;
    assert_eq!(topic.events().len(), 5 * STREAMS);
    source.drop().await;
}

/// Kafka, until so many deliveries were taken in all.
#[derive(Clone)]
struct Failing {
    kafka: Arc<OpenKafka>,
    left: Arc<AtomicUsize>,
}

struct FailingSink<S> {
    sink: S,
    left: Arc<AtomicUsize>,
}

impl OpenSink for Failing {
    type Sink = FailingSink<<OpenKafka as OpenSink>::Sink>;
    type Reader = EventReader;

    fn reader(&self, captured: &[CapturedTable]) -> EventReader {
        self.kafka.reader(captured)
    }

    async fn open(&self, in_flight: Arc<InFlight>, origin: Origin, since: i64) -> Result<Self::Sink, Error> {
        Ok(FailingSink {
            sink: self.kafka.open(in_flight, origin, since).await?,
            left: Arc::clone(&self.left),
        })
    }

    async fn account(&self) -> Result<SinkAccount, Error> {
        self.kafka.account().await
    }

    async fn holdings(&self, told: mpsc::Sender<Vec<relay::Held>>) -> Result<relay::Retained, Error> {
        self.kafka.holdings(told).await
    }
}

impl<S: Sink<Item = Row>> Sink for FailingSink<S> {
    type Item = Row;

    async fn deliver(&mut self, row: Row, at: CommitPosition, ticket: Ticket) -> Result<(), Error> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left == 1 {
            self.sink.flush().await?;
            return Err(Error::Sink("the test ends it".to_owned()));
        }
        self.sink.deliver(row, at, ticket).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.sink.flush().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refill_that_is_interrupted_is_run_again_and_no_relay_starts_before() {
    let (source, topic) = relayed().await;
    append(&source, 4..=300).await;
    source.drop_slot().await;
    let failing = Failing { kafka: Arc::new(topic.sink()), left: Arc::new(AtomicUsize::new(1_000)) };
    let error = source.refill(&failing).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let (reason, _) = source.try_relay(topic.sink()).halted().await;
    assert!(reason.contains("asked for"), "{reason}");

    source.refill(&topic.sink()).await.unwrap();
    topic.assert_complete(&source).await;
    topic.assert_without_holes();
    goes_on(&source, &topic, 301).await;
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_never_stop_are_not_missed() {
    let (source, topic) = relayed().await;
    let (stop, source) = (CancellationToken::new(), Arc::new(source));
    let writers: Vec<_> = (1..=STREAMS)
        .map(|stream| {
            let (source, stop) = (Arc::clone(&source), stop.clone());
            tokio::spawn(async move {
                let mut seq = 4;
                while !stop.is_cancelled() {
                    source.append(&format!("note-{stream}"), seq).await;
                    seq += 1;
                }
                seq
            })
        })
        .collect();
    source.drop_slot().await;
    let refilled = source.refill(&topic.sink()).await.unwrap();
    let relay = source.relay(topic.sink()).await;
    source.until_confirmed(source.wal_end().await).await;
    stop.cancel();
    let mut last = 0;
    for writer in writers {
        last = last.max(writer.await.unwrap());
    }
    assert!(refilled.events > 0 && last > 10, "nothing was written meanwhile: {refilled:?}, {last}");
    source.until_confirmed(source.wal_end().await).await;
    relay.stop().await;
    topic.assert_complete(&source).await;
    topic.assert_without_holes();
    Arc::into_inner(source).unwrap().drop().await;
}

/// The sink has a future that was undone, at places in the log that come again.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_the_relay_goes_on_and_nothing_new_is_taken_for_what_was_undone() {
    let postgres = own_postgres(&[]).await;
    let (source, topic) = (Source::on_server(postgres.superuser()).await, Topic::new());
    relay_three(&source, &topic).await;
    let copy = postgres.copy_data().await;
    let relay = source.relay(topic.sink()).await;
    append(&source, 4..=8).await;
    source.superuser("select pg_logical_emit_message(false, 'test', repeat('x', 4000000))").await;
    append(&source, 9..=9).await;
    source.until_confirmed(source.wal_end().await).await;
    relay.stop().await;
    postgres.restore_data(&copy).await;

    source.try_relay(topic.sink()).halted().await;
    append(&source, 4..=4).await;
    source.refill(&topic.sink()).await.unwrap();
    let relay = source.relay(topic.sink()).await;
    append(&source, 5..=6).await;
    source.until_confirmed(source.wal_end().await).await;
    relay.stop().await;
    let sent: Vec<_> = topic.events().into_iter().map(|event| event.id).collect();
    let ids: Vec<uuid::Uuid> = source.ask("select array_agg(id) from event where seq > 4").await;
    assert_eq!(ids.len(), 2 * STREAMS);
    assert!(ids.iter().all(|id| sent.contains(id)), "new events were skipped");
    source.close().await;
}

#[tokio::test]
async fn a_slot_that_is_read_and_a_publication_that_is_not_whole_refuse_a_refill() {
    let source = Source::create().await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    let refused = source.refill(&recorder).await.unwrap_err();
    assert!(refused.to_string().contains("stop that relay"), "{refused}");
    source.append("note-1", 1).await;
    recorder.until_delivered(1).await;
    relay.stop().await;

    source.superuser("alter publication lunaria drop table event").await;
    let refused = source.refill(&recorder).await.unwrap_err();
    assert!(refused.to_string().contains("not the whole event table"), "{refused}");
    assert_eq!(recorder.sessions(), 1);
    source.drop().await;
}
