//! Bytes to replication messages and back: what a Postgres walsender and its client say to each other.
//!
//! Pure: no socket, no clock, no task. Two layers, each with `decode` and `encode`:
//!
//! ```text
//! CopyData payload ──► frame::ServerFrame ── XLogData.body ──► message::Message   (pgoutput, version 1)
//!                      frame::StandbyStatus ◄── the client's answer
//! ```
//!
//! Decoding slices the input and copies no row: a [`Tuple`] is one [`bytes::Bytes`] that was checked once, its
//! [`Column`]s are cut out of it when they are asked for. Whatever arrives, decoding neither panics nor
//! allocates more than the input justifies.
//!
//! The formats: <https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html> and
//! <https://www.postgresql.org/docs/current/protocol-replication.html>.

mod decode;
mod encode;
mod error;
mod frame;
mod lsn;
mod message;
mod reader;
mod relation;
mod tuple;

pub use crate::decode::decode;
pub use crate::encode::encode;
pub use crate::error::Error;
pub use crate::frame::{ServerFrame, StandbyStatus};
pub use crate::lsn::{Lsn, ParseLsnError};
pub use crate::message::{Message, OldTupleKind, TruncateOptions};
pub use crate::relation::{Relation, RelationColumn, ReplicaIdentity};
pub use crate::tuple::{Column, Columns, Tuple};
