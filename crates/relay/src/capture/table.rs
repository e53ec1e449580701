//! One captured table as this session has come to know it: which columns make its key, and how a row is written.

use std::sync::Arc;

use pgoutput::Column;

use crate::Error;
use crate::capture::change::{Change, Image, Operation};
use crate::capture::kind::{Kind, write_text};
use crate::reader::Transaction;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) schema: String,
    pub(crate) table: String,
    /// The end of its topic's name.
    pub(crate) topic: String,
    /// As JSON: the key of what concerns the whole table, and of rows without a key.
    json: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: Arc<Name>,
    pub(crate) columns: Vec<TableColumn>,
}

#[derive(Debug)]
pub(crate) struct TableColumn {
    /// `"name":`
    pub(crate) label: Vec<u8>,
    pub(crate) kind: Kind,
    /// Of the record's key.
    pub(crate) is_key: bool,
    /// Of the replica identity: what an old row has when it is not whole.
    pub(crate) is_identity: bool,
}

/// The old row of an update or a delete.
#[derive(Debug)]
pub(crate) struct Old {
    pub(crate) columns: Vec<Column>,
    pub(crate) is_whole: bool,
}

impl Name {
    pub(crate) fn new(schema: &str, table: &str) -> Self {
        let mut json = Vec::new();
        write_text(&format!("{schema}.{table}"), &mut json);
        Self { schema: schema.to_owned(), table: table.to_owned(), topic: topic_suffix(schema, table), json }
    }
}

/// Kafka takes letters, digits, `.`, `_` and `-`; whatever else a name has becomes `_`.
pub(crate) fn topic_suffix(schema: &str, table: &str) -> String {
    let allowed = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => character,
        _ => '_',
    };
    format!("{schema}.{table}").chars().map(allowed).collect()
}

impl TableColumn {
    pub(crate) fn new(name: &str, kind: Kind, is_key: bool, is_identity: bool) -> Self {
        let mut label = Vec::new();
        write_text(name, &mut label);
        label.push(b':');
        Self { label, kind, is_key, is_identity }
    }
}

impl Table {
    pub(crate) fn created(
        &self,
        operation: Operation,
        columns: &[Column],
        transaction: Option<Transaction>,
    ) -> Result<Change, Error> {
        let (after, unchanged) = self.row(columns, |_| true)?;
        let key = self.key(columns)?;
        Ok(self.change(key, Image { operation, before: None, after: Some(after), unchanged, transaction }))
    }

    /// The row's key as it was is the one that is forgotten.
    pub(crate) fn deleted(&self, old: &Old, transaction: Transaction) -> Result<Change, Error> {
        let image = Image {
            operation: Operation::Delete,
            before: Some(self.before(old)?),
            after: None,
            unchanged: Vec::new(),
            transaction: Some(transaction),
        };
        Ok(self.change(self.key(&old.columns)?, image))
    }

    /// `columns` are those after the update, completed from the old row where it has them.
    pub(crate) fn updated(
        &self,
        old: Option<&Old>,
        columns: &[Column],
        transaction: Transaction,
    ) -> Result<Change, Error> {
        let (after, unchanged) = self.row(columns, |_| true)?;
        let image = Image {
            operation: Operation::Update,
            before: old.map(|old| self.before(old)).transpose()?,
            after: Some(after),
            unchanged,
            transaction: Some(transaction),
        };
        Ok(self.change(self.key(columns)?, image))
    }

    pub(crate) fn truncated(&self, transaction: Transaction) -> Change {
        let image = Image {
            operation: Operation::Truncate,
            before: None,
            after: None,
            unchanged: Vec::new(),
            transaction: Some(transaction),
        };
        self.change(self.name.json.clone(), image)
    }

    /// Comes after a delete; None where the key is not the row's own.
    pub(crate) fn tombstone(&self, deleted: &Change) -> Option<Change> {
        let tombstone = || Change { table: Arc::clone(&self.name), key: deleted.key.clone(), image: None };
        self.has_key().then(tombstone)
    }

    pub(crate) fn has_key(&self) -> bool {
        self.columns.iter().any(|column| column.is_key)
    }

    /// Values that were not sent, from the old row.
    pub(crate) fn complete(&self, columns: &mut [Column], old: &Old) {
        for ((column, before), known) in columns.iter_mut().zip(&old.columns).zip(&self.columns) {
            if *column == Column::Unchanged && (old.is_whole || known.is_identity) {
                column.clone_from(before);
            }
        }
    }

    pub(crate) fn key(&self, columns: &[Column]) -> Result<Vec<u8>, Error> {
        if !self.has_key() {
            return Ok(self.name.json.clone());
        }
        self.row(columns, |column| column.is_key).map(|(key, _)| key)
    }

    fn before(&self, old: &Old) -> Result<Vec<u8>, Error> {
        self.row(&old.columns, |column| old.is_whole || column.is_identity).map(|(before, _)| before)
    }

    /// An object of the columns that are wanted, and a list of those that were not sent.
    fn row(
        &self,
        columns: &[Column],
        is_wanted: impl Fn(&TableColumn) -> bool,
    ) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let (mut row, mut unchanged) = (vec![b'{'], Vec::new());
        for (known, value) in self.columns.iter().zip(columns).filter(|(known, _)| is_wanted(known)) {
            if *value == Column::Unchanged {
                unchanged.push(if unchanged.is_empty() { b'[' } else { b',' });
                unchanged.extend_from_slice(&known.label[..known.label.len() - 1]);
                continue;
            }
            if row.len() > 1 {
                row.push(b',');
            }
            row.extend_from_slice(&known.label);
            match value {
                Column::Text(value) => known.kind.write(value, &mut row)?,
                Column::Null | Column::Unchanged => row.extend_from_slice(b"null"),
                Column::Binary(_) => {
                    return Err(Error::halted(
                        "the server sent a value in binary",
                        "check the server's version",
                    ));
                }
            }
        }
        row.push(b'}');
        if !unchanged.is_empty() {
            unchanged.push(b']');
        }
        Ok((row, unchanged))
    }

    fn change(&self, key: Vec<u8>, image: Image) -> Change {
        Change { table: Arc::clone(&self.name), key, image: Some(image) }
    }
}

#[cfg(test)]
mod tests {
    use super::topic_suffix;

    #[test]
    fn a_topic_has_no_character_that_kafka_refuses() {
        assert_eq!(topic_suffix("public", "customer_2"), "public.customer_2");
        assert_eq!(topic_suffix("Ünter lagen", "a/b"), "_nter_lagen.a_b");
    }
}
