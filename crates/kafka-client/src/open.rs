//! A connection to one broker without librdkafka: for a client that speaks Kafka's protocol itself.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tls::{Failure, Refusal, Verify, refusal_in};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::dialogue::Dialogue;
use crate::sasl::log_in;
use crate::{Access, Error, Security};

const METADATA: i16 = 3;
const METADATA_VERSION: i16 = 1;
/// An empty list, which in this version is about no topic.
const NO_TOPICS: [u8; 4] = [0; 4];

/// Bytes both ways, encrypted and logged in as configured.
pub trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for S {}

/// A connection on which the broker has answered.
pub struct Opened {
    pub socket: Box<dyn Socket>,
    /// How long the login lasts, when it ends: the broker hangs up on whoever sends a request later.
    pub lasts: Option<Duration>,
}

impl Access {
    /// Connects to `broker` (`host:port`), shakes hands, logs in and asks a question that everybody may ask: a broker that
    /// wants something else than what is configured says so here, or hangs up. It has no limit of its own: wrap it in a
    /// time-out.
    pub async fn open(&self, broker: &str, client_id: &str) -> Result<Opened, Error> {
        let socket = TcpStream::connect(broker).await.map_err(|error| Error::lost(broker, &error))?;
        socket.set_nodelay(true).map_err(|error| Error::lost(broker, &error))?;
        let (tls, login) = match self.security() {
            Security::Plaintext => (None, None),
            Security::Tls(tls) => (Some(tls), None),
            Security::SaslTls(login, tls) => (Some(tls), Some(login)),
            Security::SaslPlaintext(login) => (None, Some(login)),
        };
        let mut socket: Box<dyn Socket> = match tls {
            None => Box::new(socket),
            Some(tls) => Box::new(tls.secure(socket, broker).await?),
        };
        let mut dialogue = Dialogue::new(&mut socket, broker, client_id);
        let lasts = match login {
            Some(login) => log_in(&mut dialogue, login).await?,
            None => None,
        };
        dialogue.call(METADATA, METADATA_VERSION, &NO_TOPICS).await?;
        Ok(Opened { socket, lasts })
    }
}

impl crate::Tls {
    async fn secure(&self, socket: TcpStream, broker: &str) -> Result<tls::TlsStream<TcpStream>, Error> {
        let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let client = self.client.as_ref().map(|client| tls::ClientCertificate {
            certificate: client.certificate.clone(),
            key: client.key.clone(),
        });
        let wanted = tls::Tls { verify: Verify::Full { roots: self.authority.clone() }, client };
        tls::connect(socket, host, &wanted).await.map_err(|failure| match failure {
            Failure::Refused(refusal) => refused(broker, refusal),
            Failure::Io(error) => Error::lost(broker, &error),
        })
    }
}

impl Error {
    /// Of a read or a write on a new socket; in TLS 1.3 the refusal of our certificate comes with the first read.
    pub(crate) fn lost(broker: &str, error: &io::Error) -> Self {
        if let Some(refusal) = refusal_in(error) {
            return refused(broker, refusal);
        }
        let reason = match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "the broker hangs up; does this listener want another kafka.security?".to_owned()
            }
            _ => error.to_string(),
        };
        Self::Unreachable { brokers: broker.to_owned(), reason }
    }
}

fn refused(broker: &str, Refusal { what, remedy }: Refusal) -> Error {
    Error::Refused { brokers: broker.to_owned(), reason: what, remedy }
}
