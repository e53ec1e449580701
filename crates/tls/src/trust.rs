//! What is asked of the server's certificate, and what is shown of our own.

use std::path::PathBuf;

/// How a connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub verify: Verify,
    /// Ours, when the server asks for one.
    pub client: Option<ClientCertificate>,
}

/// What the server's certificate has to show, in libpq's words (`sslmode`). The files are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// `verify-full`: signed by one of `roots`, or of the system's when there are none, for the host that we asked for.
    Full { roots: Option<PathBuf> },
    /// `verify-ca`: signed by one of `roots`, for any host. Only as good as the authority is choosy, so the system's
    /// roots, which sign for everybody, are not on offer.
    Authority { roots: PathBuf },
}

/// Paths of PEM files: the chain, our certificate first, and its unencrypted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}
