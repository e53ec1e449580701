//! Bytes to a message.

use bytes::Bytes;

use crate::error::Error;
use crate::message::{Message, OldTupleKind, TruncateOptions};
use crate::reader::Reader;
use crate::relation::Relation;
use crate::tuple::Tuple;

/// Decodes one pgoutput message, which must fill `body` to its end.
///
/// Row values and message contents are slices of `body`, not copies.
pub fn decode(body: Bytes) -> Result<Message, Error> {
    let mut reader = Reader::new(body);
    let message = read(&mut reader)?;
    reader.finish()?;
    Ok(message)
}

fn read(reader: &mut Reader) -> Result<Message, Error> {
    match reader.u8()? {
        b'I' => {
            let relation_id = reader.u32()?;
            expect_new(reader)?;
            Ok(Message::Insert { relation_id, tuple: Tuple::read(reader)? })
        }
        b'B' => Ok(Message::Begin {
            final_lsn: reader.lsn()?,
            commit_time_micros: reader.i64()?,
            xid: reader.u32()?,
        }),
        b'C' => {
            // Flags; none is defined.
            reader.skip(1)?;
            Ok(Message::Commit {
                commit_lsn: reader.lsn()?,
                end_lsn: reader.lsn()?,
                commit_time_micros: reader.i64()?,
            })
        }
        b'R' => Relation::read(reader).map(Message::Relation),
        b'U' => read_update(reader),
        b'D' => {
            let relation_id = reader.u32()?;
            let tag = reader.u8()?;
            let kind = old_kind(tag).ok_or_else(|| reader.unknown("old tuple kind", tag))?;
            Ok(Message::Delete { relation_id, kind, old: Tuple::read(reader)? })
        }
        b'T' => read_truncate(reader),
        b'O' => Ok(Message::Origin { commit_lsn: reader.lsn()?, name: reader.name()? }),
        b'Y' => Ok(Message::Type { id: reader.u32()?, namespace: reader.name()?, name: reader.name()? }),
        b'M' => {
            let transactional = reader.u8()? & 1 != 0;
            let lsn = reader.lsn()?;
            let prefix = reader.name()?;
            let length = reader.length()?;
            Ok(Message::Message { transactional, lsn, prefix, content: reader.take(length)? })
        }
        tag => Err(reader.unknown("message tag", tag)),
    }
}

fn read_update(reader: &mut Reader) -> Result<Message, Error> {
    let relation_id = reader.u32()?;
    let tag = reader.u8()?;
    if tag == b'N' {
        return Ok(Message::Update { relation_id, old: None, new: Tuple::read(reader)? });
    }
    let kind = old_kind(tag).ok_or_else(|| reader.unknown("tuple kind", tag))?;
    let old = Tuple::read(reader)?;
    expect_new(reader)?;
    Ok(Message::Update { relation_id, old: Some((kind, old)), new: Tuple::read(reader)? })
}

fn read_truncate(reader: &mut Reader) -> Result<Message, Error> {
    let count = reader.length()?;
    let options = TruncateOptions(reader.u8()?);
    reader.require(count, size_of::<u32>())?;
    let mut relation_ids = Vec::with_capacity(count);
    for _ in 0..count {
        relation_ids.push(reader.u32()?);
    }
    Ok(Message::Truncate { options, relation_ids })
}

fn expect_new(reader: &mut Reader) -> Result<(), Error> {
    match reader.u8()? {
        b'N' => Ok(()),
        tag => Err(reader.unknown("tuple kind", tag)),
    }
}

fn old_kind(tag: u8) -> Option<OldTupleKind> {
    match tag {
        b'K' => Some(OldTupleKind::Key),
        b'O' => Some(OldTupleKind::Full),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::decode;
    use crate::error::Error;
    use crate::lsn::Lsn;
    use crate::message::Message;
    use crate::tuple::Column;

    fn bytes(parts: &[&[u8]]) -> Bytes {
        Bytes::from(parts.concat())
    }

    #[test]
    fn insert_shares_the_buffer_it_came_in() {
        let body = bytes(&[
            b"I\x00\x00\x40\x01N\x00\x04",
            b"n",
            b"u",
            b"t\x00\x00\x00\x02hi",
            b"b\x00\x00\x00\x03\x01{}",
        ]);
        let whole = body.as_ptr_range();

        let Message::Insert { relation_id, tuple } = decode(body.clone()).unwrap() else {
            panic!("no insert")
        };

        assert_eq!(relation_id, 0x4001);
        let columns = tuple.columns().collect::<Vec<_>>();
        let text = Bytes::from_static(b"hi");
        let binary = Bytes::from_static(b"\x01{}");
        assert_eq!(columns, [Column::Null, Column::Unchanged, Column::Text(text), Column::Binary(binary)]);
        let Column::Binary(value) = &columns[3] else { panic!("no binary column") };
        assert!(whole.contains(&value.as_ptr()));
    }

    #[test]
    fn commit_tells_where_its_record_ends() {
        let body = bytes(&[b"C\x00", &16_u64.to_be_bytes(), &64_u64.to_be_bytes(), &7_i64.to_be_bytes()]);
        let commit =
            Message::Commit { commit_lsn: Lsn::new(16), end_lsn: Lsn::new(64), commit_time_micros: 7 };
        assert_eq!(decode(body), Ok(commit));
    }

    #[test]
    fn errors_tell_what_is_wrong_and_where() {
        let cases: [(&[u8], Error); 8] = [
            (b"", Error::Truncated { offset: 0, needed: 1 }),
            (b"S", Error::UnknownTag { what: "message tag", tag: b'S', offset: 0 }),
            (b"I\x00\x00", Error::Truncated { offset: 1, needed: 2 }),
            (b"I\0\0\0\x01X", Error::UnknownTag { what: "tuple kind", tag: b'X', offset: 5 }),
            (b"I\0\0\0\x01N\0\x01z", Error::UnknownTag { what: "column kind", tag: b'z', offset: 8 }),
            (b"I\0\0\0\x01N\xff\xff", Error::NegativeLength { length: -1, offset: 6 }),
            (b"I\0\0\0\x01N\0\0!", Error::TrailingBytes { offset: 8, count: 1 }),
            (b"Y\0\0\0\x01\xff\0x\0", Error::NotUtf8 { offset: 5 }),
        ];
        for (input, error) in cases {
            assert_eq!(decode(Bytes::from_static(input)), Err(error), "{input:?}");
        }
    }

    #[test]
    fn promised_entries_are_not_allocated_before_they_can_be_there() {
        let body = Bytes::from_static(b"T\x7f\xff\xff\xff\x00");
        assert_eq!(decode(body), Err(Error::Truncated { offset: 6, needed: 0x7fff_ffff * 4 }));
    }
}
