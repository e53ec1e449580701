//! Which column of the event table is which, from the relation message that comes before its rows.

use bytes::Bytes;
use pgoutput::{Column, Relation, Tuple};
use uuid::Uuid;

use crate::{Error, Row};

/// The first byte of binary `jsonb`: the version of its format, before the text.
const JSONB_VERSION: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Position,
    Stream,
    Seq,
    Id,
    Type,
    Version,
    Data,
    CorrelationId,
    CausationId,
    Metadata,
    RecordedAt,
    /// Added by somebody; no business of ours.
    Other,
}

/// Name, field and type OID (`pg_type.dat`) of each column that a row needs.
const FIELDS: [(&str, Field, u32); 11] = [
    ("position", Field::Position, 20),
    ("stream", Field::Stream, 25),
    ("seq", Field::Seq, 20),
    ("id", Field::Id, 2950),
    ("type", Field::Type, 25),
    ("version", Field::Version, 21),
    ("data", Field::Data, 3802),
    ("correlation_id", Field::CorrelationId, 2950),
    ("causation_id", Field::CausationId, 2950),
    ("metadata", Field::Metadata, 3802),
    ("recorded_at", Field::RecordedAt, 1184),
];

/// The event table as this session has come to know it.
#[derive(Debug)]
pub(crate) struct EventTable {
    pub(crate) relation_id: u32,
    fields: Vec<Field>,
}

impl EventTable {
    pub(crate) fn new(relation: &Relation) -> Result<Self, Error> {
        let changed = |what: String| {
            let remedy = "bring the event table back to migrations/0001_event.sql";
            Error::halted(format!("the event table has changed: {what}"), remedy)
        };
        if (relation.namespace.as_str(), relation.name.as_str()) != ("public", "event") {
            return Err(Error::halted(
                format!("the publication carries {}.{}", relation.namespace, relation.name),
                "take it out: it is for the event table alone",
            ));
        }
        let mut fields = vec![Field::Other; relation.columns.len()];
        for (name, field, type_oid) in FIELDS {
            let at = relation.columns.iter().position(|column| column.name == name);
            let at = at.ok_or_else(|| changed(format!("it has no column {name}")))?;
            if relation.columns[at].type_oid != type_oid {
                return Err(changed(format!("{name} is of type {}", relation.columns[at].type_oid)));
            }
            fields[at] = field;
        }
        Ok(Self { relation_id: relation.id, fields })
    }

    /// Cuts a row into its fields, without copying any.
    pub(crate) fn row(&self, tuple: &Tuple) -> Result<Row, Error> {
        let mut row = Row {
            position: 0,
            stream: Bytes::new(),
            seq: 0,
            id: Uuid::nil(),
            event_type: Bytes::new(),
            version: 0,
            data: Bytes::new(),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            metadata: Bytes::new(),
            recorded_at_postgres_micros: 0,
        };
        if tuple.len() != self.fields.len() {
            return Err(malformed("it has another number of columns than its table"));
        }
        for (field, column) in self.fields.iter().zip(tuple.columns()) {
            if *field == Field::Other {
                continue;
            }
            let Column::Binary(value) = column else {
                return Err(malformed(&format!("{field:?} is not binary")));
            };
            match field {
                Field::Position => row.position = i64::from_be_bytes(fixed(&value)?),
                Field::Stream => row.stream = utf8(value)?,
                Field::Seq => row.seq = i64::from_be_bytes(fixed(&value)?),
                Field::Id => row.id = Uuid::from_bytes(fixed(&value)?),
                Field::Type => row.event_type = utf8(value)?,
                Field::Version => row.version = i16::from_be_bytes(fixed(&value)?),
                Field::Data => row.data = json(value)?,
                Field::CorrelationId => row.correlation_id = Uuid::from_bytes(fixed(&value)?),
                Field::CausationId => row.causation_id = Uuid::from_bytes(fixed(&value)?),
                Field::Metadata => row.metadata = utf8(json(value)?)?,
                Field::RecordedAt => row.recorded_at_postgres_micros = i64::from_be_bytes(fixed(&value)?),
                Field::Other => {}
            }
        }
        Ok(row)
    }
}

fn fixed<const N: usize>(value: &Bytes) -> Result<[u8; N], Error> {
    value.as_ref().try_into().map_err(|_| malformed(&format!("{} bytes stand where {N} belong", value.len())))
}

pub(crate) fn utf8(value: Bytes) -> Result<Bytes, Error> {
    match std::str::from_utf8(&value) {
        Ok(_) => Ok(value),
        Err(error) => Err(malformed(&format!("text is not UTF-8: {error}"))),
    }
}

fn json(value: Bytes) -> Result<Bytes, Error> {
    match value.first() {
        Some(&JSONB_VERSION) => Ok(value.slice(1..)),
        _ => Err(malformed("jsonb of an unknown format")),
    }
}

fn malformed(what: &str) -> Error {
    Error::halted(format!("a row of the event table is malformed: {what}"), "check the server's version")
}
