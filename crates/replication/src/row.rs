//! One row of a simple query: text values by column name or place.

use std::str::FromStr;
use std::sync::Arc;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};

use crate::error::Error;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    names: Arc<[String]>,
    values: Vec<Option<String>>,
}

impl Row {
    /// The value of the first column of that name; `None` also when there is no such column.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.at(self.names.iter().position(|column| column == name)?)
    }

    /// The value of the column at `index`, counted from 0; `None` also when there are fewer columns.
    pub fn at(&self, index: usize) -> Option<&str> {
        self.values.get(index)?.as_deref()
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn values(&self) -> &[Option<String>] {
        &self.values
    }

    /// `None` for null; an error when the value is not a `T`.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let unreadable = |_| Error::protocol(format!("unreadable value in column {name}"));
        self.get(name).map(str::parse).transpose().map_err(unreadable)
    }

    /// A value that cannot be null.
    pub fn require<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        self.parse(name)?.ok_or_else(|| Error::protocol(format!("no value in column {name}")))
    }

    /// A boolean, which Postgres writes as `t` and `f`; null is false.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("t")
    }

    pub(crate) fn names_of(description: &RowDescriptionBody) -> Result<Arc<[String]>, Error> {
        let names = description.fields().map(|field| Ok(field.name().to_owned())).collect::<Vec<_>>();
        names.map(Arc::from).map_err(|error| Error::protocol(error.to_string()))
    }

    pub(crate) fn read(names: &Arc<[String]>, body: &DataRowBody) -> Result<Self, Error> {
        let malformed = |error: std::io::Error| Error::protocol(error.to_string());
        let mut values = Vec::with_capacity(names.len());
        let mut ranges = body.ranges();
        while let Some(range) = ranges.next().map_err(malformed)? {
            values.push(range.map(|range| text(&body.buffer()[range])).transpose()?);
        }
        Ok(Self { names: Arc::clone(names), values })
    }
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::protocol("a text value is not utf-8"))?;
    Ok(text.to_owned())
}
