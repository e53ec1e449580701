//! What a failed handshake or a refused certificate means, and what to do about it.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// One side has not proved to the other who it is, or cannot. Trying again is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Refusal {
    pub what: String,
    pub remedy: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection was lost; the next attempt may go better.
    #[error("connection lost during the TLS handshake")]
    Io(#[from] io::Error),
}

const OUR_CERTIFICATE: &str = "give the certificate and key that this login needs (sslcert and sslkey; \
    kafka.certificate_file and kafka.key_file)";
const ANOTHER_CERTIFICATE: &str = "give one that an authority of the server's vouches for (Postgres: ssl_ca_file), and that has not expired";
const RENEW: &str = "renew it on the server";
const WRONG_NAME: &str = "connect by a name that the certificate holds, or give the server one for this name";
const UNKNOWN_AUTHORITY: &str = "name the file with the server's authority (sslrootcert, kafka.ca_file); if that is the \
    right one, somebody else answers";

impl Refusal {
    pub(crate) fn new(what: impl Into<String>, remedy: &'static str) -> Self {
        Self { what: what.into(), remedy }
    }
}

/// What a read or a write on an encrypted connection failed with, if it was a refusal: in TLS 1.3 a server refuses our
/// certificate only after the handshake is through for us.
pub fn refusal_in(error: &io::Error) -> Option<Refusal> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(refused(*alert)),
        _ => None,
    }
}

pub(crate) fn explain(error: io::Error, host: &str) -> Failure {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Failure::Io(error);
    };
    let refusal = match tls {
        rustls::Error::InvalidCertificate(certificate) => not_proved(certificate, host),
        rustls::Error::AlertReceived(alert) => refused(*alert),
        rustls::Error::InvalidMessage(_) => {
            Refusal::new(format!("what answers on {host} does not speak TLS"), "check host and port")
        }
        other => Refusal::new(format!("no TLS with {host}: {other}"), "compare what both sides allow"),
    };
    Failure::Refused(refusal)
}

fn not_proved(certificate: &CertificateError, host: &str) -> Refusal {
    match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Refusal::new(format!("the certificate of {host} has expired"), RENEW)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Refusal::new(
            format!("the certificate of {host} is not valid yet"),
            "compare the clocks of both machines",
        ),
        // Bad signature: an authority of the same name, but with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Refusal::new(
            format!("the certificate of {host} is not signed by an authority that is trusted here"),
            UNKNOWN_AUTHORITY,
        ),
        CertificateError::NotValidForName => wrong_name(host, "other names"),
        CertificateError::NotValidForNameContext { presented, .. } => wrong_name(host, &presented.join(", ")),
        CertificateError::Revoked => Refusal::new(format!("the certificate of {host} was revoked"), RENEW),
        other => Refusal::new(format!("the certificate of {host} is not accepted: {other}"), RENEW),
    }
}

fn wrong_name(host: &str, presented: &str) -> Refusal {
    Refusal::new(format!("the certificate is for {presented}, not for {host}"), WRONG_NAME)
}

/// The server has looked at our certificate, or at that there is none.
fn refused(alert: AlertDescription) -> Refusal {
    match alert {
        AlertDescription::CertificateRequired => {
            Refusal::new("the server wants a client certificate", OUR_CERTIFICATE)
        }
        // What older servers say, with a certificate and without.
        AlertDescription::BadCertificate | AlertDescription::HandshakeFailure => Refusal::new(
            format!("the server refuses the client certificate, or misses one ({alert:?})"),
            OUR_CERTIFICATE,
        ),
        AlertDescription::UnknownCA
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => Refusal::new(
            format!("the server refuses the client certificate ({alert:?})"),
            ANOTHER_CERTIFICATE,
        ),
        other => Refusal::new(format!("the server ends the connection ({other:?})"), "see the server's log"),
    }
}
