//! The task that speaks to one broker: takes what waits for it, sends it, and hands on what is acknowledged.
//!
//! ```text
//! nothing under way, something waits ─────────────► send
//! less than five under way, much waits ───────────► send
//! the login is about to end ──────────────────────► wait for all answers, dial again, go on
//! otherwise ──► wait: for an answer, for more, or for the time-out of the oldest request
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::Error;
use crate::buffers::Outgoing;
use crate::cluster::Identity;
use crate::connection::{Api, Connection, correlation_id};
use crate::producer::Shared;
use crate::record_batch::Sequence;

const PRODUCE: Api = Api { key: ApiKey::Produce, version: 9 };
const ACKS_ALL: i16 = -1;
/// What the broker's sequence check allows per partition.
const IN_FLIGHT_MAX: usize = 5;
/// While a request is under way, the next one waits for this much: larger batches cost everybody less.
const PENDING_BYTES_MIN: usize = 256 * 1024;

pub(crate) struct Broker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) wake: Arc<Notify>,
    /// Its number among the producer's brokers.
    pub(crate) number: usize,
    pub(crate) address: String,
    pub(crate) identity: Identity,
}

struct Request {
    correlation_id: i32,
    sent_at: Instant,
    batches: Vec<Sent>,
}

/// What remains of a batch while it is under way.
struct Sent {
    partition: usize,
    topic: Arc<str>,
    index: i32,
    count: i32,
    bytes: usize,
    runs: Vec<(u64, u32)>,
}

impl Broker {
    /// Until the producer is dropped or something fails.
    pub(crate) async fn run(self) {
        if let Err(error) = self.serve().await {
            self.shared.fail(error);
        }
    }

    async fn serve(&self) -> Result<(), Error> {
        let mut connection = None;
        let mut under_way: VecDeque<Request> = VecDeque::new();
        loop {
            while !renews(&mut connection, under_way.len())
                && let Some(outgoing) = self.next(under_way.len())
            {
                let open = match connection.take() {
                    Some(open) => open,
                    None => Connection::open(&self.address, &self.shared.config).await?,
                };
                under_way.push_back(self.send(connection.insert(open), outgoing).await?);
            }
            let oldest =
                under_way.front().map(|request| request.sent_at + self.shared.config.request_timeout);
            tokio::select! {
                frame = receive(&mut connection) => match frame {
                    Ok(frame) => {
                        let Some(open) = &connection else { continue };
                        self.answered(open, frame, &mut under_way)?;
                    }
                    // Brokers close what has been idle for long; the next batch opens a new one.
                    Err(_) if under_way.is_empty() => connection = None,
                    Err(error) => return Err(error),
                },
                () = self.wake.notified() => {}
                () = sleep_until(oldest.unwrap_or_else(Instant::now)), if oldest.is_some() => {
                    let limit = self.shared.config.request_timeout;
                    return Err(Error::TimedOut { broker: self.address.clone(), limit });
                }
            }
            if self.shared.buffers().closed {
                return Ok(());
            }
        }
    }

    fn next(&self, under_way: usize) -> Option<Vec<Outgoing>> {
        let mut buffers = self.shared.buffers();
        let pending = buffers.pending_bytes(self.number);
        let enough = under_way == 0 || (under_way < IN_FLIGHT_MAX && pending >= PENDING_BYTES_MIN);
        (pending > 0 && enough && !buffers.closed).then(|| buffers.take(self.number))
    }

    async fn send(&self, connection: &mut Connection, outgoing: Vec<Outgoing>) -> Result<Request, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ms = i64::try_from(now.as_millis()).unwrap_or_default();
        let mut topics: Vec<TopicProduceData> = Vec::new();
        let mut batches = Vec::with_capacity(outgoing.len());
        for Outgoing { partition, topic, index, first_sequence, batch } in outgoing {
            let Identity { producer_id, producer_epoch } = self.identity;
            let sequence = Sequence { producer_id, producer_epoch, first: first_sequence };
            let mut encoded = Vec::with_capacity(batch.records.len() / 2);
            batch.records.encode(self.shared.config.compression, sequence, time_ms, &mut encoded);
            let data =
                PartitionProduceData::default().with_index(index).with_records(Some(Bytes::from(encoded)));
            match topics.last_mut() {
                Some(last) if *last.name.0 == *topic => last.partition_data.push(data),
                _ => topics.push(
                    TopicProduceData::default()
                        .with_name(TopicName(StrBytes::from_string(topic.to_string())))
                        .with_partition_data(vec![data]),
                ),
            }
            let (count, bytes) = (batch.records.count(), batch.records.len());
            batches.push(Sent { partition, topic, index, count, bytes, runs: batch.runs });
            self.shared.buffers().reuse(batch.records.into_buffer());
        }
        let timeout_ms = i32::try_from(self.shared.config.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let acks = if event::mutants::active("one_replica_acknowledges") { 1 } else { ACKS_ALL };
        let request =
            ProduceRequest::default().with_acks(acks).with_timeout_ms(timeout_ms).with_topic_data(topics);
        let correlation_id = connection.send(PRODUCE, &request).await?;
        Ok(Request { correlation_id, sent_at: Instant::now(), batches })
    }

    /// A broker answers the requests of a connection in their order.
    fn answered(
        &self,
        connection: &Connection,
        frame: Bytes,
        under_way: &mut VecDeque<Request>,
    ) -> Result<(), Error> {
        let request = under_way.pop_front();
        let Some(request) = request.filter(|request| correlation_id(&frame) == Some(request.correlation_id))
        else {
            return Err(connection.unreadable(&"an answer to nothing that was asked"));
        };
        let answer: ProduceResponse = connection.decode(PRODUCE, frame)?;
        let mut verdicts = Vec::new();
        for topic in &answer.responses {
            for verdict in &topic.partition_responses {
                verdicts.push((topic.name.0.as_str(), verdict));
            }
        }
        for sent in request.batches {
            let verdict =
                verdicts.iter().find(|(topic, at)| *topic == &*sent.topic && at.index == sent.index);
            let Some((_, verdict)) = verdict else {
                return Err(connection.unreadable(&"an answer that leaves out a partition"));
            };
            if let Some(code) = ResponseError::try_from_code(verdict.error_code) {
                let what = format!("{} records for {}/{}", sent.count, sent.topic, sent.index);
                let detail = verdict.error_message.as_ref().map(ToString::to_string);
                return Err(Error::Refused { what, code, detail });
            }
            let end_offset = verdict.base_offset.saturating_add(i64::from(sent.count));
            self.shared.acknowledged(sent.partition, sent.bytes, end_offset, &sent.runs);
        }
        Ok(())
    }
}

/// A login that ends is renewed by another connection, once all is answered that went over the old one: so no request
/// can overtake another, and a renewed certificate or password is used from then on.
fn renews(connection: &mut Option<Connection>, under_way: usize) -> bool {
    if !connection.as_ref().is_some_and(Connection::is_spent) {
        return false;
    }
    if under_way == 0 {
        *connection = None;
    }
    under_way > 0
}

/// Never, while there is no connection.
async fn receive(connection: &mut Option<Connection>) -> Result<Bytes, Error> {
    match connection {
        Some(connection) => connection.receive().await,
        None => std::future::pending().await,
    }
}
