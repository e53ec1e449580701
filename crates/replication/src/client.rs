//! An ordinary connection in replication mode: queries, slots, and the start of a stream.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use bytes::BytesMut;
use pgoutput::Lsn;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::time::timeout;

use crate::authentication::log_in;
use crate::config::Config;
use crate::connection::{Connection, Incoming};
use crate::error::Error;
use crate::row::Row;
use crate::slot::{CreatedSlot, Lifetime, Slot, SlotName, Snapshot};
use crate::stream::WalStream;
use crate::tls_request::explain_login;

/// None of its calls is cancel-safe: after a call that was dropped before it ended, connect anew.
pub struct Client {
    pub(crate) connection: Connection,
    status_interval: Duration,
    /// A call has sent something and not yet seen the end of the answer.
    pub(crate) busy: bool,
}

/// What the server says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Made with the cluster; a restored or other cluster behind the same address differs in it or in the timeline.
    pub system_identifier: u64,
    pub timeline: u32,
    pub wal_flush_lsn: Lsn,
    pub database: Option<String>,
}

impl Client {
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        let limit = config.connect_timeout;
        let connected = timeout(limit, connect(config)).await;
        connected.unwrap_or(Err(Error::Timeout { what: "connecting", limit_ms: limit.as_millis() }))
    }

    pub async fn identify_system(&mut self) -> Result<System, Error> {
        let row = self.query_one("IDENTIFY_SYSTEM").await?;
        Ok(System {
            system_identifier: row.require("systemid")?,
            timeline: row.require("timeline")?,
            wal_flush_lsn: row.require("xlogpos")?,
            database: row.parse("dbname")?,
        })
    }

    /// Makes a logical slot with the plugin pgoutput.
    ///
    /// Waits for all transactions that are running.
    pub async fn create_slot(
        &mut self,
        name: &SlotName,
        snapshot: Snapshot,
        lifetime: Lifetime,
    ) -> Result<CreatedSlot, Error> {
        let snapshot = match snapshot {
            Snapshot::Export => "SNAPSHOT 'export'",
            Snapshot::Nothing => "SNAPSHOT 'nothing'",
        };
        let (temporary, failover) = match lifetime {
            Lifetime::Temporary => (" TEMPORARY", ""),
            Lifetime::Permanent => ("", ""),
            Lifetime::Failover => ("", ", FAILOVER true"),
        };
        let command =
            format!("CREATE_REPLICATION_SLOT \"{name}\"{temporary} LOGICAL pgoutput ({snapshot}{failover})");
        CreatedSlot::read(&self.query_one(&command).await?)
    }

    /// Drops a slot; one in use is waited for, or refused with SQLSTATE 55006.
    pub async fn drop_slot(&mut self, name: &SlotName, wait: bool) -> Result<(), Error> {
        let wait = if wait { " WAIT" } else { "" };
        self.query(&format!("DROP_REPLICATION_SLOT \"{name}\"{wait}")).await.map(drop)
    }

    /// Makes a permanent slot of the same plugin that stands where the other one does, or none at all. It is not kept
    /// up on standbys, whatever the other one is.
    pub async fn copy_slot(&mut self, from: &SlotName, to: &SlotName) -> Result<(), Error> {
        self.query(&format!("select pg_copy_logical_replication_slot('{from}', '{to}', false)"))
            .await
            .map(drop)
    }

    /// Has a slot kept up on standbys from now on; since PostgreSQL 17.
    pub async fn make_failover(&mut self, name: &SlotName) -> Result<(), Error> {
        self.query(&format!("ALTER_REPLICATION_SLOT \"{name}\" (FAILOVER true)")).await.map(drop)
    }

    /// What the server knows about a slot; `None` when there is none of that name.
    pub async fn read_slot(&mut self, name: &SlotName) -> Result<Option<Slot>, Error> {
        let rows = self.query(&Slot::select(name)).await?;
        rows.first().map(Slot::read).transpose()
    }

    /// Runs one or more statements by the simple query protocol, in one transaction unless they say otherwise.
    ///
    /// The rows of all of them come back together; results are held in memory, so ask for little.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        self.send(sql).await?;
        let (mut names, mut rows, mut refusal) = (None, Vec::new(), None);
        loop {
            let message = match self.connection.receive().await {
                Ok(Incoming::Message(message)) => message,
                Ok(Incoming::CopyBoth) => return Err(Error::protocol("copy mode in answer to a query")),
                // The answer goes on after an error, unless the error was fatal.
                Err(error @ Error::Server { .. }) => {
                    refusal = Some(error);
                    continue;
                }
                Err(error) => return Err(refusal.unwrap_or(error)),
            };
            match message {
                Message::RowDescription(description) => names = Some(Row::names_of(&description)?),
                Message::DataRow(body) => {
                    let names = names.as_ref().ok_or_else(|| Error::protocol("a row before its columns"))?;
                    rows.push(Row::read(names, &body)?);
                }
                Message::CommandComplete(_) | Message::EmptyQueryResponse => names = None,
                Message::ReadyForQuery(_) => break,
                _ => return Err(Error::protocol("unexpected answer to a query")),
            }
        }
        self.busy = false;
        refusal.map_or(Ok(rows), Err)
    }

    /// Streams a slot, from `start` or from where the slot stands, whichever is later.
    ///
    /// pgoutput protocol version 1, values in binary, whole transactions only. A publication that does not
    /// exist is an error of the stream, not of this call: the server looks for it at the first change.
    pub async fn start_replication(
        self,
        slot: &SlotName,
        start: Lsn,
        publication: &str,
    ) -> Result<WalStream, Error> {
        self.stream(slot, start, publication, true).await
    }

    /// The same with values in text, as this connection's settings print them: for tables of any types.
    pub async fn start_replication_in_text(
        self,
        slot: &SlotName,
        start: Lsn,
        publication: &str,
    ) -> Result<WalStream, Error> {
        self.stream(slot, start, publication, false).await
    }

    async fn stream(
        mut self,
        slot: &SlotName,
        start: Lsn,
        publication: &str,
        is_binary: bool,
    ) -> Result<WalStream, Error> {
        let confirmed = self.read_slot(slot).await?.and_then(|slot| slot.confirmed_flush_lsn);
        let publication = quoted(publication);
        let command = format!(
            "START_REPLICATION SLOT \"{slot}\" LOGICAL {start} \
             (proto_version '1', publication_names {publication}, binary '{is_binary}')"
        );
        self.send(&command).await?;
        match self.connection.receive().await? {
            Incoming::CopyBoth => {}
            Incoming::Message(_) => return Err(Error::protocol("no copy mode in answer to a start")),
        }
        let (inbound, outbound) = self.connection.into_halves();
        Ok(WalStream::new(inbound, outbound, confirmed.unwrap_or_default(), self.status_interval))
    }

    async fn query_one(&mut self, command: &str) -> Result<Row, Error> {
        let rows = self.query(command).await?;
        rows.into_iter().next().ok_or_else(|| Error::protocol("no row in answer to a command"))
    }

    pub(crate) async fn send(&mut self, sql: &str) -> Result<(), Error> {
        if self.busy {
            return Err(Error::protocol("an earlier call was dropped before its answer had come"));
        }
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out).map_err(|error| Error::protocol(error.to_string()))?;
        self.busy = true;
        self.connection.send(&out).await
    }
}

impl Debug for Client {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("busy", &self.busy).finish_non_exhaustive()
    }
}

async fn connect(config: &Config) -> Result<Client, Error> {
    let mut connection = Connection::open(config).await?;
    let is_encrypted = connection.is_encrypted();
    log_in(&mut connection, config).await.map_err(|error| explain_login(error, is_encrypted))?;
    loop {
        match connection.receive().await? {
            Incoming::Message(Message::ReadyForQuery(_)) => break,
            Incoming::Message(Message::BackendKeyData(_)) => {}
            _ => return Err(Error::protocol("unexpected message after the login")),
        }
    }
    Ok(Client { connection, status_interval: config.status_interval, busy: false })
}

/// A publication's name as an identifier within a string literal.
fn quoted(publication: &str) -> String {
    let mut quoted = String::with_capacity(publication.len() + 4);
    quoted.push_str("'\"");
    for character in publication.chars() {
        if matches!(character, '\'' | '"') {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push_str("\"'");
    quoted
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn publication_cannot_leave_its_quotes() {
        assert_eq!(quoted("events"), "'\"events\"'");
        assert_eq!(quoted("a'b\"c"), "'\"a''b\"\"c\"'");
    }
}
