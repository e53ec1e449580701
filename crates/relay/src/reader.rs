//! What a session makes of the messages between a transaction's begin and its commit.

use jiff::Timestamp;
use pgoutput::{Lsn, Message};
use replication::CopyRow;

use crate::Error;
use crate::row::timestamp;

/// Turns messages into what a sink is given. One for each session, so that it knows the tables as that session was told.
pub trait Reader: Send + 'static {
    type Item: Item;

    fn begin(&mut self, _transaction: Transaction) {}

    /// What stands in one message: a table's description gives nothing.
    fn read(&mut self, message: Message) -> Result<Option<Self::Item>, Error>;

    /// What else stood in the last message; asked until there is no more.
    fn further(&mut self) -> Option<Self::Item> {
        None
    }

    /// A row of a refill's copy: of the event table, or of the captured table of that number.
    fn copied(&mut self, table: usize, row: CopyRow) -> Result<Self::Item, Error>;
}

/// What is delivered, one by one, each at its own place in commit order.
pub trait Item: Send + 'static {
    /// Bytes that somebody wrote, for the meters.
    fn size(&self) -> usize;

    /// A place in the order of a copy from which another one can go on; 0: it cannot.
    fn position(&self) -> i64;
}

/// A transaction, as its begin tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transaction {
    pub commit_lsn: Lsn,
    pub xid: u32,
    pub(crate) commit_time_micros: i64,
}

impl Transaction {
    pub fn committed_at(&self) -> Timestamp {
        timestamp(self.commit_time_micros)
    }
}
