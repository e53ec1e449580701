//! Somebody who stands between client and server: ends the client's TLS and begins another towards the server.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use local_servers::Identity;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Serves one connection on the port that it gives back, with `identity` as its certificate.
pub(crate) async fn stand_in_the_middle(server: u16, identity: &Identity, roots: &Path) -> Result<u16> {
    let provider = Arc::new(default_provider());
    let chain = CertificateDer::pem_file_iter(&identity.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let acceptor = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&identity.key)?)?;
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_file(roots)?)?;
    let connector = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let (acceptor, connector) =
        (TlsAcceptor::from(Arc::new(acceptor)), TlsConnector::from(Arc::new(connector)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await?;
            tokio::spawn(pass(client, server, acceptor.clone(), connector.clone()));
        }
        anyhow::Ok(())
    });
    Ok(port)
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
) -> Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    ensure!(request == SSL_REQUEST, "no SSLRequest");
    client.write_all(b"S").await?;
    server.write_all(&SSL_REQUEST).await?;
    ensure!(server.read_u8().await? == b'S', "the server has no TLS");
    let mut client = acceptor.accept(client).await?;
    let mut server = connector.connect(ServerName::try_from("127.0.0.1")?, server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
