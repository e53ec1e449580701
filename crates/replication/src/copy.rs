//! The rows of a `copy … to stdout (format binary)`, as they come: no more of them in memory than one read brings.
//!
//! ```text
//! ┌─ header ─────────────────────────────────────────┬─ row ──────────────────────────────────┬───┬─ trailer ─┐
//! │ PGCOPY\n\xff\r\n\0, flags, length of an extension │ fields: i16, (length: i32, value) each │ … │ -1: i16   │
//! └──────────────────────────────────────────────────┴────────────────────────────────────────┴───┴───────────┘
//! ```
//!
//! The server puts one row into each CopyData message, and header and trailer into one with or without a row:
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>,
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>.

use std::fmt::{self, Debug, Formatter};

use bytes::{Buf, Bytes};
use postgres_protocol::message::backend::{
    COMMAND_COMPLETE_TAG, COPY_DONE_TAG, Message, READY_FOR_QUERY_TAG,
};

use crate::client::Client;
use crate::connection::{Incoming, is_aside, parse};
use crate::error::Error;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const TRAILER: i16 = -1;
/// In place of a length.
const NULL: i32 = -1;

/// A copy that is under way. Dropped before its end, the client is of no use any more: connect anew.
pub struct CopyOut<'a> {
    client: &'a mut Client,
    is_header_read: bool,
    is_trailer_read: bool,
    refusal: Option<Error>,
}

/// The values of one row, taken one after the other: slices of the buffer that it was read into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRow {
    values: Bytes,
    fields_left: u16,
}

impl Client {
    /// Runs one `copy … to stdout (format binary)`.
    pub async fn copy_out(&mut self, copy: &str) -> Result<CopyOut<'_>, Error> {
        self.send(copy).await?;
        let mut refusal = None;
        loop {
            match self.connection.receive().await {
                Ok(Incoming::Message(Message::CopyOutResponse(_))) => break,
                Ok(Incoming::Message(Message::ReadyForQuery(_))) => {
                    self.busy = false;
                    return Err(refusal.unwrap_or_else(|| Error::protocol("no copy in answer to a copy")));
                }
                Ok(_) => return Err(Error::protocol("unexpected answer to a copy")),
                Err(error @ Error::Server { .. }) => refusal = Some(error),
                Err(error) => return Err(refusal.unwrap_or(error)),
            }
        }
        Ok(CopyOut { client: self, is_header_read: false, is_trailer_read: false, refusal: None })
    }
}

impl CopyOut<'_> {
    /// Waits until at least one row has arrived, and appends it and all that came with it to `batch`. Returns false
    /// at the end, when the server has said that it has sent everything.
    ///
    /// Cancel-safe: a row is either in `batch` or comes with the next call.
    pub async fn read(&mut self, batch: &mut Vec<CopyRow>) -> Result<bool, Error> {
        let before = batch.len();
        loop {
            for payload in self.client.connection.inbound.copy_data() {
                batch.extend(self.row(payload)?);
            }
            if batch.len() > before {
                return Ok(true);
            }
            match self.client.connection.inbound.next()? {
                None => self.client.connection.inbound.fill().await?,
                Some((READY_FOR_QUERY_TAG, _)) => return self.end(),
                Some((COPY_DONE_TAG | COMMAND_COMPLETE_TAG, _)) => {}
                Some((tag, _)) if is_aside(tag) => {}
                Some((tag, mut bytes)) => match parse(&mut bytes) {
                    Err(error @ Error::Server { .. }) => self.refusal = Some(error),
                    Err(error) => return Err(error),
                    Ok(_) => return Err(Error::protocol(format!("unexpected message {tag:#04x} in a copy"))),
                },
            }
        }
    }

    fn row(&mut self, mut payload: Bytes) -> Result<Option<CopyRow>, Error> {
        if !self.is_header_read {
            skip_header(&mut payload)?;
            self.is_header_read = true;
            if payload.is_empty() {
                return Ok(None);
            }
        }
        let fields = payload.try_get_i16().map_err(|_| malformed())?;
        if fields == TRAILER {
            self.is_trailer_read = true;
            return Ok(None);
        }
        let fields_left = u16::try_from(fields).map_err(|_| malformed())?;
        Ok(Some(CopyRow { values: payload, fields_left }))
    }

    fn end(&mut self) -> Result<bool, Error> {
        self.client.busy = false;
        match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None if !self.is_trailer_read => Err(Error::protocol("a copy without its end")),
            None => Ok(false),
        }
    }
}

impl CopyRow {
    /// The next value, which cannot be null.
    pub fn value(&mut self) -> Result<Bytes, Error> {
        self.nullable()?.ok_or_else(unexpected_null)
    }

    /// The next value; None is null.
    pub fn nullable(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(length) = self.length()? else { return Ok(None) };
        if self.values.len() < length {
            return Err(malformed());
        }
        Ok(Some(self.values.split_to(length)))
    }

    /// The next value, which cannot be null and has that many bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let length = self.length()?.ok_or_else(unexpected_null)?;
        let value = self.values.first_chunk().copied().filter(|_| length == N).ok_or_else(malformed)?;
        self.values.advance(N);
        Ok(value)
    }

    /// Whether all values have been taken.
    pub fn is_over(&self) -> bool {
        self.fields_left == 0 && self.values.is_empty()
    }

    fn length(&mut self) -> Result<Option<usize>, Error> {
        self.fields_left = self.fields_left.checked_sub(1).ok_or_else(malformed)?;
        match self.values.try_get_i32() {
            Ok(NULL) => Ok(None),
            Ok(length) => usize::try_from(length).map(Some).map_err(|_| malformed()),
            Err(_) => Err(malformed()),
        }
    }
}

impl Debug for CopyOut<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CopyOut").field("client", &self.client).finish_non_exhaustive()
    }
}

fn skip_header(payload: &mut Bytes) -> Result<(), Error> {
    if !payload.starts_with(SIGNATURE) {
        return Err(Error::protocol("a copy that is not binary"));
    }
    payload.advance(SIGNATURE.len());
    let _flags = payload.try_get_u32().map_err(|_| malformed())?;
    let extension = payload.try_get_u32().map_err(|_| malformed())?;
    let extension = usize::try_from(extension).ok().filter(|bytes| *bytes <= payload.len());
    payload.advance(extension.ok_or_else(malformed)?);
    Ok(())
}

fn unexpected_null() -> Error {
    Error::protocol("a null in a copy where none belongs")
}

fn malformed() -> Error {
    Error::protocol("a malformed row in a copy")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{CopyRow, skip_header};

    fn row(fields_left: u16, values: &'static [u8]) -> CopyRow {
        CopyRow { values: Bytes::from_static(values), fields_left }
    }

    #[test]
    fn values_come_in_their_order() {
        let mut row = row(2, b"\0\0\0\x02\x01\x02\0\0\0\x03abc");
        assert_eq!(row.fixed::<2>().unwrap(), [1, 2]);
        assert!(!row.is_over());
        assert_eq!(row.value().unwrap(), "abc");
        assert!(row.is_over());
    }

    #[test]
    fn a_null_is_told_from_an_empty_value_where_it_is_asked_for() {
        let mut row = row(3, b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xfe");
        assert_eq!(row.nullable().unwrap(), None);
        assert_eq!(row.nullable().unwrap(), Some(Bytes::new()));
        assert!(row.nullable().is_err(), "-2 is no length");
    }

    #[test]
    fn what_is_cut_off_null_or_of_another_length_is_an_error() {
        assert!(row(1, b"\0\0\0\x04abc").value().is_err());
        assert!(row(1, b"\0\0\0").value().is_err());
        assert!(row(1, b"\xff\xff\xff\xff").value().is_err());
        assert!(row(0, b"\0\0\0\x01a").value().is_err());
        assert!(row(1, b"\0\0\0\x01ab").fixed::<2>().is_err());
        assert!(row(1, b"\0\0\0\x02a").fixed::<2>().is_err());
    }

    #[test]
    fn header_is_skipped_with_its_extension() {
        let mut payload = Bytes::from_static(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x01xrest");
        skip_header(&mut payload).unwrap();
        assert_eq!(payload, "rest");
        for header in [&b"PGCOPY"[..], b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02x", b"1\tabc\n"] {
            assert!(skip_header(&mut Bytes::from_static(header)).is_err());
        }
    }
}
