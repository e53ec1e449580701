//! From a plain connection to an encrypted one, and what a refusal means.
//!
//! ```text
//! SSLRequest ──► N  refused: nothing is sent in the clear
//!            ──► S  handshake: chain, dates, name ──► startup message, inside
//! ```

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tls::{Failure, Refusal, Tls, TlsStream, refusal_in};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, Join, join};

use crate::end_point;
use crate::error::Error;
use crate::rhythm::QUOTA_BYTES;
use crate::socket::{SocketReader, SocketWriter};

/// invalid_authorization_specification: pg_hba.conf does not let us in this way.
const NOT_THIS_WAY: &str = "28000";

/// TLS reads some kilobytes at a time, and the socket's rhythm is one of large reads: they go through this buffer.
const BUFFER_BYTES: usize = 2 * QUOTA_BYTES;

/// A socket beneath TLS.
pub(crate) type Line = Join<BufReader<SocketReader>, SocketWriter>;

/// An encrypted connection to a server that has proved who it is.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<Line>,
    /// The data of the channel binding `tls-server-end-point`, if the certificate has a hash for it.
    pub(crate) end_point: Option<Vec<u8>>,
}

/// Asks for TLS on a new connection and shakes hands.
pub(crate) async fn secure(
    mut reader: SocketReader,
    mut writer: SocketWriter,
    host: &str,
    tls: &Tls,
) -> Result<Secured, Error> {
    request(&mut reader, &mut writer).await?;
    let line = join(BufReader::with_capacity(BUFFER_BYTES, reader), writer);
    let stream = tls::connect(line, host, tls).await.map_err(|failure| match failure {
        Failure::Refused(refusal) => Error::from(refusal),
        Failure::Io(error) => closed(error),
    })?;
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let end_point = certificate.and_then(|certificate| end_point::hash(certificate));
    Ok(Secured { stream, end_point })
}

/// One byte is read and no more: what a stranger put behind it would otherwise count as said inside the encryption
/// (CVE-2021-23222).
async fn request(reader: &mut SocketReader, writer: &mut SocketWriter) -> Result<(), Error> {
    let mut out = BytesMut::new();
    frontend::ssl_request(&mut out);
    writer.write_all(&out).await?;
    match reader.read_u8().await.map_err(closed)? {
        b'S' => Ok(()),
        b'N' => Err(Error::Tls {
            what: "the server does not offer TLS".to_owned(),
            remedy: "set `ssl = on` with a certificate in postgresql.conf; nothing was sent in the clear",
        }),
        // An ErrorResponse, from a server that cannot start a session. Nobody vouches for its text (CVE-2024-10977).
        b'E' => Err(Error::Io(io::Error::other("the server refused the connection before TLS began"))),
        other => Err(Error::protocol(format!("{other:#04x} in answer to SSLRequest"))),
    }
}

fn closed(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Closed,
        _ => Error::Io(error),
    }
}

/// An error of the login: pg_hba.conf refuses in words that do not say what to do here.
pub(crate) fn explain_login(error: Error, is_encrypted: bool) -> Error {
    match error {
        Error::Io(error) => refusal_in(&error).map_or(Error::Io(error), Error::from),
        Error::Server { sqlstate, message, .. }
            if sqlstate == NOT_THIS_WAY && message.contains("client certificate") =>
        {
            Error::Tls {
                what: message,
                remedy: "give this role's certificate and key with sslcert and sslkey",
            }
        }
        Error::Server { sqlstate, message, .. }
            if sqlstate == NOT_THIS_WAY && !is_encrypted && message.contains("no encryption") =>
        {
            let remedy = "if the server takes encrypted connections only, use sslmode=verify-full";
            Error::Tls { what: message, remedy }
        }
        error => error,
    }
}

impl From<Refusal> for Error {
    fn from(Refusal { what, remedy }: Refusal) -> Self {
        Self::Tls { what, remedy }
    }
}
