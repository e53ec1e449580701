//! The handshake.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use crate::any_name::AnyName;
use crate::files::{certificates, private_key, roots_in, system_roots};
use crate::refusal::{Failure, Refusal, explain};
use crate::{Tls, Verify};

/// Shakes hands on a new connection; `host` is the name or address that it was opened to.
pub async fn connect<S>(stream: S, host: &str, tls: &Tls) -> Result<TlsStream<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        let what = format!("{host:?} is no host name that a certificate can be for");
        Refusal::new(what, "connect by name or address")
    })?;
    let wanted = tls.clone();
    let config = tokio::task::spawn_blocking(move || client_config(&wanted)).await;
    let config = config.map_err(io::Error::other)??;
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    shaken.map_err(|error| explain(error, host))
}

fn client_config(tls: &Tls) -> Result<ClientConfig, Refusal> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Refusal::new(error.to_string(), "report this"))?;
    let builder = match &tls.verify {
        Verify::Full { roots } => {
            let roots: RootCertStore = roots.as_deref().map_or_else(system_roots, roots_in)?;
            builder.with_root_certificates(roots)
        }
        Verify::Authority { roots } => {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots_in(roots)?), provider);
            let verifier = verifier.build().map_err(|error| {
                let what = format!("{}: {error}", roots.display());
                Refusal::new(what, "give the authority's certificate in PEM form")
            })?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName::new(verifier)))
        }
    };
    let Some(client) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let (chain, key) = (certificates(&client.certificate)?, private_key(&client.key)?);
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        let (certificate, key) = (client.certificate.display(), client.key.display());
        Refusal::new(
            format!("{certificate} and {key} are no pair: {error}"),
            "give the certificate's own key",
        )
    })
}
