//! Turns the messages of a capture's slot into changes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use pgoutput::{Column, Message, OldTupleKind, Relation, ReplicaIdentity, Tuple};
use replication::CopyRow;

use crate::capture::change::{Change, Operation};
use crate::capture::kind::Kind;
use crate::capture::table::{Name, Old, Table, TableColumn};
use crate::capture::tables::CapturedTable;
use crate::event_reader::{out_of_order, too_many_columns};
use crate::reader::{Reader, Transaction};
use crate::{Cause, Error};

/// What the server calls its own schema here: nothing.
const PG_CATALOG: &str = "";
/// Below this, types are built in: `FirstNormalObjectId`.
const OWN_TYPES_FROM: u32 = 16_384;

#[derive(Debug)]
pub struct ChangeReader {
    /// Whether a record without a value follows each delete.
    tombstones: bool,
    /// As the catalog has them: for keys, which the log does not tell under `replica identity full`.
    known: Vec<CapturedTable>,
    /// Types that are not built in: a domain is written as the type that it stands on.
    types: HashMap<u32, Kind>,
    tables: HashMap<u32, Table>,
    /// Of a copy.
    copied: HashMap<usize, Table>,
    transaction: Transaction,
    further: VecDeque<Change>,
}

impl ChangeReader {
    pub(crate) fn new(known: &[CapturedTable], tombstones: bool) -> Self {
        Self {
            tombstones,
            known: known.to_vec(),
            types: HashMap::new(),
            tables: HashMap::new(),
            copied: HashMap::new(),
            transaction: Transaction::default(),
            further: VecDeque::new(),
        }
    }

    fn table(&self, relation_id: u32) -> Result<&Table, Error> {
        self.tables.get(&relation_id).ok_or_else(|| out_of_order("a change before its table"))
    }

    fn kind(&self, type_oid: u32) -> Kind {
        self.types.get(&type_oid).copied().unwrap_or_else(|| Kind::of_oid(type_oid))
    }

    fn describe(&self, relation: &Relation) -> Result<Table, Error> {
        // The server leaves the schema out when it is its own.
        let schema = if relation.namespace.is_empty() { "pg_catalog" } else { &relation.namespace };
        let is_full = relation.replica_identity == ReplicaIdentity::Full;
        let primary_key = if is_full { self.primary_key(schema, relation)? } else { &[] };
        let columns = relation.columns.iter().map(|column| {
            let is_key = if is_full { primary_key.contains(&column.name) } else { column.is_key() };
            TableColumn::new(&column.name, self.kind(column.type_oid), is_key, column.is_key())
        });
        Ok(Table { name: Arc::new(Name::new(schema, &relation.name)), columns: columns.collect() })
    }

    /// Under `replica identity full` every column counts as one of the key's.
    fn primary_key(&self, schema: &str, relation: &Relation) -> Result<&[String], Error> {
        let is_it = |table: &&CapturedTable| (&*table.schema, &table.name) == (schema, &relation.name);
        let known = self.known.iter().find(is_it).ok_or_else(|| {
            let what = format!(
                "the primary key of {schema}.{} is not known: it came into the publication, or was dropped, just now",
                relation.name
            );
            Error::Unavailable(what)
        })?;
        let lacks = |name: &&String| !relation.columns.iter().any(|column| column.name == **name);
        if let Some(name) = known.primary_key.iter().find(lacks) {
            return Err(Error::halted_by(
                Cause::Table,
                format!(
                    "the primary key of {schema}.{} has now {name}, which the log does not have",
                    relation.name
                ),
                "keys of earlier changes cannot be told: take a new snapshot",
            ));
        }
        Ok(&known.primary_key)
    }

    fn updated(&mut self, id: u32, old: Option<(OldTupleKind, Tuple)>, new: &Tuple) -> Result<Change, Error> {
        let table = self.table(id)?;
        let mut columns = columns(table, new)?;
        let Some((kind, old)) = old else { return table.updated(None, &columns, self.transaction) };
        let old = old_row(table, kind, &old)?;
        table.complete(&mut columns, &old);
        if table.key(&old.columns)? == table.key(&columns)? {
            // Without a whole old row there is nothing to say that the key does not.
            let before = old.is_whole.then_some(&old);
            return table.updated(before, &columns, self.transaction);
        }
        let deleted = table.deleted(&old, self.transaction)?;
        let created = table.created(Operation::Create, &columns, Some(self.transaction))?;
        let tombstone = if self.tombstones { table.tombstone(&deleted) } else { None };
        self.further.extend(tombstone);
        self.further.push_back(created);
        Ok(deleted)
    }

    fn deleted(&mut self, id: u32, kind: OldTupleKind, old: &Tuple) -> Result<Change, Error> {
        let table = self.table(id)?;
        let deleted = table.deleted(&old_row(table, kind, old)?, self.transaction)?;
        let tombstone = if self.tombstones { table.tombstone(&deleted) } else { None };
        self.further.extend(tombstone);
        Ok(deleted)
    }
}

impl Reader for ChangeReader {
    type Item = Change;

    fn begin(&mut self, transaction: Transaction) {
        self.transaction = transaction;
    }

    fn read(&mut self, message: Message) -> Result<Option<Change>, Error> {
        match message {
            Message::Insert { relation_id, tuple } => {
                let table = self.table(relation_id)?;
                let columns = columns(table, &tuple)?;
                table.created(Operation::Create, &columns, Some(self.transaction)).map(Some)
            }
            Message::Update { relation_id, old, new } => self.updated(relation_id, old, &new).map(Some),
            Message::Delete { relation_id, kind, old } => self.deleted(relation_id, kind, &old).map(Some),
            Message::Truncate { relation_ids, .. } => {
                for id in relation_ids {
                    let truncated = self.table(id)?.truncated(self.transaction);
                    self.further.push_back(truncated);
                }
                Ok(self.further.pop_front())
            }
            Message::Relation(relation) => {
                let table = self.describe(&relation)?;
                self.tables.insert(relation.id, table);
                Ok(None)
            }
            // Of a domain, the server names the type that it stands on.
            Message::Type { id, namespace, name } => {
                if id >= OWN_TYPES_FROM && namespace == PG_CATALOG {
                    self.types.insert(id, Kind::of_name(&name));
                }
                Ok(None)
            }
            Message::Begin { .. }
            | Message::Commit { .. }
            | Message::Origin { .. }
            | Message::Message { .. } => Ok(None),
        }
    }

    fn further(&mut self) -> Option<Change> {
        self.further.pop_front()
    }

    fn copied(&mut self, number: usize, mut row: CopyRow) -> Result<Change, Error> {
        let known =
            self.known.get(number).ok_or_else(|| out_of_order("a row of a table that was not asked for"))?;
        let table = self.copied.entry(number).or_insert_with(|| known.table());
        let mut columns = Vec::with_capacity(table.columns.len());
        for _ in &table.columns {
            columns.push(row.nullable()?.map_or(Column::Null, Column::Text));
        }
        if !row.is_over() {
            return Err(too_many_columns());
        }
        table.created(Operation::Read, &columns, None)
    }
}

fn columns(table: &Table, tuple: &Tuple) -> Result<Vec<Column>, Error> {
    if tuple.len() != table.columns.len() {
        return Err(out_of_order("a row with another number of columns than its table"));
    }
    Ok(tuple.columns().collect())
}

fn old_row(table: &Table, kind: OldTupleKind, old: &Tuple) -> Result<Old, Error> {
    Ok(Old { columns: columns(table, old)?, is_whole: kind == OldTupleKind::Full })
}
