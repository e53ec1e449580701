//! Reads one database's replication slot and delivers each committed event to a sink, in commit order.
//!
//! ```text
//!  event table ─► WAL ─► slot ─► Session ─► Sink ─► Kafka, or the handlers of this process
//!                          ▲        │ begin, commit      │ acknowledge
//!                          │        ▼                    ▼
//!                          │     InFlight: the commit end LSN of the longest wholly acknowledged prefix
//!                          │        ▼
//!                          └──── Confirmer: writes it to relay_state, then confirms the slot
//!
//!  Refill: what the sink misses, out of the event table, until a new slot goes on without a gap
//!  Claim: wait for the slot, prove that nothing is missing, lease it      Watch: the same proof, every few seconds
//! ```
//!
//! The slot is never confirmed past a transaction that the sink does not have whole: not by a keep-alive, not by a
//! later transaction that was faster. Anything but an insert into the event table halts the relay with the reason.
//!
//! A capture is the same relay over tables of an existing system: what is read differs ([`Reader`]), and what is sent.

mod cause;
pub use cause::Cause;

mod error;
pub use error::Error;

mod config;
pub use config::{Config, Reads, RefillMode};

mod row;
pub use row::{CommitPosition, Row};

mod reader;
pub use reader::{Item, Reader, Transaction};

mod event_reader;
mod event_table;
pub use event_reader::EventReader;

mod capture;
pub use capture::{CapturedColumn, CapturedTable, Change, ChangeReader, Image, Operation};

mod meters;

mod in_flight;
pub use in_flight::{InFlight, Ticket};

mod sink;
pub use sink::{OpenSink, Sink};

mod account;
pub use account::{Origin, Relayed, SinkAccount, TopicAccount};

mod holdings;
pub use holdings::{Held, Retained};

mod state;
pub use state::{RefillNeeded, State};

mod proof;
pub use proof::{Finding, Weight, examine};

mod claim;
pub use claim::prepare;

mod confirmer;
mod gate;

mod governor;
pub use governor::{Backlog, HeldBy};

mod status;
pub use status::{Phase, Report, Status};

mod watch;

mod refill;
pub use refill::{OnProgress, RefillProgress, Refilled, Way, refill};

mod admin;
pub use admin::{Changed, Overview, overview, pause, request_refill, resume};

mod replay;
pub use replay::{ReplayRange, count_replay, replay};

mod session;

mod run;
pub use run::run;

mod kafka;
pub use kafka::{CaptureSink, Compression, HeaderFormat, KafkaConfig, KafkaSink, OpenCapture, OpenKafka};

mod topics;
pub use topics::{Found, TopicPlan, TopicSettings, create_topics, ensure_topics, plan_topics};

mod embedded;
pub use embedded::{EmbeddedSink, OpenEmbedded, Outlet, Settle};
