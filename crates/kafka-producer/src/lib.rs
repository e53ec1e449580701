//! A Kafka producer for one purpose: records of many partitions in order, once each, at a few microseconds of CPU apiece.
//!
//! ```text
//! append ──► open batch of the partition ──► one task per broker ──► Produce (acks=all, idempotent) ──► broker
//!                 one allocation per batch        compress, checksum      up to five in flight            │
//! Acknowledge::acknowledged(tag, count) ◄──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A record is encoded once, into the bytes that go over the wire. A batch leaves as soon as its broker has nothing
//! under way, and grows while it has: no timer decides between latency and throughput.
//!
//! **It retries nothing.** The first request that fails, or is not answered in time, ends the producer, and the
//! broker's sequence check keeps later batches of that partition out. Its owner opens a new one and goes on from what was
//! acknowledged; that is the relay's way out of every failure, and it needs only one.
//!
//! It opens no connection itself: [`Dial`] does, and with it come encryption and login.
//!
//! The messages are those of the `kafka-protocol` crate; the record batch is ours:
//! <https://kafka.apache.org/documentation/#recordbatch>. Kafka 3.1 or newer.

mod error;
pub use error::Error;

mod varint;

mod record_batch;
pub use record_batch::{Compression, Headers};

mod partitioner;
pub use partitioner::partition_of;

mod dial;
pub use dial::{Dial, DialPlain, Dialed, Socket};

mod cluster;
mod connection;

mod buffers;

mod broker;

mod producer;
pub use producer::{Acknowledge, Config, Producer, Topic};
