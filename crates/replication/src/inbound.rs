//! The read half: bytes from the server, cut into whole messages without copying them.

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::backend::{COPY_DATA_TAG, Header};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::Error;

/// One read takes what the socket has, up to about this much.
const READ_BYTES: usize = 256 * 1024;
/// With less room than this left, a read would be a small one: make room first.
const ROOM_BYTES_MIN: usize = 64 * 1024;
/// An empty buffer that a large message has grown beyond this is given back.
const KEEP_BYTES_MAX: usize = 4 * READ_BYTES;
/// Postgres builds no message beyond `MaxAllocSize`, 1 GiB - 1.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// Tag and length.
pub(crate) const HEADER_BYTES: usize = 5;

pub(crate) struct Inbound {
    socket: Box<dyn AsyncRead + Send + Sync + Unpin>,
    buffer: BytesMut,
}

impl Inbound {
    pub(crate) fn new(socket: impl AsyncRead + Send + Sync + Unpin + 'static) -> Self {
        Self { socket: Box::new(socket), buffer: BytesMut::new() }
    }

    /// Reads once; an end of the connection is [`Error::Closed`]. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        self.make_room();
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(Error::Closed),
            _ => Ok(()),
        }
    }

    /// The tag of the next message and all of its bytes, if it has arrived whole.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, BytesMut)>, Error> {
        Ok(complete(&self.buffer)?.map(|(tag, length)| (tag, self.buffer.split_to(length))))
    }

    /// The payloads of all CopyData messages that stand whole at the front of the buffer.
    ///
    /// They are slices of one allocation. What is malformed stays in the buffer for [`Inbound::next`].
    pub(crate) fn copy_data(&mut self) -> CopyData {
        let mut end = 0;
        while let Ok(Some((COPY_DATA_TAG, length))) = complete(&self.buffer[end..]) {
            end += length;
        }
        CopyData { run: self.buffer.split_to(end).freeze() }
    }

    fn make_room(&mut self) {
        if self.buffer.capacity() - self.buffer.len() >= ROOM_BYTES_MIN {
            return;
        }
        // Doubling keeps the copies linear while a large message comes in; its announced length is not
        // trusted with an allocation.
        self.buffer.reserve(READ_BYTES.max(self.buffer.len()));
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP_BYTES_MAX {
            self.buffer = BytesMut::with_capacity(READ_BYTES);
        }
    }
}

/// Payloads of consecutive CopyData messages.
pub(crate) struct CopyData {
    run: Bytes,
}

impl Iterator for CopyData {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (_, length) = complete(&self.run).ok()??;
        Some(self.run.split_to(length).slice(HEADER_BYTES..))
    }
}

/// Tag and full length of the message at the front of `bytes`, if it is there to its end.
fn complete(bytes: &[u8]) -> Result<Option<(u8, usize)>, Error> {
    let Some(header) = Header::parse(bytes).map_err(|error| Error::protocol(error.to_string()))? else {
        return Ok(None);
    };
    let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(Error::protocol(format!("a message of {length} bytes")));
    }
    // The length counts itself, but not the tag.
    Ok((bytes.len() > length).then_some((header.tag(), length + 1)))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};
    use proptest::prop_assert_eq;
    use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, duplex};

    use super::{HEADER_BYTES, Inbound};
    use crate::error::Error;

    #[tokio::test]
    async fn copy_data_stops_at_the_first_message_that_is_another_or_not_whole() {
        let (mut server, client) = duplex(1024);
        let mut inbound = Inbound::new(client);
        server.write_all(b"d\0\0\0\x05Ad\0\0\0\x06BCd\0\0\0\x05").await.unwrap();
        inbound.fill().await.unwrap();

        assert_eq!(inbound.copy_data().collect::<Vec<_>>(), ["A", "BC"]);
        assert!(inbound.next().unwrap().is_none());

        server.write_all(b"Dc\0\0\0\x04d\0\0\0\x05E").await.unwrap();
        inbound.fill().await.unwrap();
        assert_eq!(inbound.copy_data().collect::<Vec<_>>(), ["D"]);
        assert!(matches!(inbound.next(), Ok(Some((b'c', _)))));
        assert_eq!(inbound.copy_data().collect::<Vec<_>>(), ["E"]);
    }

    #[tokio::test]
    async fn message_larger_than_one_read_arrives_whole() {
        let (mut server, client) = duplex(64 * 1024);
        let mut inbound = Inbound::new(client);
        let payload = vec![7_u8; 3 * super::READ_BYTES];
        let length = u32::try_from(payload.len() + 4).unwrap();
        let sent = payload.clone();
        let writer = tokio::spawn(async move {
            server.write_all(b"d").await.unwrap();
            server.write_u32(length).await.unwrap();
            server.write_all(&sent).await.unwrap();
        });

        let received = loop {
            inbound.fill().await.unwrap();
            if let Some(received) = inbound.copy_data().next() {
                break received;
            }
        };

        assert!(received == payload);
        writer.await.unwrap();
        assert!(matches!(inbound.fill().await, Err(Error::Closed)));
    }

    #[tokio::test]
    async fn impossible_lengths_are_errors() {
        for length in [[0, 0, 0, 3], [0xff; 4], [0x40, 0, 0, 1]] {
            let (mut server, client) = duplex(64);
            let mut inbound = Inbound::new(client);
            server.write_all(&[&b"d"[..], &length].concat()).await.unwrap();
            inbound.fill().await.unwrap();
            assert_eq!(inbound.copy_data().count(), 0);
            assert!(matches!(inbound.next(), Err(Error::Protocol(_))), "{length:?}");
        }
    }

    /// A connection that gives at most so many bytes at a time, in turn.
    struct Pieces {
        bytes: VecDeque<u8>,
        sizes: Vec<usize>,
        turn: usize,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let size = self.sizes[self.turn % self.sizes.len()].min(self.bytes.len()).min(buffer.remaining());
            self.turn += 1;
            let piece: Vec<u8> = self.bytes.drain(..size).collect();
            buffer.put_slice(&piece);
            Poll::Ready(Ok(()))
        }
    }

    /// All messages, tag and payload, and how the connection ended.
    fn read_all(bytes: &[u8], sizes: Vec<usize>) -> (Vec<(u8, Vec<u8>)>, String) {
        let mut inbound = Inbound::new(Pieces { bytes: bytes.iter().copied().collect(), sizes, turn: 0 });
        let mut messages = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let end = runtime.block_on(async {
            loop {
                messages.extend(inbound.copy_data().map(|payload| (b'd', payload.to_vec())));
                match inbound.next() {
                    Ok(Some((tag, message))) => messages.push((tag, message[HEADER_BYTES..].to_vec())),
                    Ok(None) => {
                        if let Err(error) = inbound.fill().await {
                            break error;
                        }
                    }
                    Err(error) => break error,
                }
            }
        });
        (messages, end.to_string())
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let tag = prop_oneof![4 => proptest::strategy::Just(b'd'), 1 => any::<u8>()];
        (tag, vec(any::<u8>(), 0..64)).prop_map(|(tag, payload)| {
            let length = u32::try_from(payload.len() + 4).unwrap();
            [&[tag][..], &length.to_be_bytes(), &payload].concat()
        })
    }

    proptest! {
        #[test]
        fn where_reads_end_changes_nothing(
            messages in vec(message(), 0..20),
            rest in vec(any::<u8>(), 0..16),
            sizes in vec(1_usize..80, 1..12),
        ) {
            let bytes = [messages.concat(), rest].concat();
            let whole = read_all(&bytes, vec![bytes.len().max(1)]);
            prop_assert_eq!(&whole, &read_all(&bytes, sizes));
            for (sent, (tag, payload)) in messages.iter().zip(&whole.0) {
                prop_assert_eq!((sent[0], &sent[HEADER_BYTES..]), (*tag, &payload[..]));
            }
            assert!(whole.0.len() >= messages.len());
        }
    }
}
