//! PEM files, and the system's roots.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Refusal;

pub(crate) fn system_roots() -> Result<RootCertStore, Refusal> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold a certificate that webpki does not take; the others still count.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Refusal::new(
            "this system trusts no certificate authority",
            "name the server's (sslrootcert, kafka.ca_file), or install ca-certificates",
        ));
    }
    Ok(roots)
}

pub(crate) fn roots_in(file: &Path) -> Result<RootCertStore, Refusal> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| {
            let what = format!("{} holds no usable root: {error}", file.display());
            Refusal::new(what, "give the authority's certificate in PEM form")
        })?;
    }
    Ok(roots)
}

pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let bad =
        |why: String| Refusal::new(format!("{}: {why}", file.display()), "give certificates in PEM form");
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
    let certificates: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

/// The library's errors are not passed on: they could quote from the file.
pub(crate) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Refusal> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| {
        let why = match error {
            Error::Io(error) => error.to_string(),
            _ => "it holds no private key, or an encrypted one".to_owned(),
        };
        let remedy = "give an unencrypted key in PEM form, readable by this user alone";
        Refusal::new(format!("{}: {why}", file.display()), remedy)
    })
}
