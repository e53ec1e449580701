//! A message to bytes: for tests of what reads them, and for anything that plays the server.

use bytes::{BufMut, BytesMut};

use crate::error::Error;
use crate::message::{Message, OldTupleKind};
use crate::relation::Relation;
use crate::tuple::Tuple;

/// Appends `message` so that [`crate::decode`] gives it back; on an error `into` is left as it was.
pub fn encode(message: &Message, into: &mut BytesMut) -> Result<(), Error> {
    let start = into.len();
    let written = write(message, into);
    if written.is_err() {
        into.truncate(start);
    }
    written
}

fn write(message: &Message, into: &mut BytesMut) -> Result<(), Error> {
    match message {
        Message::Begin { final_lsn, commit_time_micros, xid } => {
            into.put_u8(b'B');
            into.put_u64(final_lsn.as_u64());
            into.put_i64(*commit_time_micros);
            into.put_u32(*xid);
        }
        Message::Commit { commit_lsn, end_lsn, commit_time_micros } => {
            into.put_slice(b"C\0");
            into.put_u64(commit_lsn.as_u64());
            into.put_u64(end_lsn.as_u64());
            into.put_i64(*commit_time_micros);
        }
        Message::Origin { commit_lsn, name } => {
            into.put_u8(b'O');
            into.put_u64(commit_lsn.as_u64());
            put_name(into, name)?;
        }
        Message::Relation(relation) => write_relation(relation, into)?,
        Message::Type { id, namespace, name } => {
            into.put_u8(b'Y');
            into.put_u32(*id);
            put_name(into, namespace)?;
            put_name(into, name)?;
        }
        Message::Insert { relation_id, tuple } => {
            into.put_u8(b'I');
            into.put_u32(*relation_id);
            put_tuple(into, b'N', tuple);
        }
        Message::Update { relation_id, old, new } => {
            into.put_u8(b'U');
            into.put_u32(*relation_id);
            if let Some((kind, old)) = old {
                put_tuple(into, old_tag(*kind), old);
            }
            put_tuple(into, b'N', new);
        }
        Message::Delete { relation_id, kind, old } => {
            into.put_u8(b'D');
            into.put_u32(*relation_id);
            put_tuple(into, old_tag(*kind), old);
        }
        Message::Truncate { options, relation_ids } => {
            into.put_u8(b'T');
            put_length(into, "truncate", relation_ids.len())?;
            into.put_u8(options.0);
            relation_ids.iter().for_each(|id| into.put_u32(*id));
        }
        Message::Message { transactional, lsn, prefix, content } => {
            into.put_u8(b'M');
            into.put_u8(u8::from(*transactional));
            into.put_u64(lsn.as_u64());
            put_name(into, prefix)?;
            put_length(into, "message content", content.len())?;
            into.put_slice(content);
        }
    }
    Ok(())
}

fn write_relation(relation: &Relation, into: &mut BytesMut) -> Result<(), Error> {
    let length = relation.columns.len();
    let count = i16::try_from(length).map_err(|_| Error::TooLong { what: "relation", length })?;
    into.put_u8(b'R');
    into.put_u32(relation.id);
    put_name(into, &relation.namespace)?;
    put_name(into, &relation.name)?;
    into.put_u8(relation.replica_identity.tag());
    into.put_i16(count);
    for column in &relation.columns {
        into.put_u8(column.flags);
        put_name(into, &column.name)?;
        into.put_u32(column.type_oid);
        into.put_i32(column.type_modifier);
    }
    Ok(())
}

fn put_tuple(into: &mut BytesMut, kind: u8, tuple: &Tuple) {
    into.put_u8(kind);
    tuple.write(into);
}

fn put_name(into: &mut BytesMut, name: &str) -> Result<(), Error> {
    if name.contains('\0') {
        return Err(Error::NulInName);
    }
    into.put_slice(name.as_bytes());
    into.put_u8(0);
    Ok(())
}

fn put_length(into: &mut BytesMut, what: &'static str, length: usize) -> Result<(), Error> {
    into.put_i32(i32::try_from(length).map_err(|_| Error::TooLong { what, length })?);
    Ok(())
}

fn old_tag(kind: OldTupleKind) -> u8 {
    match kind {
        OldTupleKind::Key => b'K',
        OldTupleKind::Full => b'O',
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::encode;
    use crate::error::Error;
    use crate::lsn::Lsn;
    use crate::message::Message;

    #[test]
    fn name_with_a_nul_is_refused_and_leaves_the_buffer_alone() {
        let mut buffer = BytesMut::from("before");
        let origin = Message::Origin { commit_lsn: Lsn::ZERO, name: "a\0b".into() };
        assert_eq!(encode(&origin, &mut buffer), Err(Error::NulInName));
        assert_eq!(buffer, "before");
    }
}
