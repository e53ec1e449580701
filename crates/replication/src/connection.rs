//! A socket to the server on which messages go out and come in one after the other.

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
use crate::socket::Socket;
use crate::tls_request::{Secured, secure};

/// The answer to START_REPLICATION, which postgres-protocol does not know.
pub(crate) const COPY_BOTH_RESPONSE_TAG: u8 = b'W';

/// A connection that is made in this time leads to a server to which no small buffer is a limit.
const NEAR: Duration = Duration::from_millis(5);

pub(crate) type Outbound = Box<dyn AsyncWrite + Send + Sync + Unpin>;

pub(crate) struct Connection {
    pub(crate) inbound: Inbound,
    outbound: Outbound,
    end_point: Option<Vec<u8>>,
    is_encrypted: bool,
}

pub(crate) enum Incoming {
    Message(Message),
    CopyBoth,
}

impl Connection {
    pub(crate) async fn open(config: &Config) -> Result<Self, Error> {
        let failed = |source| Error::Connect { address: config.host.to_string(), source };
        let start = Instant::now();
        let (socket, name) = match &config.host {
            Host::Tcp { host, port } => {
                let stream = open_tcp(host, *port).await.map_err(failed)?;
                (Socket::Tcp(stream.into_std().map_err(failed)?), Some(host))
            }
            Host::Unix { directory, port } => {
                let stream = UnixStream::connect(Host::socket_path(directory, *port)).await;
                (Socket::Unix(stream.and_then(UnixStream::into_std).map_err(failed)?), None)
            }
        };
        let (reader, writer) = socket.split(start.elapsed() < NEAR);
        let (Some(host), Some(tls)) = (name, &config.tls) else {
            return Ok(Self::new(reader, writer));
        };
        let Secured { stream, end_point } = secure(reader, writer, host, tls).await?;
        let (reader, writer) = tokio::io::split(stream);
        Ok(Self { end_point, is_encrypted: true, ..Self::new(reader, writer) })
    }

    pub(crate) fn new(
        reader: impl AsyncRead + Send + Sync + Unpin + 'static,
        writer: impl AsyncWrite + Send + Sync + Unpin + 'static,
    ) -> Self {
        let (inbound, outbound) = (Inbound::new(reader), Box::new(writer));
        Self { inbound, outbound, end_point: None, is_encrypted: false }
    }

    /// What a login can be bound to; see [`crate::end_point`].
    pub(crate) fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    pub(crate) fn into_halves(self) -> (Inbound, Outbound) {
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

/// Tries each address that the name stands for, as libpq does.
async fn open_tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut failure = std::io::Error::other("the name stands for no address");
    for address in lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A status update is small and wanted at once.
        socket.set_nodelay(true)?;
        socket.set_keepalive(true)?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
