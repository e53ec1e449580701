//! Properties: what is encoded decodes to itself, what is cut short is an error, and no input panics.

use std::collections::BTreeSet;
use std::fs;

use bytes::{Bytes, BytesMut};
use pgoutput::{
    Column, Error, Lsn, Message, OldTupleKind, Relation, RelationColumn, ReplicaIdentity, ServerFrame,
    StandbyStatus, TruncateOptions, Tuple, decode, encode,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::{option, prop_assert, prop_assert_eq};

fn lsn() -> impl Strategy<Value = Lsn> {
    any::<u64>().prop_map(Lsn::new)
}

fn name() -> impl Strategy<Value = String> {
    "[^\\x00]{0,12}"
}

fn value() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn column() -> impl Strategy<Value = Column> {
    prop_oneof![
        Just(Column::Null),
        Just(Column::Unchanged),
        value().prop_map(Column::Text),
        value().prop_map(Column::Binary),
    ]
}

fn tuple() -> impl Strategy<Value = Tuple> {
    vec(column(), 0..8).prop_map(|columns| Tuple::new(&columns).expect("few short columns fit"))
}

fn old_kind() -> impl Strategy<Value = OldTupleKind> {
    prop_oneof![Just(OldTupleKind::Key), Just(OldTupleKind::Full)]
}

fn relation() -> impl Strategy<Value = Relation> {
    let identity = prop_oneof![
        Just(ReplicaIdentity::Default),
        Just(ReplicaIdentity::Nothing),
        Just(ReplicaIdentity::Full),
        Just(ReplicaIdentity::Index),
    ];
    let column = (any::<u8>(), name(), any::<u32>(), any::<i32>()).prop_map(
        |(flags, name, type_oid, type_modifier)| RelationColumn { flags, name, type_oid, type_modifier },
    );
    (any::<u32>(), name(), name(), identity, vec(column, 0..6)).prop_map(
        |(id, namespace, name, replica_identity, columns)| Relation {
            id,
            namespace,
            name,
            replica_identity,
            columns,
        },
    )
}

fn row_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<u32>(), tuple()).prop_map(|(relation_id, tuple)| Message::Insert { relation_id, tuple }),
        (any::<u32>(), option::of((old_kind(), tuple())), tuple())
            .prop_map(|(relation_id, old, new)| Message::Update { relation_id, old, new }),
        (any::<u32>(), old_kind(), tuple()).prop_map(|(relation_id, kind, old)| Message::Delete {
            relation_id,
            kind,
            old
        }),
        (any::<u8>(), vec(any::<u32>(), 0..6)).prop_map(|(options, relation_ids)| Message::Truncate {
            options: TruncateOptions(options),
            relation_ids
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => row_message(),
        1 => (lsn(), any::<i64>(), any::<u32>()).prop_map(|(final_lsn, commit_time_micros, xid)| {
            Message::Begin { final_lsn, commit_time_micros, xid }
        }),
        1 => (lsn(), lsn(), any::<i64>()).prop_map(|(commit_lsn, end_lsn, commit_time_micros)| {
            Message::Commit { commit_lsn, end_lsn, commit_time_micros }
        }),
        1 => (lsn(), name()).prop_map(|(commit_lsn, name)| Message::Origin { commit_lsn, name }),
        1 => relation().prop_map(Message::Relation),
        1 => (any::<u32>(), name(), name())
            .prop_map(|(id, namespace, name)| Message::Type { id, namespace, name }),
        1 => (any::<bool>(), lsn(), name(), value()).prop_map(|(transactional, lsn, prefix, content)| {
            Message::Message { transactional, lsn, prefix, content }
        }),
    ]
}

/// Random bytes seldom get past the tag, so most inputs are a message with a few bytes changed.
fn hostile() -> impl Strategy<Value = Bytes> {
    let noise = vec(any::<u8>(), 0..64);
    let damaged = (message(), vec((any::<usize>(), any::<u8>()), 1..4)).prop_map(|(message, changes)| {
        let mut bytes = encoded(&message).to_vec();
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        bytes
    });
    prop_oneof![1 => noise, 3 => damaged].prop_map(Bytes::from)
}

fn server_frame() -> impl Strategy<Value = ServerFrame> {
    prop_oneof![
        (lsn(), lsn(), any::<i64>(), value()).prop_map(|(wal_start, wal_end, server_time_micros, body)| {
            ServerFrame::XLogData { wal_start, wal_end, server_time_micros, body }
        }),
        (lsn(), any::<i64>(), any::<bool>()).prop_map(|(wal_end, server_time_micros, reply_requested)| {
            ServerFrame::KeepAlive { wal_end, server_time_micros, reply_requested }
        }),
    ]
}

fn encoded(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    encode(message, &mut buffer).expect("what was decoded or generated fits the format");
    buffer.freeze()
}

proptest! {
    #[test]
    fn encoded_message_decodes_to_itself(message in message()) {
        prop_assert_eq!(decode(encoded(&message)), Ok(message));
    }

    #[test]
    fn tuple_gives_back_its_columns(columns in vec(column(), 0..8)) {
        let tuple = Tuple::new(&columns).unwrap();
        prop_assert_eq!(tuple.columns().len(), columns.len());
        prop_assert_eq!(tuple.columns().collect::<Vec<_>>(), columns);
    }

    #[test]
    fn strict_prefix_of_a_message_is_an_error(message in message()) {
        let whole = encoded(&message);
        for length in 0..whole.len() {
            let error = decode(whole.slice(..length)).unwrap_err();
            prop_assert!(matches!(error, Error::Truncated { .. }), "{length}: {error:?}");
        }
    }

    #[test]
    fn message_with_a_byte_too_many_is_an_error(message in message(), byte in any::<u8>()) {
        let whole = encoded(&message);
        let longer = Bytes::from([&whole[..], &[byte]].concat());
        prop_assert_eq!(decode(longer), Err(Error::TrailingBytes { offset: whole.len(), count: 1 }));
    }

    #[test]
    fn hostile_bytes_are_an_error_or_a_message_that_can_be_sent_again(bytes in hostile()) {
        if let Ok(message) = decode(bytes.clone()) {
            if let Message::Insert { tuple, .. } = &message {
                prop_assert_eq!(tuple.columns().count(), tuple.len());
            }
            prop_assert_eq!(decode(encoded(&message)), Ok(message));
        }
        drop(ServerFrame::decode(bytes.clone()));
        drop(StandbyStatus::decode(bytes));
    }

    #[test]
    fn server_frame_decodes_to_itself_and_a_cut_header_is_an_error(frame in server_frame()) {
        let mut buffer = BytesMut::new();
        frame.encode(&mut buffer);
        let whole = buffer.freeze();
        let header = match &frame {
            ServerFrame::XLogData { body, .. } => whole.len() - body.len(),
            ServerFrame::KeepAlive { .. } => whole.len(),
        };
        for length in 0..header {
            prop_assert!(ServerFrame::decode(whole.slice(..length)).is_err());
        }
        prop_assert_eq!(ServerFrame::decode(whole), Ok(frame));
    }

    #[test]
    fn standby_status_decodes_to_itself(
        written in lsn(), flushed in lsn(), applied in lsn(),
        client_time_micros in any::<i64>(), reply_requested in any::<bool>(),
    ) {
        let status = StandbyStatus { written, flushed, applied, client_time_micros, reply_requested };
        let mut buffer = BytesMut::new();
        status.encode(&mut buffer);
        let whole = buffer.freeze();
        prop_assert_eq!(whole.len(), StandbyStatus::BYTES);
        for length in 0..whole.len() {
            prop_assert!(StandbyStatus::decode(whole.slice(..length)).is_err());
        }
        prop_assert_eq!(StandbyStatus::decode(whole), Ok(status));
    }

    #[test]
    fn lsn_reads_back_what_it_writes(lsn in lsn()) {
        prop_assert_eq!(lsn.to_string().parse(), Ok(lsn));
    }
}

#[test]
fn messages_of_a_real_server_decode_and_encode_to_the_same_bytes() {
    let mut tags = BTreeSet::new();
    for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/samples")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            let sent = Bytes::from(fs::read(&path).unwrap());
            let message = decode(sent.clone()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(encoded(&message), sent, "{}", path.display());
            tags.insert(char::from(sent[0]));
        }
    }
    // Every message of protocol version 1.
    assert_eq!(tags.into_iter().collect::<String>(), "BCDIMORTUY");
}
