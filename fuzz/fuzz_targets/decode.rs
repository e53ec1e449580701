//! Whatever arrives from the server: no panic, and what decodes is encoded and decoded again to the same. `make fuzz`.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use pgoutput::{Message, ServerFrame, StandbyStatus, Tuple, decode, encode};

fuzz_target!(|input: &[u8]| {
    let input = Bytes::copy_from_slice(input);
    message(input.clone());
    frame(input.clone());
    status(input);
});

fn message(input: Bytes) {
    let Ok(message) = decode(input) else { return };
    tuples(&message);
    let mut buffer = BytesMut::new();
    encode(&message, &mut buffer).expect("what was decoded fits the format");
    assert_eq!(decode(buffer.freeze()), Ok(message));
}

/// A tuple is checked when it is decoded and cut when it is read: both have to agree.
fn tuples(message: &Message) {
    let tuples: [Option<&Tuple>; 2] = match message {
        Message::Insert { tuple, .. } => [Some(tuple), None],
        Message::Update { old, new, .. } => [old.as_ref().map(|(_, old)| old), Some(new)],
        Message::Delete { old, .. } => [Some(old), None],
        _ => [None, None],
    };
    for tuple in tuples.into_iter().flatten() {
        let columns: Vec<_> = tuple.columns().collect();
        assert_eq!(columns.len(), tuple.len());
        assert_eq!(Tuple::new(&columns).as_ref(), Ok(tuple));
    }
}

fn frame(input: Bytes) {
    let Ok(frame) = ServerFrame::decode(input) else { return };
    if let ServerFrame::XLogData { body, .. } = &frame {
        message(body.clone());
    }
    let mut buffer = BytesMut::new();
    frame.encode(&mut buffer);
    assert_eq!(ServerFrame::decode(buffer.freeze()), Ok(frame));
}

fn status(input: Bytes) {
    let Ok(status) = StandbyStatus::decode(input) else { return };
    let mut buffer = BytesMut::new();
    status.encode(&mut buffer);
    assert_eq!(StandbyStatus::decode(buffer.freeze()), Ok(status));
}
