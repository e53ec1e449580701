//! The producer through TLS, client certificates and logins, and what it says when it is not let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kafka_client::{Access, ClientCertificate, Login, Mechanism, Opened, Security, Settings, Tls};
use kafka_producer::{Compression, Config, Dial, Dialed, Error, Headers, Producer};
use local_servers::{CertificateAuthority, Identity};
use testbed::{SecuredKafka, eventually};

use crate::acknowledged::{Acknowledged, config, create_at, try_open};
use crate::consumer::records_at;

const TOPIC: &str = "secured";
/// A fifth of it is the time that a request may take to be read.
const LOGIN_LASTS: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct DialAccess {
    access: Access,
    dials: AtomicUsize,
    /// Keeps to itself that the login ends.
    forgets: bool,
}

#[async_trait]
impl Dial for DialAccess {
    async fn dial(&self, broker: &str) -> Result<Dialed, Box<dyn std::error::Error + Send + Sync>> {
        let Opened { socket, lasts } =
            self.access.open(broker, "test").await.map_err(|error| error.cause())?;
        self.dials.fetch_add(1, Ordering::Relaxed);
        Ok(Dialed { socket: Box::new(socket), lasts: lasts.filter(|_| !self.forgets) })
    }
}

fn dial(host: &str, port: u16, security: Security) -> DialAccess {
    let access = Access::new(format!("{host}:{port}"), security, Settings::default()).unwrap();
    DialAccess { access, dials: AtomicUsize::new(0), forgets: false }
}

async fn open(dial: &Arc<DialAccess>) -> Result<(Producer, Arc<Acknowledged>), Error> {
    let bootstrap = dial.access.brokers().to_owned();
    try_open(Config { bootstrap, dial: Arc::clone(dial) as _, ..config(Compression::Lz4) }).await
}

async fn start(login_lasts: Option<Duration>) -> SecuredKafka {
    let kafka = tokio::task::spawn_blocking(move || SecuredKafka::start_with(login_lasts)).await.unwrap();
    create_at(&plain(&kafka), TOPIC, 1).await;
    kafka
}

async fn stop(kafka: SecuredKafka) {
    tokio::task::spawn_blocking(|| kafka.stop()).await.unwrap();
}

fn plain(kafka: &SecuredKafka) -> String {
    format!("127.0.0.1:{}", kafka.plain_port())
}

fn trusting(authority: &CertificateAuthority) -> Tls {
    Tls { authority: Some(authority.certificate().to_owned()), client: None }
}

fn showing(tls: Tls, Identity { certificate, key, .. }: Identity) -> Tls {
    Tls { client: Some(ClientCertificate { certificate, key }), ..tls }
}

fn login(mechanism: Mechanism, password: &str) -> Login {
    Login { mechanism, username: SecuredKafka::USER.to_owned(), password: password.into() }
}

async fn values(kafka: &SecuredKafka, count: usize) -> Vec<String> {
    let records = records_at(&plain(kafka), TOPIC, count).await;
    records.into_iter().map(|record| String::from_utf8(record.value).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_arrive_through_each_door() {
    let kafka = start(None).await;
    let (doors, tls) = (kafka.doors, || trusting(&kafka.authority));
    let with = |mechanism| Security::SaslTls(login(mechanism, SecuredKafka::PASSWORD), tls());
    let ours = kafka.authority.client("relay").unwrap();
    for (name, port, security) in [
        ("plain", kafka.plain_port(), Security::Plaintext),
        ("tls", doors.tls, Security::Tls(tls())),
        ("mutual", doors.mutual_tls, Security::Tls(showing(tls(), ours))),
        ("login", doors.sasl, with(Mechanism::Plain)),
        ("scram256", doors.sasl, with(Mechanism::ScramSha256)),
        ("scram512", doors.sasl, with(Mechanism::ScramSha512)),
    ] {
        let dial = Arc::new(dial("127.0.0.1", port, security));
        let (mut producer, acknowledged) =
            open(&dial).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let topic = producer.topic(TOPIC).await.unwrap();
        producer.append(topic, b"key", name.as_bytes(), &Headers::default(), 1);
        producer.flush();
        acknowledged.until(1, 1).await;
    }
    assert_eq!(values(&kafka, 6).await, ["plain", "tls", "mutual", "login", "scram256", "scram512"]);
    stop(kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_let_in_is_told_why() {
    let kafka = start(None).await;
    let (doors, tls) = (kafka.doors, || trusting(&kafka.authority));
    let strange = kafka.stranger.client("relay").unwrap();
    let right = || login(Mechanism::Plain, SecuredKafka::PASSWORD);
    let mut refusals = vec![
        ("127.0.0.1", doors.tls, Security::Tls(trusting(&kafka.stranger)), "kafka.ca_file"),
        ("localhost", doors.tls, Security::Tls(tls()), "not for localhost"),
        ("127.0.0.1", doors.mutual_tls, Security::Tls(tls()), "kafka.certificate_file"),
        ("127.0.0.1", doors.mutual_tls, Security::Tls(showing(tls(), strange)), "client certificate"),
        ("127.0.0.1", doors.tls, Security::Plaintext, "kafka.security"),
        ("127.0.0.1", doors.sasl, Security::Plaintext, "kafka.security"),
        ("127.0.0.1", doors.sasl, Security::Tls(tls()), "kafka.security"),
        ("127.0.0.1", doors.tls, Security::SaslTls(right(), tls()), "kafka.security"),
        ("127.0.0.1", kafka.plain_port(), Security::Tls(tls()), "kafka.security"),
        ("127.0.0.1", kafka.plain_port(), Security::SaslTls(right(), tls()), "kafka.security"),
    ];
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let wrong = Security::SaslTls(login(mechanism, "wrong"), tls());
        refusals.push(("127.0.0.1", doors.sasl, wrong, "kafka.password"));
    }
    for (host, port, security, words) in refusals {
        let shown = format!("{security:?}");
        match open(&Arc::new(dial(host, port, security))).await {
            Err(Error::Connect { reason, .. }) => assert!(reason.contains(words), "{shown}: {reason}"),
            Err(error) => panic!("{shown}: {error}"),
            Ok(_) => panic!("{shown} was let in"),
        }
    }
    stop(kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_that_ends_is_renewed_and_no_record_is_lost_doubled_or_overtaken() {
    let kafka = start(Some(LOGIN_LASTS)).await;
    let login = login(Mechanism::ScramSha512, SecuredKafka::PASSWORD);
    let security = Security::SaslTls(login, trusting(&kafka.authority));
    let dial = Arc::new(dial("127.0.0.1", kafka.doors.sasl, security));
    let (mut producer, acknowledged) = open(&dial).await.unwrap();
    let topic = producer.topic(TOPIC).await.unwrap();
    let dialed = dial.dials.load(Ordering::Relaxed);
    let (sent, padding) = (AtomicUsize::new(0), "x".repeat(1024));
    // One connection to send, and its successor.
    eventually("the login is renewed", async || {
        // Enough for several requests under way.
        for _ in 0..300 {
            let value = format!("{} {padding}", sent.fetch_add(1, Ordering::Relaxed));
            producer.append(topic, b"key", value.as_bytes(), &Headers::default(), 1);
        }
        producer.flush();
        producer.room().await;
        (dial.dials.load(Ordering::Relaxed) >= dialed + 2).then_some(())
    })
    .await;
    let sent = sent.into_inner();
    acknowledged.until(1, u32::try_from(sent).unwrap()).await;

    let values = values(&kafka, sent).await;
    let numbers = values.iter().map(|value| value.split(' ').next().unwrap().parse::<usize>().unwrap());
    assert!(numbers.eq(0..sent), "{} of {sent}", values.len());
    stop(kafka).await;
}

/// What the renewal is for.
#[tokio::test(flavor = "multi_thread")]
async fn login_that_is_not_renewed_ends_the_producer() {
    let kafka = start(Some(LOGIN_LASTS)).await;
    let login = login(Mechanism::ScramSha512, SecuredKafka::PASSWORD);
    let security = Security::SaslTls(login, trusting(&kafka.authority));
    let dial = dial("127.0.0.1", kafka.doors.sasl, security);
    let (mut producer, acknowledged) = open(&Arc::new(DialAccess { forgets: true, ..dial })).await.unwrap();
    let topic = producer.topic(TOPIC).await.unwrap();
    let error = eventually("the broker hangs up", async || {
        producer.append(topic, b"key", b"value", &Headers::default(), 1);
        producer.flush();
        acknowledged.failure()
    });
    let error = error.await;
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    stop(kafka).await;
}
