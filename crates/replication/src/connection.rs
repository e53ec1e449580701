//! A socket to the server on which messages go out and come in one after the other.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres_protocol::message::backend::{
    Message, NOTICE_RESPONSE_TAG, NOTIFICATION_RESPONSE_TAG, PARAMETER_STATUS_TAG,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};

use crate::config::{Config, Host};
use crate::error::Error;
use crate::inbound::Inbound;
use crate::rhythm::BUFFER_BYTES;
use crate::socket::{Pace, Socket};
use crate::tls_request::{Secured, secure};

/// The answer to START_REPLICATION, which postgres-protocol does not know.
pub(crate) const COPY_BOTH_RESPONSE_TAG: u8 = b'W';

/// To a server at this distance the rhythm's buffer is no limit: 100 MB pass in a second.
const NEAR: Duration = Duration::from_millis(2);

pub(crate) type Outbound = Box<dyn AsyncWrite + Send + Sync + Unpin>;

pub(crate) struct Connection {
    pub(crate) inbound: Inbound,
    outbound: Outbound,
    end_point: Option<Vec<u8>>,
    is_encrypted: bool,
    pace: Pace,
}

pub(crate) enum Incoming {
    Message(Message),
    CopyBoth,
}

impl Connection {
    pub(crate) async fn open(config: &Config) -> Result<Self, Error> {
        let failed = |source| Error::Connect { address: config.host.to_string(), source };
        let (socket, name, is_limited) = match &config.host {
            Host::Tcp { host, port } => {
                let (stream, is_limited) = open_tcp(host, *port).await.map_err(failed)?;
                (Socket::Tcp(stream.into_std().map_err(failed)?), Some(host), is_limited)
            }
            Host::Unix { directory, port } => {
                let stream = UnixStream::connect(Host::socket_path(directory, *port)).await;
                // Its buffer is the sender's.
                (Socket::Unix(stream.and_then(UnixStream::into_std).map_err(failed)?), None, false)
            }
        };
        let pace = Pace::default();
        let (reader, writer) = socket.split(pace.clone(), is_limited);
        let (Some(host), Some(tls)) = (name, &config.tls) else {
            return Ok(Self { pace, ..Self::new(reader, writer) });
        };
        let Secured { stream, end_point } = secure(reader, writer, host, tls).await?;
        let (reader, writer) = tokio::io::split(stream);
        Ok(Self { pace, end_point, is_encrypted: true, ..Self::new(reader, writer) })
    }

    pub(crate) fn new(
        reader: impl AsyncRead + Send + Sync + Unpin + 'static,
        writer: impl AsyncWrite + Send + Sync + Unpin + 'static,
    ) -> Self {
        let (inbound, outbound) = (Inbound::new(reader), Box::new(writer));
        Self { inbound, outbound, pace: Pace::default(), end_point: None, is_encrypted: false }
    }

    /// What a login can be bound to; see [`crate::end_point`].
    pub(crate) fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// For a stream, which is read in a rhythm.
    pub(crate) fn into_halves(self) -> (Inbound, Outbound) {
        self.pace.keep();
        (self.inbound, self.outbound)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.outbound.write_all(bytes).await?;
        Ok(self.outbound.flush().await?)
    }

    /// The next message that answers something; an ErrorResponse is an `Err`.
    pub(crate) async fn receive(&mut self) -> Result<Incoming, Error> {
        loop {
            let Some((tag, mut bytes)) = self.inbound.next()? else {
                self.inbound.fill().await?;
                continue;
            };
            match tag {
                COPY_BOTH_RESPONSE_TAG => return Ok(Incoming::CopyBoth),
                _ if is_aside(tag) => {}
                _ => return Ok(Incoming::Message(parse(&mut bytes)?)),
            }
        }
    }
}

/// Whether a message may come at any time and answers nothing.
pub(crate) fn is_aside(tag: u8) -> bool {
    matches!(tag, NOTICE_RESPONSE_TAG | NOTIFICATION_RESPONSE_TAG | PARAMETER_STATUS_TAG)
}

/// Parses one whole message; an ErrorResponse is an `Err`.
pub(crate) fn parse(bytes: &mut BytesMut) -> Result<Message, Error> {
    match Message::parse(bytes) {
        Ok(Some(Message::ErrorResponse(body))) => Err(Error::server(&body)),
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(Error::protocol("a message shorter than its own length")),
        Err(error) => Err(Error::protocol(error.to_string())),
    }
}

/// Tries each address that the name stands for, as libpq does. Says whether the buffer is of the rhythm's size.
///
/// An older kernel takes that size only from a socket that is not connected yet, and how near the server is shows only when
/// one is: so the first connection asks, and a near server gets a second.
async fn open_tcp(host: &str, port: u16) -> io::Result<(TcpStream, bool)> {
    let mut failure = io::Error::other("the name stands for no address");
    for address in lookup_host((host, port)).await? {
        let start = Instant::now();
        match connect(address, None).await {
            Ok(_) if start.elapsed() < NEAR => {
                return Ok((connect(address, Some(BUFFER_BYTES)).await?, true));
            }
            Ok(stream) => return Ok((stream, false)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn connect(address: SocketAddr, buffer_bytes: Option<u32>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A status update is small and wanted at once.
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    if let Some(bytes) = buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(address).await
}
