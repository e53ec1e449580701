//! Kafka's record batch, version 2: records are written once, into the bytes that are sent.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use crate::varint;

/// From the base offset to the end of the record count.
const HEADER_BYTES: usize = 61;
/// The checksum covers everything from the attributes on.
const ATTRIBUTES_AT: usize = 21;
const MAGIC: u8 = 2;
const NO_LEADER_EPOCH: i32 = -1;
/// Without its length: attributes and time difference, always 0.
const RECORD_FIXED_BYTES: usize = 2;
/// The length of a value that is null.
const NULL: i64 = -1;
/// Below this, compression costs more than it saves.
const COMPRESS_BYTES_MIN: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Lz4,
}

/// The headers of one record, encoded; cleared and filled again for the next one.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    count: usize,
    bytes: Vec<u8>,
}

/// Records of one partition, still growing.
#[derive(Debug, Default)]
pub(crate) struct Records {
    count: i32,
    bytes: Vec<u8>,
}

/// Who produces, and where in its sequence for the partition a batch begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequence {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) first: i32,
}

impl Headers {
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }

    pub fn put(&mut self, key: &str, value: &[u8]) {
        self.count += 1;
        varint::put_len(&mut self.bytes, key.len());
        self.bytes.extend_from_slice(key.as_bytes());
        varint::put_len(&mut self.bytes, value.len());
        self.bytes.extend_from_slice(value);
    }

    /// Headers that are the same for every record, encoded before.
    pub fn put_all(&mut self, others: &Self) {
        self.count += others.count;
        self.bytes.extend_from_slice(&others.bytes);
    }
}

impl Records {
    /// Into a buffer that has been used before.
    pub(crate) fn reusing(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { count: 0, bytes }
    }

    /// What [`Records::push`] would add, its own length aside.
    pub(crate) fn body_len(&self, key: &[u8], value: Option<&[u8]>, headers: &Headers) -> usize {
        RECORD_FIXED_BYTES
            + varint::len(self.count.into())
            + varint::len_of_len(key.len())
            + key.len()
            + value.map_or(varint::len(NULL), |value| varint::len_of_len(value.len()) + value.len())
            + varint::len_of_len(headers.count)
            + headers.bytes.len()
    }

    pub(crate) fn push(&mut self, key: &[u8], value: Option<&[u8]>, headers: &Headers) {
        let (offset_delta, length) = (i64::from(self.count), self.body_len(key, value, headers));
        let into = &mut self.bytes;
        varint::put_len(into, length);
        into.extend_from_slice(&[0; RECORD_FIXED_BYTES]);
        varint::put(into, offset_delta);
        varint::put_len(into, key.len());
        into.extend_from_slice(key);
        match value {
            Some(value) => {
                varint::put_len(into, value.len());
                into.extend_from_slice(value);
            }
            None => varint::put(into, NULL),
        }
        varint::put_len(into, headers.count);
        into.extend_from_slice(&headers.bytes);
        self.count += 1;
    }

    pub(crate) fn count(&self) -> i32 {
        self.count
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends the whole batch. `time_ms` is the time of all its records.
    pub(crate) fn encode(
        &self,
        compression: Compression,
        sequence: Sequence,
        time_ms: i64,
        into: &mut Vec<u8>,
    ) {
        let start = into.len();
        let compression = if self.bytes.len() < COMPRESS_BYTES_MIN { Compression::None } else { compression };
        let attributes: i16 = match compression {
            Compression::None => 0,
            Compression::Lz4 => 3,
        };
        into.extend_from_slice(&0_i64.to_be_bytes());
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&NO_LEADER_EPOCH.to_be_bytes());
        into.push(MAGIC);
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&attributes.to_be_bytes());
        into.extend_from_slice(&(self.count - 1).to_be_bytes());
        into.extend_from_slice(&time_ms.to_be_bytes());
        into.extend_from_slice(&time_ms.to_be_bytes());
        into.extend_from_slice(&sequence.producer_id.to_be_bytes());
        into.extend_from_slice(&sequence.producer_epoch.to_be_bytes());
        into.extend_from_slice(&sequence.first.to_be_bytes());
        into.extend_from_slice(&self.count.to_be_bytes());
        debug_assert_eq!(into.len() - start, HEADER_BYTES);
        match compression {
            Compression::None => into.extend_from_slice(&self.bytes),
            Compression::Lz4 => compress(&self.bytes, into),
        }
        let batch = &mut into[start..];
        // Without the base offset and the length itself.
        let length = i32::try_from(batch.len() - 12).unwrap_or(i32::MAX);
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        let checksum = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn compress(records: &[u8], into: &mut Vec<u8>) {
    // Kafka's reader takes independent blocks only.
    let frame = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(frame, into);
    // A `Vec` takes whatever is written to it.
    let written = encoder.write_all(records).map_err(|_| ()).and_then(|()| encoder.finish().map_err(|_| ()));
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::{Headers, Records};

    #[test]
    fn a_value_that_is_null_is_told_from_an_empty_one() {
        for (value, bytes) in [
            (None, [0x0e, 0, 0, 0, 0x02, b'k', 0x01, 0]),
            (Some(&b""[..]), [0x0e, 0, 0, 0, 0x02, b'k', 0x00, 0]),
        ] {
            let mut records = Records::default();
            records.push(b"k", value, &Headers::default());
            assert_eq!(records.into_buffer(), bytes);
        }
    }
}
