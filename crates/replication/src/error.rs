//! Why a conversation with the server failed, and whether the same again may work.

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

/// SQLSTATEs after which a new attempt may succeed without anyone changing anything:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const TRANSIENT: [&str; 5] = [
    "53300", // too_many_connections: also "all walsenders are taken"
    "55006", // object_in_use: the slot's last connection is not gone yet
    "57P01", // admin_shutdown
    "57P02", // crash_shutdown
    "57P03", // cannot_connect_now
];
/// Class 08, connection exceptions.
const CONNECTION_EXCEPTION: &str = "08";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect to {address}")]
    Connect { address: String, source: io::Error },
    #[error("{what} took longer than {limit_ms} ms")]
    Timeout { what: &'static str, limit_ms: u128 },
    /// The server said no. The texts are its own.
    #[error("{severity} {sqlstate}: {message}")]
    Server {
        severity: String,
        sqlstate: String,
        message: String,
        detail: Option<String>,
        hint: Option<String>,
    },
    /// The server ended the stream or the connection, and gave no reason.
    #[error("the server closed the connection")]
    Closed,
    #[error("connection lost")]
    Io(#[from] io::Error),
    /// The connection cannot be encrypted, or one side has not proved to the other who it is.
    #[error("{what}; {remedy}")]
    Tls { what: String, remedy: &'static str },
    /// The login cannot work as configured, or the server could not prove that it knows the password.
    #[error("login failed: {0}")]
    Login(String),
    /// The peer does not speak the protocol as documented.
    #[error("protocol violation: {0}")]
    Protocol(String),
    #[error("malformed replication frame")]
    Frame(#[from] pgoutput::Error),
    #[error("{0:?} is no slot name: 1 to 63 of a-z, 0-9 and _")]
    SlotName(String),
}

impl Error {
    /// Whether to try again: the connection went away, the server restarts, or the slot is still held.
    ///
    /// Not transient: a refused login or certificate, a slot or publication that is missing, a slot that was invalidated.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Closed | Self::Io(_) => true,
            Self::Server { sqlstate, .. } => {
                TRANSIENT.contains(&sqlstate.as_str()) || sqlstate.starts_with(CONNECTION_EXCEPTION)
            }
            Self::Tls { .. } | Self::Login(_) | Self::Protocol(_) | Self::Frame(_) | Self::SlotName(_) => {
                false
            }
        }
    }

    /// The server's SQLSTATE, when it was the server that refused.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server { sqlstate, .. } => Some(sqlstate),
            _ => None,
        }
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol(what.into())
    }

    pub(crate) fn server(body: &ErrorResponseBody) -> Self {
        let (mut localized, mut severity) = (None, None);
        let (mut sqlstate, mut message, mut detail, mut hint) = (None, None, None, None);
        let mut fields = body.fields();
        // A malformed field ends the list: what was read until then still says more than "malformed".
        while let Ok(Some(field)) = fields.next() {
            let slot = match field.type_() {
                b'S' => &mut localized,
                b'V' => &mut severity,
                b'C' => &mut sqlstate,
                b'M' => &mut message,
                b'D' => &mut detail,
                b'H' => &mut hint,
                _ => continue,
            };
            // Before the login is through, the server's texts may be in any encoding.
            *slot = Some(String::from_utf8_lossy(field.value_bytes()).into_owned());
        }
        Self::Server {
            severity: severity.or(localized).unwrap_or_default(),
            sqlstate: sqlstate.unwrap_or_default(),
            message: message.unwrap_or_default(),
            detail,
            hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    fn server(sqlstate: &str) -> Error {
        let (severity, message) = ("FATAL".to_owned(), String::new());
        Error::Server { severity, sqlstate: sqlstate.to_owned(), message, detail: None, hint: None }
    }

    #[test]
    fn shutdown_and_a_held_slot_are_transient() {
        for sqlstate in ["57P01", "57P02", "57P03", "55006", "08006", "53300"] {
            assert!(server(sqlstate).is_transient(), "{sqlstate}");
        }
        assert!(Error::Closed.is_transient());
    }

    #[test]
    fn refused_login_missing_object_and_lost_slot_are_not_transient() {
        for sqlstate in ["28P01", "28000", "42704", "55000", "3D000", "42501"] {
            assert!(!server(sqlstate).is_transient(), "{sqlstate}");
        }
    }
}
