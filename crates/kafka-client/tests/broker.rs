//! What the tests reach the secured broker with.

use std::path::Path;

use kafka_client::{Access, ClientCertificate, Login, Mechanism, Security, Settings, Tls};
use local_servers::Identity;
use testbed::SecuredKafka;

pub(crate) async fn start() -> SecuredKafka {
    tokio::task::spawn_blocking(SecuredKafka::start).await.unwrap()
}

pub(crate) async fn stop(broker: SecuredKafka) {
    tokio::task::spawn_blocking(|| broker.stop()).await.unwrap();
}

pub(crate) fn trusting(authority: &Path) -> Tls {
    Tls { authority: Some(authority.to_owned()), client: None }
}

pub(crate) fn showing(identity: &Identity, tls: Tls) -> Tls {
    let (certificate, key) = (identity.certificate.clone(), identity.key.clone());
    Tls { client: Some(ClientCertificate { certificate, key }), ..tls }
}

pub(crate) fn login(mechanism: Mechanism) -> Login {
    let (username, password) = (SecuredKafka::USER.to_owned(), SecuredKafka::PASSWORD.into());
    Login { mechanism, username, password }
}

pub(crate) fn access(port: u16, security: Security) -> Access {
    Access::new(format!("127.0.0.1:{port}"), security, Settings::default()).unwrap()
}
