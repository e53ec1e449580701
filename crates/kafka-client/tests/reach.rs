//! Claims about who is let in, who is not, and that the reason is told.

use std::time::{Duration, Instant};

use kafka_client::{Access, CHECK_LIMIT, Error, Login, Mechanism, Security, Settings, Tls};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use testbed::SecuredKafka;

use crate::broker::{access, login, showing, start, stop, trusting};

/// Long enough for a loaded machine; a success or a refusal comes in milliseconds.
const LIMIT: Duration = Duration::from_secs(30);
const TOPIC: &str = "reach";

async fn refused(access: &Access, words: &[&str]) {
    for outcome in [access.check_within(LIMIT).await, answers(access).await] {
        match outcome {
            Err(error @ Error::Refused { .. }) => {
                let text = error.to_string();
                words.iter().for_each(|word| assert!(text.contains(word), "{word}: {text}"));
            }
            outcome => panic!("{words:?}: {outcome:?}"),
        }
    }
}

/// The same without librdkafka.
async fn answers(access: &Access) -> Result<(), Error> {
    let opened = tokio::time::timeout(LIMIT, access.open(access.brokers(), "reach"));
    opened.await.expect("an answer in time").map(drop)
}

/// Writes a record by one client and reads it by another, both made from the access.
fn is_written_and_read(access: &Access, value: &str) {
    let producer: BaseProducer = access.admin().set("acks", "all").create().unwrap();
    producer.send(BaseRecord::to(TOPIC).key("stream").payload(value)).unwrap();
    producer.flush(LIMIT).unwrap();
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer = access.consumer(config.set("group.id", "reach")).create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let give_up = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < give_up, "{value} was not read");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        if message.unwrap().payload() == Some(value.as_bytes()) {
            return;
        }
    }
}

fn ours(broker: &SecuredKafka) -> Tls {
    trusting(broker.authority.certificate())
}

async fn make_topic(access: &Access) {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    use rdkafka::client::DefaultClientContext;
    let admin: AdminClient<DefaultClientContext> = access.admin().create().unwrap();
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    let made = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_door_lets_in_who_has_its_key() {
    let broker = start().await;
    let doors = broker.doors;
    let showing_ours = showing(&broker.authority.client("relay").unwrap(), ours(&broker));
    make_topic(&access(doors.tls, Security::Tls(ours(&broker)))).await;
    for (name, access) in [
        ("tls", access(doors.tls, Security::Tls(ours(&broker)))),
        ("mutual", access(doors.mutual_tls, Security::Tls(showing_ours))),
        ("plain", access(doors.sasl, Security::SaslTls(login(Mechanism::Plain), ours(&broker)))),
        ("scram256", access(doors.sasl, Security::SaslTls(login(Mechanism::ScramSha256), ours(&broker)))),
        ("scram512", access(doors.sasl, Security::SaslTls(login(Mechanism::ScramSha512), ours(&broker)))),
    ] {
        access.check_within(LIMIT).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        answers(&access).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        tokio::task::block_in_place(|| is_written_and_read(&access, name));
    }
    stop(broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_let_in_is_told_why_at_once() {
    let broker = start().await;
    let doors = broker.doors;
    let began = Instant::now();

    let strange = trusting(broker.stranger.certificate());
    refused(&access(doors.tls, Security::Tls(strange)), &["kafka.ca_file"]).await;
    let wrong_name = format!("localhost:{}", doors.tls);
    let wrong_name = Access::new(wrong_name, Security::Tls(ours(&broker)), Settings::default()).unwrap();
    refused(&wrong_name, &["certificate"]).await;

    refused(&access(doors.mutual_tls, Security::Tls(ours(&broker))), &["kafka.certificate_file"]).await;
    let strange = showing(&broker.stranger.client("relay").unwrap(), ours(&broker));
    refused(&access(doors.mutual_tls, Security::Tls(strange)), &["certificate"]).await;

    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        for (username, password) in [("relay", "wrong"), ("nobody", "open-sesame")] {
            let login = Login { mechanism, username: username.to_owned(), password: password.into() };
            let access = access(doors.sasl, Security::SaslTls(login, ours(&broker)));
            refused(&access, &["Authentication failed", "kafka.password"]).await;
        }
    }
    assert!(began.elapsed() < LIMIT, "a refusal is not waited for");
    stop(broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_protocol_and_silence_are_told_apart_from_a_refusal() {
    let broker = start().await;
    let plain = access(broker.doors.tls, Security::Plaintext);
    let error = plain.check_within(Duration::from_secs(2)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("kafka.security")),
        "{error}"
    );

    let login = || login(Mechanism::Plain);
    let doors = broker.doors;
    let (tls, sasl) = (doors.tls, doors.sasl);
    for (port, security) in [
        (tls, Security::Plaintext),
        (tls, Security::SaslPlaintext(login())),
        (broker.plain_port(), Security::Tls(ours(&broker))),
        (broker.plain_port(), Security::SaslTls(login(), ours(&broker))),
        (sasl, Security::Tls(ours(&broker))),
        (tls, Security::SaslTls(login(), ours(&broker))),
        (broker.plain_port(), Security::SaslPlaintext(login())),
    ] {
        let error = answers(&access(port, security.clone())).await.unwrap_err();
        assert!(error.to_string().contains("kafka.security"), "{security:?}: {error}");
    }

    let port = local_servers::free_port().unwrap();
    let error = access(port, Security::Plaintext).check_within(Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { reason, .. } if reason.contains("refused")), "{error}");

    let missing = trusting("/no/such/file".as_ref());
    let error = access(broker.doors.tls, Security::Tls(missing)).check_within(CHECK_LIMIT).await.unwrap_err();
    assert!(matches!(&error, Error::Client(_)) && error.to_string().contains("ssl.ca.location"), "{error}");
    stop(broker).await;
}
