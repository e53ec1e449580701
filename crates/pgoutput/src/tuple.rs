//! One row as it stands in the log: checked once, its columns cut out when asked for.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::Error;
use crate::reader::Reader;

const NULL: u8 = b'n';
const UNCHANGED: u8 = b'u';
const TEXT: u8 = b't';
const BINARY: u8 = b'b';

/// The columns of a row in table order.
///
/// A clone shares the bytes with the buffer that the message was decoded from, and keeps that buffer alive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuple {
    count: u16,
    /// Exactly `count` well-formed columns.
    bytes: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    Null,
    /// An out-of-line value that an update did not touch: Postgres does not send it.
    Unchanged,
    Text(Bytes),
    Binary(Bytes),
}

/// The iterator of [`Tuple::columns`].
#[derive(Debug, Clone)]
pub struct Columns {
    left: u16,
    bytes: Bytes,
}

impl Tuple {
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a Column>) -> Result<Self, Error> {
        let mut bytes = BytesMut::new();
        let mut count = 0_usize;
        for column in columns {
            count += 1;
            match column {
                Column::Null => bytes.put_u8(NULL),
                Column::Unchanged => bytes.put_u8(UNCHANGED),
                Column::Text(value) => put_value(&mut bytes, TEXT, value)?,
                Column::Binary(value) => put_value(&mut bytes, BINARY, value)?,
            }
        }
        let fits = i16::try_from(count).ok().and_then(|count| u16::try_from(count).ok());
        let count = fits.ok_or(Error::TooLong { what: "tuple", length: count })?;
        Ok(Self { count, bytes: bytes.freeze() })
    }

    pub fn len(&self) -> usize {
        self.count.into()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Allocates nothing; each column is a slice of the tuple's bytes.
    pub fn columns(&self) -> Columns {
        Columns { left: self.count, bytes: self.bytes.clone() }
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Error> {
        let count = reader.count()?;
        let start = reader.offset();
        for _ in 0..count {
            match reader.u8()? {
                NULL | UNCHANGED => {}
                TEXT | BINARY => {
                    let length = reader.length()?;
                    reader.skip(length)?;
                }
                tag => return Err(reader.unknown("column kind", tag)),
            }
        }
        Ok(Self { count, bytes: reader.since(start) })
    }

    pub(crate) fn write(&self, into: &mut BytesMut) {
        into.put_u16(self.count);
        into.put_slice(&self.bytes);
    }
}

impl IntoIterator for &Tuple {
    type Item = Column;
    type IntoIter = Columns;

    fn into_iter(self) -> Columns {
        self.columns()
    }
}

impl Iterator for Columns {
    type Item = Column;

    // The bytes were checked when the tuple was made; the `?` are there so that no reading here can panic.
    fn next(&mut self) -> Option<Column> {
        self.left = self.left.checked_sub(1)?;
        match self.bytes.try_get_u8().ok()? {
            NULL => Some(Column::Null),
            UNCHANGED => Some(Column::Unchanged),
            TEXT => self.value().map(Column::Text),
            _ => self.value().map(Column::Binary),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

impl ExactSizeIterator for Columns {}

impl Columns {
    fn value(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.bytes.try_get_u32().ok()?).ok()?;
        (length <= self.bytes.len()).then(|| self.bytes.split_to(length))
    }
}

fn put_value(bytes: &mut BytesMut, kind: u8, value: &Bytes) -> Result<(), Error> {
    let length =
        i32::try_from(value.len()).map_err(|_| Error::TooLong { what: "column", length: value.len() })?;
    bytes.put_u8(kind);
    bytes.put_i32(length);
    bytes.put_slice(value);
    Ok(())
}
