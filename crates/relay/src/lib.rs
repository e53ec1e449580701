//! Reads one database's replication slot and delivers each committed event to a sink, in commit order.
//!
//! ```text
//!  event table ─► WAL ─► slot ─► Session ─► Sink ─► Kafka, or the handlers of this process
//!                          ▲        │ begin, commit      │ acknowledge
//!                          │        ▼                    ▼
//!                          └──── InFlight: the commit end LSN of the longest wholly acknowledged prefix
//! ```
//!
//! The slot is never confirmed past a transaction that the sink does not have whole: not by a keep-alive, not by a
//! later transaction that was faster. Anything but an insert into the event table halts the relay with the reason.

mod error;
pub use error::Error;

mod row;
pub use row::{CommitPosition, Row};

mod event_table;

mod in_flight;
pub use in_flight::{InFlight, Ticket};

mod sink;
pub use sink::{OpenSink, Sink};

mod preflight;
mod session;
pub use session::{Config, run};

mod kafka;
pub use kafka::{KafkaConfig, KafkaSink, OpenKafka};

mod topics;
pub use topics::{ensure_topics, topic_name};

mod embedded;
pub use embedded::{EmbeddedSink, OpenEmbedded, Outlet, Settle};
