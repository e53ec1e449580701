//! One change of a row, in the words of Debezium's envelope where they exist.
//!
//! ```json
//! {"op":"u","before":{"id":7,"name":"a"},"after":{"id":7,"name":"b"},
//!  "source":{"service":"legacy","schema":"public","table":"customer","xid":731,"lsn":"0/1A2B3C8","ordinal":0,
//!            "committed_at":"2026-01-02T03:04:05.678901Z"}}
//! ```

use std::io::Write;
use std::sync::Arc;

use crate::CommitPosition;
use crate::capture::kind::write_text;
use crate::capture::table::Name;
use crate::reader::{Item, Transaction};

#[derive(Debug, Clone)]
pub struct Change {
    pub(crate) table: Arc<Name>,
    /// JSON text: the row's key as an object, or the table's name where there is none.
    pub key: Vec<u8>,
    /// None: a tombstone, after which a compacted topic forgets the key.
    pub image: Option<Image>,
}

/// What has happened to the row.
#[derive(Debug, Clone)]
pub struct Image {
    pub operation: Operation,
    /// JSON text, as whole as the table's replica identity has it.
    pub before: Option<Vec<u8>>,
    /// JSON text.
    pub after: Option<Vec<u8>>,
    /// A JSON list of columns that are as they were and that Postgres did not send: empty when there are none.
    pub unchanged: Vec<u8>,
    /// None: read from the table by a snapshot.
    pub transaction: Option<Transaction>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Truncate,
    /// By a snapshot.
    Read,
}

impl Operation {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Truncate => "t",
            Self::Read => "r",
        }
    }
}

impl Change {
    pub fn schema(&self) -> &str {
        &self.table.schema
    }

    pub fn table(&self) -> &str {
        &self.table.table
    }

    /// The end of its topic's name.
    pub fn topic(&self) -> &str {
        &self.table.topic
    }

    /// Appends the record's value; false for a tombstone, which has none.
    pub(crate) fn write(&self, service: &str, at: CommitPosition, into: &mut Vec<u8>) -> bool {
        let Some(image) = &self.image else { return false };
        put(into, format_args!(r#"{{"op":"{}","before":"#, image.operation.as_str()));
        into.extend_from_slice(image.before.as_deref().unwrap_or(b"null"));
        into.extend_from_slice(br#","after":"#);
        into.extend_from_slice(image.after.as_deref().unwrap_or(b"null"));
        if !image.unchanged.is_empty() {
            into.extend_from_slice(br#","unchanged":"#);
            into.extend_from_slice(&image.unchanged);
        }
        into.extend_from_slice(br#","source":{"service":"#);
        write_text(service, into);
        into.extend_from_slice(br#","schema":"#);
        write_text(self.schema(), into);
        into.extend_from_slice(br#","table":"#);
        write_text(self.table(), into);
        let (lsn, ordinal) = (at.commit_lsn, at.ordinal);
        match image.transaction {
            Some(transaction) => {
                let (xid, committed_at) = (transaction.xid, transaction.committed_at());
                put(into, format_args!(r#","xid":{xid},"lsn":"{lsn}","ordinal":{ordinal}"#));
                put(into, format_args!(r#","committed_at":"{committed_at}"}}}}"#));
            }
            None => put(
                into,
                format_args!(r#","xid":null,"lsn":"{lsn}","ordinal":{ordinal},"committed_at":null}}}}"#),
            ),
        }
        true
    }
}

impl Item for Change {
    fn size(&self) -> usize {
        let length = |json: &Option<Vec<u8>>| json.as_ref().map_or(0, Vec::len);
        self.key.len() + self.image.as_ref().map_or(0, |image| length(&image.before) + length(&image.after))
    }

    /// A copy of several tables has no order of its own.
    fn position(&self) -> i64 {
        0
    }
}

/// A `Vec` takes whatever is written to it.
fn put(into: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = into.write_fmt(text);
    debug_assert!(written.is_ok());
}
