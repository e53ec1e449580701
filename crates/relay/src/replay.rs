//! History once more, into a topic of its own: for a consumer that has to begin anew, or somewhere.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::Timestamp;
use kafka_client::TopicNames;
use metrics::Histogram;
use pgoutput::Lsn;
use replication::{Client, literal};
use tokio::time::{Instant, sleep};

use crate::reader::Reader;
use crate::refill::{number, prepare, select_events};
use crate::{
    CommitPosition, Config, Error, InFlight, KafkaConfig, OnProgress, OpenKafka, OpenSink, Origin,
    RefillProgress, Sink,
};

const DRAIN_POLL: Duration = Duration::from_millis(5);
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Which events: those for which all that is set holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayRange {
    pub stream: Option<String>,
    pub category: Option<String>,
    pub since: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
}

impl ReplayRange {
    fn condition(&self) -> String {
        let mut conditions = vec!["true".to_owned()];
        if let Some(stream) = &self.stream {
            conditions.push(format!("event.stream = {}", literal(stream)));
        }
        if let Some(category) = &self.category {
            // A category's streams stand together in the order of "C".
            let (first, beyond) = (literal(&format!("{category}-")), literal(&format!("{category}.")));
            conditions.push(format!("event.stream >= {first} and event.stream < {beyond}"));
        }
        if let Some(since) = self.since {
            conditions.push(format!("event.recorded_at >= '{since}'"));
        }
        if let Some(until) = self.until {
            conditions.push(format!("event.recorded_at < '{until}'"));
        }
        conditions.join(" and ")
    }
}

/// How many events there are to replay.
pub async fn count_replay(config: &Config, range: &ReplayRange) -> Result<u64, Error> {
    let mut client = Client::connect(&config.login("replay")).await?;
    number(&mut client, &format!("select count(*) from public.event where {}", range.condition())).await
}

/// Sends the events, in the order of their insertion, and returns how many when all are acknowledged. The relay and its
/// slot are not touched; a replay that was cut short is begun anew, or by a later `since`.
///
/// `lunaria_lsn` is `0/0` with the event's number in this replay: an insertion has no place in the log any more.
pub async fn replay(
    config: &Config,
    kafka: &KafkaConfig,
    topic: &str,
    range: &ReplayRange,
    on_progress: &OnProgress<'_>,
) -> Result<u64, Error> {
    let names = TopicNames::new("", topic).map_err(Error::Unavailable)?;
    if kafka.names.may_hold(&kafka.service, topic) {
        let what =
            format!("{topic} is a topic of the relay itself: consumers would see the past as new events");
        return Err(Error::Unavailable(what));
    }
    let mut client = Client::connect(&config.login("replay")).await?;
    prepare(&mut client).await?;
    let condition = range.condition();
    let count = format!("select count(*) from public.event where {condition}");
    let estimate = number(&mut client, &count).await?;
    let identity = client.identify_system().await?;
    let origin =
        Origin { system_identifier: identity.system_identifier, timeline: identity.timeline, epoch: 0 };
    let in_flight = Arc::new(InFlight::confirming(|_| {}, Histogram::noop()));
    let open = OpenKafka { config: KafkaConfig { names, topics: Vec::new(), ..kafka.clone() } };
    // What the topic holds already, an earlier replay perhaps, says nothing about this one.
    let mut sink = open.open(Arc::clone(&in_flight), origin, i64::MAX).await?;
    let mut reader = open.reader(&[]);
    let sent = AtomicU64::new(0);
    let began = Instant::now();
    let report = || {
        let sent = sent.load(Relaxed);
        on_progress(RefillProgress { sent, estimate: estimate.max(sent), took: began.elapsed() });
    };
    let sending = async {
        let copy = format!("copy ({}) to stdout (format binary)", select_events("", &condition));
        let mut copy = client.copy_out(&copy).await?;
        let mut rows = Vec::new();
        while copy.read(&mut rows).await? {
            let ticket = in_flight.begin();
            for row in rows.drain(..) {
                let ordinal = sent.fetch_add(1, Relaxed);
                let at = CommitPosition { commit_lsn: Lsn::ZERO, ordinal };
                sink.deliver(reader.copied(0, row)?, at, ticket).await?;
            }
            in_flight.commit(ticket, Lsn::ZERO, Timestamp::now());
            sink.flush().await?;
        }
        while !in_flight.is_empty() {
            sleep(DRAIN_POLL).await;
        }
        Ok::<_, Error>(())
    };
    let reporting = async {
        loop {
            sleep(REPORT_EVERY).await;
            report();
        }
    };
    tokio::select! {
        sent = sending => sent?,
        error = in_flight.failed() => return Err(error),
        () = reporting => {}
    }
    report();
    Ok(sent.load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::ReplayRange;

    #[test]
    fn all_that_is_set_has_to_hold() {
        assert_eq!(ReplayRange::default().condition(), "true");
        let range = ReplayRange {
            stream: Some("it's-1".to_owned()),
            category: Some("note".to_owned()),
            since: Some("2026-01-02T03:04:05Z".parse().unwrap()),
            until: None,
        };
        assert_eq!(
            range.condition(),
            "true and event.stream = 'it''s-1' and event.stream >= 'note-' and event.stream < 'note.' and \
             event.recorded_at >= '2026-01-02T03:04:05Z'"
        );
    }
}
