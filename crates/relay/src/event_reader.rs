//! The event table's reader: inserts are events, and anything else is tampering.

use pgoutput::Message;
use replication::CopyRow;
use uuid::Uuid;

use crate::event_table::{EventTable, utf8};
use crate::reader::{Item, Reader};
use crate::{Cause, Error, Row};

#[derive(Debug, Default)]
pub struct EventReader {
    table: Option<EventTable>,
}

impl Reader for EventReader {
    type Item = Row;

    fn read(&mut self, message: Message) -> Result<Option<Row>, Error> {
        match message {
            Message::Insert { relation_id, tuple } => match &self.table {
                None => Err(out_of_order("an insert before its table")),
                Some(table) if table.relation_id != relation_id => {
                    Err(out_of_order("an insert into another table"))
                }
                Some(table) => table.row(&tuple).map(Some),
            },
            Message::Relation(relation) => {
                self.table = Some(EventTable::new(&relation)?);
                Ok(None)
            }
            Message::Update { .. } | Message::Delete { .. } | Message::Truncate { .. } => {
                Err(Error::halted_by(
                    Cause::Tampered,
                    "events were updated, deleted or truncated",
                    "this is tampering: find out who disabled the triggers; nothing of it was relayed",
                ))
            }
            _ => Ok(None),
        }
    }

    /// In the order in which a refill asks for the columns.
    fn copied(&mut self, _: usize, mut row: CopyRow) -> Result<Row, Error> {
        let event = Row {
            position: i64::from_be_bytes(row.fixed()?),
            stream: utf8(row.value()?)?,
            seq: i64::from_be_bytes(row.fixed()?),
            id: Uuid::from_bytes(row.fixed()?),
            event_type: utf8(row.value()?)?,
            version: i16::from_be_bytes(row.fixed()?),
            data: row.value()?,
            correlation_id: Uuid::from_bytes(row.fixed()?),
            causation_id: Uuid::from_bytes(row.fixed()?),
            metadata: utf8(row.value()?)?,
            recorded_at_postgres_micros: i64::from_be_bytes(row.fixed()?),
        };
        if row.is_over() { Ok(event) } else { Err(too_many_columns()) }
    }
}

impl Item for Row {
    fn size(&self) -> usize {
        self.data.len() + self.metadata.len()
    }

    fn position(&self) -> i64 {
        self.position
    }
}

pub(crate) fn too_many_columns() -> Error {
    Error::halted("a copied row has more columns than were asked for", "check the server's version")
}

pub(crate) fn out_of_order(what: &str) -> Error {
    Error::halted(format!("the server sent {what}"), "check the server's version")
}
