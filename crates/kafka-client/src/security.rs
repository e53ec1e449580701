//! What the brokers and we prove to each other.

use std::path::PathBuf;

use rdkafka::ClientConfig;

use crate::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Anybody can read it and answer in a broker's place: for this machine, or a network that nobody else is in.
    Plaintext,
    Tls(Tls),
    SaslTls(Login, Tls),
    /// A login without TLS, for brokers on this machine only: the password could be read on the way.
    SaslPlaintext(Login),
}

/// The broker's certificate is always verified, its name included. All files are PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authority that signs the brokers' certificates; `None`: those of the system.
    pub authority: Option<PathBuf>,
    /// Ours, when the brokers ask for one.
    pub client: Option<ClientCertificate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    pub certificate: PathBuf,
    /// Not encrypted; the file's mode is what protects it.
    pub key: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub mechanism: Mechanism,
    pub username: String,
    pub password: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The broker learns the password.
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Security {
    pub(crate) fn apply(&self, config: &mut ClientConfig) {
        let protocol = match self {
            Self::Plaintext => "plaintext",
            Self::Tls(_) => "ssl",
            Self::SaslTls(..) => "sasl_ssl",
            Self::SaslPlaintext(_) => "sasl_plaintext",
        };
        config.set("security.protocol", protocol);
        if let Self::Tls(tls) | Self::SaslTls(_, tls) = self {
            tls.apply(config);
        }
        if let Self::SaslTls(login, _) | Self::SaslPlaintext(login) = self {
            config
                .set("sasl.mechanisms", login.mechanism.as_str())
                .set("sasl.username", &login.username)
                .set("sasl.password", login.password.expose());
        }
    }
}

impl Tls {
    fn apply(&self, config: &mut ClientConfig) {
        // librdkafka's defaults, which must not change with a version of it.
        config.set("enable.ssl.certificate.verification", "true");
        config.set("ssl.endpoint.identification.algorithm", "https");
        if let Some(authority) = &self.authority {
            config.set("ssl.ca.location", authority.to_string_lossy());
        }
        let Some(ClientCertificate { certificate, key }) = &self.client else { return };
        config
            .set("ssl.certificate.location", certificate.to_string_lossy())
            .set("ssl.key.location", key.to_string_lossy());
    }
}

impl Mechanism {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
