//! One connection to one broker: frames out, frames in.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::dial::{Dialed, Socket};
use crate::{Config, Error};

const READ_BYTES: usize = 16 * 1024;
/// No answer to what we ask comes near it.
const FRAME_BYTES_MAX: usize = 64 << 20;

pub(crate) struct Connection {
    broker: String,
    socket: Box<dyn Socket>,
    client_id: StrBytes,
    correlation_id: i32,
    inbound: BytesMut,
    spent_at: Option<Instant>,
}

/// What kind of request, in which version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
}

impl Connection {
    /// `broker` is `host:port`.
    pub(crate) async fn open(broker: &str, config: &Config) -> Result<Self, Error> {
        let (limit, dialed_at) = (config.request_timeout, Instant::now());
        let dialed = timeout(limit, config.dial.dial(broker)).await;
        let dialed = dialed.map_err(|_| Error::TimedOut { broker: broker.to_owned(), limit })?;
        let failed = |reason| Error::Connect { broker: broker.to_owned(), reason };
        let Dialed { socket, lasts } = dialed.map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            broker: broker.to_owned(),
            socket,
            client_id: StrBytes::from_string(config.client_id.clone()),
            correlation_id: 0,
            inbound: BytesMut::new(),
            spent_at: lasts.map(|lasts| dialed_at + lasts / 5 * 4),
        })
    }

    /// Whether its login may end before a request that is sent now is read. With a fifth left, the broker has read even
    /// the last of those under way, unless it stands still for minutes.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent_at.is_some_and(|spent_at| Instant::now() >= spent_at)
    }

    /// Sends a request and waits for its answer; nothing else may be under way.
    pub(crate) async fn call<A: Decodable>(
        &mut self,
        api: Api,
        request: &impl Encodable,
        config: &Config,
    ) -> Result<A, Error> {
        let limit = config.request_timeout;
        let answered = timeout(limit, async {
            self.send(api, request).await?;
            self.receive().await
        });
        let frame = answered.await.map_err(|_| Error::TimedOut { broker: self.broker.clone(), limit })??;
        self.decode(api, frame)
    }

    pub(crate) async fn send(&mut self, api: Api, request: &impl Encodable) -> Result<i32, Error> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(api.key as i16)
            .with_request_api_version(api.version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let written = header
            .encode(&mut frame, api.key.request_header_version(api.version))
            .and_then(|()| request.encode(&mut frame, api.version));
        written.map_err(|error| self.unreadable(&error))?;
        let length = i32::try_from(frame.len() - 4).map_err(|error| self.unreadable(&error))?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.socket.write_all(&frame).await.map_err(|error| self.closed(&error))?;
        self.socket.flush().await.map_err(|error| self.closed(&error))?;
        Ok(self.correlation_id)
    }

    /// The next frame, without its length. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> Result<Bytes, Error> {
        loop {
            if let Some(frame) = self.whole_frame()? {
                return Ok(frame);
            }
            self.inbound.reserve(READ_BYTES);
            let read = self.socket.read_buf(&mut self.inbound).await;
            if read.map_err(|error| self.closed(&error))? == 0 {
                return Err(self.closed(&"end of stream"));
            }
        }
    }

    /// The body of an answer, after its header.
    pub(crate) fn decode<A: Decodable>(&self, api: Api, mut frame: Bytes) -> Result<A, Error> {
        let header = api.key.response_header_version(api.version);
        kafka_protocol::messages::ResponseHeader::decode(&mut frame, header)
            .and_then(|_| A::decode(&mut frame, api.version))
            .map_err(|error| self.unreadable(&error))
    }

    fn whole_frame(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(length) = self.inbound.first_chunk::<4>().map(|length| i32::from_be_bytes(*length)) else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(self.unreadable(&format!("a frame of {length} bytes")));
        }
        if self.inbound.len() < 4 + length {
            return Ok(None);
        }
        self.inbound.advance(4);
        Ok(Some(self.inbound.split_to(length).freeze()))
    }

    fn closed(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Closed { broker: self.broker.clone(), reason: reason.to_string() }
    }

    pub(crate) fn unreadable(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Protocol { broker: self.broker.clone(), reason: reason.to_string() }
    }
}

/// The correlation id at the front of every answer.
pub(crate) fn correlation_id(frame: &Bytes) -> Option<i32> {
    frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id))
}
