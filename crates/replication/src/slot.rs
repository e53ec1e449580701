//! Replication slots: their names, and what the server knows about one.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use pgoutput::Lsn;

use crate::error::Error;
use crate::row::Row;

/// `NAMEDATALEN` less the final NUL.
const NAME_BYTES_MAX: usize = 63;

/// A name that Postgres takes for a slot, and that is safe within a quoted identifier or literal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotName(String);

/// What becomes of the snapshot that a new slot starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// Usable with `set transaction snapshot` elsewhere until this connection's next command, or its end.
    Export,
    Nothing,
}

/// How long a slot lives, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Goes with the connection that made it.
    Temporary,
    Permanent,
    /// Permanent, and kept up on standbys; since PostgreSQL 17.
    Failover,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedSlot {
    /// The slot delivers every transaction that commits after this.
    pub consistent_point: Lsn,
    /// Set when the snapshot was to be exported.
    pub snapshot_name: Option<String>,
}

/// A row of `pg_replication_slots`: <https://www.postgresql.org/docs/current/view-pg-replication-slots.html>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `None` for a physical slot.
    pub plugin: Option<String>,
    pub slot_type: String,
    pub database: Option<String>,
    pub temporary: bool,
    pub active: bool,
    pub active_pid: Option<i32>,
    pub restart_lsn: Option<Lsn>,
    pub confirmed_flush_lsn: Option<Lsn>,
    pub wal_status: Option<WalStatus>,
    /// How many bytes can still be written before the slot is in danger; `None` without a limit, and when lost.
    pub safe_wal_size_bytes: Option<i64>,
    /// Since PostgreSQL 17: kept up on standbys, so that a promotion does not lose it.
    pub failover: bool,
    /// Since PostgreSQL 17: a standby's copy, which nobody may read before the promotion.
    pub synced: bool,
    /// Since PostgreSQL 17; 16 knows only `conflicting`.
    pub invalidation_reason: Option<String>,
}

/// Whether the log that a slot needs is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalStatus {
    /// Within `max_wal_size`.
    Reserved,
    /// Beyond `max_wal_size`, kept for the slot.
    Extended,
    /// No longer kept: the next checkpoint may remove it.
    Unreserved,
    /// Gone; the slot is of no use any more.
    Lost,
}

impl SlotName {
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(Error::SlotName(name));
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for SlotName {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for SlotName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl CreatedSlot {
    pub(crate) fn read(row: &Row) -> Result<Self, Error> {
        let snapshot_name = row.get("snapshot_name").map(str::to_owned);
        Ok(Self { consistent_point: row.require("consistent_point")?, snapshot_name })
    }
}

impl Slot {
    /// Columns that only newer servers have are taken out of the whole row, where a missing one is null.
    pub(crate) fn select(name: &SlotName) -> String {
        format!(
            "select plugin, slot_type, database, temporary, active, active_pid, restart_lsn, \
             confirmed_flush_lsn, wal_status, safe_wal_size, \
             coalesce((all_columns ->> 'failover')::boolean, false) as failover, \
             coalesce((all_columns ->> 'synced')::boolean, false) as synced, \
             coalesce(all_columns ->> 'invalidation_reason', \
                      case when (all_columns ->> 'conflicting')::boolean then 'conflict' end) as invalidation_reason \
             from pg_catalog.pg_replication_slots as slot, to_jsonb(slot) as all_columns \
             where slot_name = '{name}'"
        )
    }

    pub(crate) fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            plugin: row.parse("plugin")?,
            slot_type: row.require("slot_type")?,
            database: row.parse("database")?,
            temporary: row.flag("temporary"),
            active: row.flag("active"),
            active_pid: row.parse("active_pid")?,
            restart_lsn: row.parse("restart_lsn")?,
            confirmed_flush_lsn: row.parse("confirmed_flush_lsn")?,
            wal_status: row.parse("wal_status")?,
            safe_wal_size_bytes: row.parse("safe_wal_size")?,
            failover: row.flag("failover"),
            synced: row.flag("synced"),
            invalidation_reason: row.get("invalidation_reason").map(str::to_owned),
        })
    }
}

impl FromStr for WalStatus {
    type Err = Error;

    fn from_str(status: &str) -> Result<Self, Error> {
        match status {
            "reserved" => Ok(Self::Reserved),
            "extended" => Ok(Self::Extended),
            "unreserved" => Ok(Self::Unreserved),
            "lost" => Ok(Self::Lost),
            other => Err(Error::protocol(format!("unknown wal_status {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SlotName;

    #[test]
    fn slot_name_takes_what_postgres_takes() {
        assert!(SlotName::new("relay_core_1").is_ok());
        assert!(SlotName::new("a".repeat(63)).is_ok());
        let too_long = "a".repeat(64);
        for name in ["", "Relay", "relay-core", "relay core", "relay'", "rélay", &too_long] {
            assert!(SlotName::new(name).is_err(), "{name:?}");
        }
    }
}
