//! What pgoutput says, protocol version 1: whole transactions, after their commit, in commit order.
//!
//! ```text
//! Begin ─► (Origin)? ─► ( Relation | Type | Insert | Update | Delete | Truncate | Message )* ─► Commit
//! ```
//!
//! A non-transactional [`Message::Message`] may also stand outside of a transaction. The messages of later
//! protocol versions (streamed and prepared transactions) are unknown tags here: a client asks for version 1.

use bytes::Bytes;

use crate::lsn::Lsn;
use crate::relation::Relation;
use crate::tuple::Tuple;

/// Times are microseconds since 2000-01-01 00:00 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Begin {
        /// Where the commit record starts: the `commit_lsn` of the matching commit.
        final_lsn: Lsn,
        commit_time_micros: i64,
        xid: u32,
    },
    Commit {
        commit_lsn: Lsn,
        /// Where the commit record ends: what a client confirms once it has the transaction.
        end_lsn: Lsn,
        commit_time_micros: i64,
    },
    Origin {
        commit_lsn: Lsn,
        name: String,
    },
    Relation(Relation),
    Type {
        id: u32,
        namespace: String,
        name: String,
    },
    Insert {
        relation_id: u32,
        tuple: Tuple,
    },
    Update {
        relation_id: u32,
        /// Only if the replica identity is full, or if key columns have changed.
        old: Option<(OldTupleKind, Tuple)>,
        new: Tuple,
    },
    Delete {
        relation_id: u32,
        kind: OldTupleKind,
        old: Tuple,
    },
    Truncate {
        options: TruncateOptions,
        relation_ids: Vec<u32>,
    },
    /// Written by `pg_logical_emit_message`.
    Message {
        transactional: bool,
        lsn: Lsn,
        prefix: String,
        content: Bytes,
    },
}

/// Which columns of the old row are filled; the others are null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldTupleKind {
    Key,
    Full,
}

/// The option bits of a truncate as they were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TruncateOptions(pub u8);

impl TruncateOptions {
    pub fn cascade(self) -> bool {
        self.0 & 1 != 0
    }

    pub fn restart_identity(self) -> bool {
        self.0 & 2 != 0
    }
}
