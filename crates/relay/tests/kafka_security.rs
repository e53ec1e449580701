//! A relay whose ways are all encrypted and logged in to: Postgres by a certificate and SCRAM, Kafka by SCRAM over TLS.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use event_store::RELAY_ROLE;
use kafka_client::{Access, Login, Mechanism, Security, Settings, Tls, TopicNames};
use local_servers::{CertificateAuthority, PostgresCluster, PostgresOptions, PostgresTls};
use rdkafka::consumer::{BaseConsumer, Consumer};
use relay::{Config, KafkaConfig, OpenKafka};
use replication::{ClientCertificate, Verify};
use testbed::{SecuredKafka, patience};
use tokio_util::sync::CancellationToken;

use crate::source::{Relay, Source};

fn access(kafka: &SecuredKafka, password: &str) -> Access {
    let (username, password) = (SecuredKafka::USER.to_owned(), password.into());
    let login = Login { mechanism: Mechanism::ScramSha256, username, password };
    let tls = Tls { authority: Some(kafka.authority.certificate().to_owned()), client: None };
    let brokers = format!("127.0.0.1:{}", kafka.doors.sasl);
    Access::new(brokers, Security::SaslTls(login, tls), Settings::default()).unwrap()
}

fn sink(access: Access) -> OpenKafka {
    let (prefix, service) = ("secured.".to_owned(), "core".to_owned());
    OpenKafka { config: KafkaConfig::new(access, TopicNames::by_category(prefix), service) }
}

/// Lets the relay's role in with a certificate over TLS, and not otherwise.
fn postgres(directory: &Path, authority: &CertificateAuthority) -> PostgresCluster {
    let access = [
        format!("hostssl all {RELAY_ROLE} all scram-sha-256 clientcert=verify-ca"),
        format!("host all {RELAY_ROLE} all reject"),
        "host all all all scram-sha-256".to_owned(),
    ];
    let server = authority.server("server", &["127.0.0.1"]).unwrap();
    let client_authority = authority.certificate().to_owned();
    let tls = PostgresTls { server, client_authority, access: access.into() };
    let settings = tls.settings(&directory.join("tls")).unwrap();
    let options = PostgresOptions { directory: directory.join("postgres"), port: None, settings };
    PostgresCluster::start(options).unwrap()
}

fn encrypted(config: Config, authority: &CertificateAuthority) -> Config {
    let ours = authority.client("relay").unwrap();
    let tls = replication::Tls {
        verify: Verify::Full { roots: Some(authority.certificate().to_owned()) },
        client: Some(ClientCertificate { certificate: ours.certificate, key: ours.key }),
    };
    let replication = replication::Config { tls: Some(tls), ..config.replication };
    Config { replication, ..config }
}

/// Why the relay does not get as far as its slot.
async fn failure(relay: Relay) -> String {
    let mut reports = relay.status.subscribe();
    let failed = tokio::time::timeout(patience(), reports.wait_for(|report| report.error.is_some())).await;
    let error = failed.expect("a failure is reported").unwrap().error.clone();
    relay.stop().await;
    error.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_from_an_encrypted_log_to_an_encrypted_topic_and_a_wrong_password_is_named() {
    let directory = tempfile::Builder::new()
        .prefix("lunaria-relay-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in("/tmp")
        .unwrap();
    let authority = CertificateAuthority::create(&directory.path().join("certificates"), "ours").unwrap();
    let cluster = tokio::task::block_in_place(|| postgres(directory.path(), &authority));
    let kafka = tokio::task::block_in_place(SecuredKafka::start);
    let source = Source::on(&cluster).await;
    let right = access(&kafka, SecuredKafka::PASSWORD);

    let plain = relay::run(source.config(), sink(right.clone()), CancellationToken::new()).await;
    let error = plain.unwrap_err().to_string();
    assert!(error.contains("no encryption") && error.contains("sslmode=verify-full"), "{error}");
    let config = encrypted(source.config(), &authority);
    let error = failure(Relay::start(config.clone(), sink(access(&kafka, "wrong")))).await;
    assert!(error.contains("Authentication failed") && error.contains("kafka.password"), "{error}");

    let relay = Relay::start(config, sink(right.clone()));
    relay.until_relaying().await;
    source.append("note-1", 1).await;
    source.until_confirmed(source.wal_end().await).await;
    let reader: BaseConsumer = right.admin().create().unwrap();
    let (low, high) = reader.fetch_watermarks("secured.core.note", 0, patience()).unwrap();
    assert_eq!(high - low, 1);

    relay.stop().await;
    source.close().await;
    tokio::task::block_in_place(|| {
        kafka.stop();
        cluster.stop().unwrap();
    });
}
