//! A cursor over the bytes of one message that knows its offset and never reads past the end.

use bytes::Bytes;

use crate::error::Error;
use crate::lsn::Lsn;

pub(crate) struct Reader {
    bytes: Bytes,
    offset: usize,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn lsn(&mut self) -> Result<Lsn, Error> {
        self.array().map(u64::from_be_bytes).map(Lsn::new)
    }

    /// A two-byte count of entries.
    pub(crate) fn count(&mut self) -> Result<u16, Error> {
        let offset = self.offset;
        let count = i16::from_be_bytes(self.array()?);
        u16::try_from(count).map_err(|_| Error::NegativeLength { length: count.into(), offset })
    }

    /// A four-byte length in bytes or in entries.
    pub(crate) fn length(&mut self) -> Result<usize, Error> {
        let offset = self.offset;
        let length = self.i32()?;
        usize::try_from(length).map_err(|_| Error::NegativeLength { length, offset })
    }

    /// Fails unless `count` entries of at least `entry_bytes` can still follow; call it before an allocation.
    pub(crate) fn require(&self, count: usize, entry_bytes: usize) -> Result<(), Error> {
        let needed = count.saturating_mul(entry_bytes);
        if needed <= self.remaining() {
            return Ok(());
        }
        Err(Error::Truncated { offset: self.offset, needed: needed - self.remaining() })
    }

    pub(crate) fn skip(&mut self, length: usize) -> Result<(), Error> {
        self.require(length, 1)?;
        self.offset += length;
        Ok(())
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, Error> {
        let start = self.offset;
        self.skip(length)?;
        Ok(self.bytes.slice(start..self.offset))
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        let rest = self.bytes.slice(self.offset..);
        self.offset = self.bytes.len();
        rest
    }

    /// What has been read since `start`.
    pub(crate) fn since(&self, start: usize) -> Bytes {
        self.bytes.slice(start..self.offset)
    }

    /// Text that ends at a NUL byte.
    pub(crate) fn name(&mut self) -> Result<String, Error> {
        let start = self.offset;
        let unread = &self.bytes[start..];
        let end = unread
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(Error::Truncated { offset: self.bytes.len(), needed: 1 })?;
        let name = std::str::from_utf8(&unread[..end]).map_err(|_| Error::NotUtf8 { offset: start })?;
        let name = name.to_owned();
        self.offset += end + 1;
        Ok(name)
    }

    pub(crate) fn unknown(&self, what: &'static str, tag: u8) -> Error {
        Error::UnknownTag { what, tag, offset: self.offset.saturating_sub(1) }
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(Error::TrailingBytes { offset: self.offset, count }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some(array) = self.bytes[self.offset..].first_chunk::<N>() else {
            return Err(Error::Truncated { offset: self.offset, needed: N - self.remaining() });
        };
        self.offset += N;
        Ok(*array)
    }
}
