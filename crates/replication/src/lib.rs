//! The walsender protocol: log in, manage logical slots, stream one slot's messages, confirm what is safe.
//!
//! ```text
//! Client ── query, copy_out, create_slot, copy_slot, read_slot, drop_slot
//!   │ start_replication
//!   ▼
//! WalStream ── read ◄── XLogData, keepalives ──── walsender
//!   │ progress                                       ▲
//!   ▼                                                │
//! Progress ── confirm ──► status task ── "flushed" ──┘   every interval, on request, soon after a confirm
//! ```
//!
//! The status task has the write half to itself, so a caller that is busy, or that waits for its sink, keeps
//! its connection and its slot still moves. What it reports as written, flushed and applied is what the caller
//! confirmed, never what has merely arrived.
//!
//! **TLS proves who answers, or there is none**: `verify-full`, `verify-ca`, or a plain connection. The login is
//! SCRAM-SHA-256, over TLS bound to the server's certificate (SCRAM-SHA-256-PLUS); also md5 and trust, if the server
//! asks for no more. A server that wants the password in clear text is refused.
//!
//! The protocol: <https://www.postgresql.org/docs/current/protocol-replication.html>.

mod authentication;
mod client;
mod config;
mod connection;
mod copy;
mod end_point;
mod error;
mod inbound;
mod literal;
mod progress;
mod rhythm;
mod row;
mod slot;
mod socket;
mod status;
mod stream;
mod tls_request;

pub use pgoutput::Lsn;
pub use tls::{ClientCertificate, Tls, Verify};

pub use crate::client::{Client, System};
pub use crate::config::{Config, Host, Secret};
pub use crate::copy::{CopyOut, CopyRow};
pub use crate::error::Error;
pub use crate::literal::literal;
pub use crate::progress::Progress;
pub use crate::row::Row;
pub use crate::slot::{CreatedSlot, Lifetime, Slot, SlotName, Snapshot, WalStatus};
pub use crate::stream::{WalMessage, WalStream};
