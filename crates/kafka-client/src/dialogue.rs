//! Requests on a connection that nobody else uses yet, one at a time: what is said before the connection is handed over.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Error;

/// No answer comes near it: the longest names all brokers of the cluster.
const FRAME_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Dialogue<'a, S> {
    socket: S,
    pub(crate) broker: &'a str,
    client_id: &'a str,
    correlation_id: i32,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Dialogue<'a, S> {
    pub(crate) fn new(socket: S, broker: &'a str, client_id: &'a str) -> Self {
        Self { socket, broker, client_id, correlation_id: 0 }
    }

    /// The body of the answer. `version` must be one from before the "flexible" ones, which have other headers.
    pub(crate) async fn call(&mut self, key: i16, version: i16, body: &[u8]) -> Result<BytesMut, Error> {
        self.correlation_id += 1;
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(self.correlation_id);
        put_string(&mut frame, self.client_id);
        frame.put_slice(body);
        let length = i32::try_from(frame.len() - 4).map_err(|_| self.malformed())?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        // Whoever hangs up on it may have said why: the read tells.
        let _ = self.send(&frame).await;
        let answer = self.receive().await.map_err(|error| Error::lost(self.broker, &error))?;
        let mut answer = answer.ok_or_else(|| self.malformed())?;
        if answer.get_i32() != self.correlation_id {
            return Err(self.malformed());
        }
        Ok(answer)
    }

    pub(crate) fn malformed(&self) -> Error {
        let reason =
            "what answers does not speak Kafka's protocol; check the port and kafka.security".to_owned();
        Error::Unreachable { brokers: self.broker.to_owned(), reason }
    }

    async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.socket.write_all(frame).await?;
        self.socket.flush().await
    }

    /// `None`: no length that an answer can have.
    async fn receive(&mut self) -> io::Result<Option<BytesMut>> {
        let length = usize::try_from(self.socket.read_u32().await?).unwrap_or(usize::MAX);
        if !(4..=FRAME_BYTES_MAX).contains(&length) {
            return Ok(None);
        }
        let mut answer = BytesMut::zeroed(length);
        self.socket.read_exact(&mut answer).await?;
        Ok(Some(answer))
    }
}

/// Of what we send: names of a mechanism and of a client, which are short.
pub(crate) fn put_string(into: &mut BytesMut, text: &str) {
    into.put_i16(i16::try_from(text.len()).unwrap_or_default());
    into.put_slice(text.as_bytes());
}

/// A string that may be null; `None` when it is cut off.
pub(crate) fn string(from: &mut BytesMut) -> Option<String> {
    let length = from.try_get_i16().ok()?;
    let length = usize::try_from(length).unwrap_or_default();
    (length <= from.len()).then(|| String::from_utf8_lossy(&from.split_to(length)).into_owned())
}

pub(crate) fn strings(from: &mut BytesMut) -> Option<Vec<String>> {
    let count = from.try_get_i32().ok()?;
    (0..count).map(|_| string(from)).collect()
}
