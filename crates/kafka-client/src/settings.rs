//! librdkafka settings that a user may add: those known to be harmless, and no other.
//!
//! <https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md>

use crate::Error;

/// Which clients a setting is for: librdkafka warns of a consumer's at any other. None of them is a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Any,
    Consumer,
}

/// What is passed on as it is. Canonical names only: of two names for one setting the last would win by accident.
const PASSED: [(&str, Client); 29] = [
    ("broker.address.family", Client::Any),
    ("broker.address.ttl", Client::Any),
    ("client.dns.lookup", Client::Any),
    ("client.rack", Client::Any),
    ("connections.max.idle.ms", Client::Any),
    ("debug", Client::Any),
    ("enable.metrics.push", Client::Any),
    ("log_level", Client::Any),
    ("message.max.bytes", Client::Any),
    ("metadata.max.age.ms", Client::Any),
    ("metadata.recovery.rebootstrap.trigger.ms", Client::Any),
    ("metadata.recovery.strategy", Client::Any),
    ("receive.message.max.bytes", Client::Any),
    ("reconnect.backoff.max.ms", Client::Any),
    ("reconnect.backoff.ms", Client::Any),
    ("retry.backoff.max.ms", Client::Any),
    ("retry.backoff.ms", Client::Any),
    ("socket.connection.setup.timeout.ms", Client::Any),
    ("socket.keepalive.enable", Client::Any),
    ("socket.nagle.disable", Client::Any),
    ("socket.receive.buffer.bytes", Client::Any),
    ("socket.send.buffer.bytes", Client::Any),
    ("socket.timeout.ms", Client::Any),
    ("topic.metadata.refresh.interval.ms", Client::Any),
    ("fetch.min.bytes", Client::Consumer),
    ("fetch.wait.max.ms", Client::Consumer),
    ("heartbeat.interval.ms", Client::Consumer),
    ("max.poll.interval.ms", Client::Consumer),
    ("session.timeout.ms", Client::Consumer),
];

/// The values that a guarded setting may have.
enum Allowed {
    /// What the platform sets itself, so it is not passed on.
    Only(&'static [&'static str]),
    Nothing,
}
use Allowed::{Nothing, Only};

const ONE_BROKER: &str =
    "a record that only one broker has is lost with it; the relay confirms what all have (acks=all)";
const REORDERED: &str = "without the idempotent producer a retry can duplicate a record or change the order";
const IN_FLIGHT: &str =
    "the relay has 5 requests under way, which is what keeps the order; nothing else is on offer";
const EXPIRED: &str = "a record that expires here could be overtaken by the next of its stream";
const PARTITION: &str =
    "murmur2_random puts a key where Java clients look for it; another loses the order of streams";
const UNREPORTED: &str = "the slot is confirmed by the reports of success";
const TRANSACTION: &str = "the relay's order and restart do not rest on Kafka's transactions";
const AUTO_TOPIC: &str = "a topic that a broker makes by itself has its own number of partitions";
const AUTO_COMMIT: &str = "an offset could be committed before its event was handled";
const SKIPPED: &str = "a new group would begin at the end and skip the events that are there";
const UNCOMMITTED: &str = "it would handle records that their producer took back";
const GROUP: &str = "a handler's group follows from its name; the process's is kafka.instance";
const UNPROVED: &str = "whoever can read the line could also answer on it";
const OWN_PRODUCER: &str = "the relay's producer is its own, and sends what waits as soon as it may";
const OWN_TLS: &str = "the relay's connections do not go through librdkafka, and would not follow it";
const OWN_PLACE: &str = "it has a setting of its own in [kafka]";
const FOREIGN_CODE: &str = "it loads code into this process";

const GUARDED: [(&str, Allowed, &str); 62] = [
    ("acks", Only(&["all", "-1"]), ONE_BROKER),
    ("request.required.acks", Only(&["all", "-1"]), ONE_BROKER),
    ("enable.idempotence", Only(&["true"]), REORDERED),
    ("max.in.flight", Only(&["5"]), IN_FLIGHT),
    ("max.in.flight.requests.per.connection", Only(&["5"]), IN_FLIGHT),
    ("message.timeout.ms", Only(&["0"]), EXPIRED),
    ("delivery.timeout.ms", Only(&["0"]), EXPIRED),
    ("retries", Nothing, EXPIRED),
    ("message.send.max.retries", Nothing, EXPIRED),
    ("partitioner", Only(&["murmur2_random"]), PARTITION),
    ("queuing.strategy", Only(&["fifo"]), REORDERED),
    ("delivery.report.only.error", Only(&["false"]), UNREPORTED),
    ("transactional.id", Nothing, TRANSACTION),
    ("allow.auto.create.topics", Only(&["false"]), AUTO_TOPIC),
    ("enable.auto.commit", Only(&["false"]), AUTO_COMMIT),
    ("auto.commit.enable", Only(&["false"]), AUTO_COMMIT),
    ("auto.commit.interval.ms", Nothing, AUTO_COMMIT),
    ("enable.auto.offset.store", Nothing, AUTO_COMMIT),
    ("auto.offset.reset", Only(&["earliest", "smallest", "beginning"]), SKIPPED),
    ("isolation.level", Only(&["read_committed"]), UNCOMMITTED),
    ("group.id", Nothing, GROUP),
    ("group.instance.id", Nothing, GROUP),
    ("enable.ssl.certificate.verification", Only(&["true"]), UNPROVED),
    ("ssl.endpoint.identification.algorithm", Only(&["https"]), UNPROVED),
    ("enable.sasl.oauthbearer.unsecure.jwt", Nothing, UNPROVED),
    ("bootstrap.servers", Nothing, OWN_PLACE),
    ("metadata.broker.list", Nothing, OWN_PLACE),
    ("client.id", Nothing, OWN_PLACE),
    ("security.protocol", Nothing, OWN_PLACE),
    ("sasl.mechanism", Nothing, OWN_PLACE),
    ("sasl.mechanisms", Nothing, OWN_PLACE),
    ("sasl.username", Nothing, OWN_PLACE),
    ("sasl.password", Nothing, OWN_PLACE),
    ("ssl.ca.location", Nothing, OWN_PLACE),
    ("ssl.ca.pem", Nothing, OWN_PLACE),
    ("ssl.certificate.location", Nothing, OWN_PLACE),
    ("ssl.certificate.pem", Nothing, OWN_PLACE),
    ("ssl.key.location", Nothing, OWN_PLACE),
    ("ssl.key.password", Nothing, OWN_PLACE),
    ("ssl.key.pem", Nothing, OWN_PLACE),
    ("ssl.keystore.location", Nothing, OWN_PLACE),
    ("ssl.keystore.password", Nothing, OWN_PLACE),
    ("batch.num.messages", Nothing, OWN_PRODUCER),
    ("batch.size", Nothing, OWN_PRODUCER),
    ("compression.level", Nothing, OWN_PRODUCER),
    ("compression.type", Nothing, OWN_PRODUCER),
    ("linger.ms", Nothing, OWN_PRODUCER),
    ("queue.buffering.max.kbytes", Nothing, OWN_PRODUCER),
    ("queue.buffering.max.messages", Nothing, OWN_PRODUCER),
    ("compression.codec", Nothing, OWN_PRODUCER),
    ("queue.buffering.max.ms", Nothing, OWN_PRODUCER),
    ("ssl.cipher.suites", Nothing, OWN_TLS),
    ("ssl.crl.location", Nothing, OWN_TLS),
    ("ssl.curves.list", Nothing, OWN_TLS),
    ("ssl.sigalgs.list", Nothing, OWN_TLS),
    ("max.partition.fetch.bytes", Nothing, "the batches of a handler bound what it holds"),
    ("fetch.message.max.bytes", Nothing, "the batches of a handler bound what it holds"),
    ("enable.partition.eof", Nothing, "the end of a partition would end the consumer"),
    ("plugin.library.paths", Nothing, FOREIGN_CODE),
    ("ssl.engine.location", Nothing, FOREIGN_CODE),
    ("ssl.providers", Nothing, FOREIGN_CODE),
    ("sasl.kerberos.kinit.cmd", Nothing, FOREIGN_CODE),
];

/// Checked settings, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<(String, String, Client)>);

impl Settings {
    /// Refuses what endangers delivery, what has a place of its own, and what is not known.
    pub fn new(settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut passed = Vec::new();
        for (name, value) in settings {
            if let Some((_, client)) = PASSED.iter().find(|(known, _)| *known == name) {
                passed.push((name, value, *client));
            } else {
                guard(&name, value.trim())?;
            }
        }
        passed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        Ok(Self(passed))
    }

    pub(crate) fn of(&self, client: Client) -> impl Iterator<Item = (&str, &str)> {
        let is_for =
            move |setting: &&(String, String, Client)| setting.2 == Client::Any || setting.2 == client;
        self.0.iter().filter(is_for).map(|(name, value, _)| (name.as_str(), value.as_str()))
    }
}

/// The value is not repeated in the error: it may be a secret.
fn guard(name: &str, value: &str) -> Result<(), Error> {
    let refused = |reason: &str| Error::Setting { name: name.to_owned(), reason: reason.to_owned() };
    let Some((_, allowed, reason)) = GUARDED.iter().find(|(known, ..)| *known == name) else {
        return Err(refused(
            "it is not among those that are known to be harmless to the order and the delivery of events",
        ));
    };
    match allowed {
        Only(values) if values.contains(&value.to_ascii_lowercase().as_str()) => Ok(()),
        _ => Err(refused(reason)),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::BaseConsumer;

    use super::{Client, GUARDED, PASSED, Settings};

    fn check(name: &str, value: &str) -> Result<Settings, String> {
        Settings::new([(name.to_owned(), value.to_owned())]).map_err(|error| error.to_string())
    }

    #[test]
    fn what_endangers_delivery_is_refused_with_the_reason() {
        for (name, value, reason) in [
            ("acks", "1", "lost"),
            ("acks", "0", "lost"),
            ("request.required.acks", "1", "lost"),
            ("enable.idempotence", "false", "retry"),
            ("max.in.flight", "6", "keeps the order"),
            ("max.in.flight.requests.per.connection", "1000000", "keeps the order"),
            ("max.in.flight.requests.per.connection", "0", "keeps the order"),
            ("message.timeout.ms", "300000", "expires"),
            ("delivery.timeout.ms", "1", "expires"),
            ("retries", "3", "expires"),
            ("linger.ms", "5", "its own"),
            ("ssl.crl.location", "/crl.pem", "would not follow"),
            ("partitioner", "consistent_random", "murmur2_random"),
            ("partitioner", "murmur2", "murmur2_random"),
            ("queuing.strategy", "lifo", "order"),
            ("delivery.report.only.error", "true", "reports"),
            ("transactional.id", "relay", "transactions"),
            ("allow.auto.create.topics", "true", "partitions"),
            ("enable.auto.commit", "true", "before its event was handled"),
            ("auto.offset.reset", "latest", "skip"),
            ("auto.offset.reset", "error", "skip"),
            ("isolation.level", "read_uncommitted", "took back"),
            ("group.id", "mine", "kafka.instance"),
            ("enable.ssl.certificate.verification", "false", "answer"),
            ("ssl.endpoint.identification.algorithm", "none", "answer"),
            ("security.protocol", "ssl", "of its own"),
            ("sasl.password", "hunter2", "of its own"),
            ("plugin.library.paths", "/tmp/x.so", "code"),
            ("transaction.timeout.ms", "1", "not among those"),
            ("Acks", "1", "not among those"),
            ("no.such.setting", "1", "not among those"),
        ] {
            let error = check(name, value).expect_err(name);
            assert!(
                error.contains(&format!("setting {name} is refused")) && error.contains(reason),
                "{error}"
            );
            assert!(!error.contains("hunter2"));
        }
    }

    #[test]
    fn what_the_platform_sets_itself_may_be_said_again() {
        for (name, value) in [
            ("acks", "all"),
            ("acks", "-1"),
            ("enable.idempotence", "True"),
            ("max.in.flight", "5"),
            ("message.timeout.ms", "0"),
            ("partitioner", "murmur2_random"),
            ("enable.auto.commit", "false"),
            ("ssl.endpoint.identification.algorithm", "https"),
        ] {
            assert_eq!(check(name, value), Ok(Settings::default()), "{name}={value}");
        }
    }

    /// A name that librdkafka does not know would end the process at its first client, or guard nothing.
    #[test]
    fn names_are_librdkafkas_and_each_stands_in_one_list() {
        let is_known = |name: &str| {
            let refused = ClientConfig::new().set(name, "no such value").create_native_config().err();
            !refused.is_some_and(|error| error.to_string().contains("No such configuration property"))
        };
        assert!(!is_known("no.such.setting"));
        for name in PASSED.iter().map(|(name, _)| name).chain(GUARDED.iter().map(|(name, ..)| name)) {
            assert!(is_known(name), "{name}");
            let count = PASSED.iter().filter(|(other, _)| other == name).count()
                + GUARDED.iter().filter(|(other, ..)| other == name).count();
            assert_eq!(count, 1, "{name}");
        }
    }

    #[test]
    fn passed_settings_reach_the_clients_that_they_are_for() {
        let all = [("socket.keepalive.enable", "true"), ("fetch.min.bytes", "2")];
        let settings = Settings::new(all.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        let names = |client| settings.of(client).map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(Client::Any), ["socket.keepalive.enable"]);
        assert_eq!(names(Client::Consumer), ["fetch.min.bytes", "socket.keepalive.enable"]);
        let config = |client| {
            let mut config = ClientConfig::new();
            settings.of(client).for_each(|(name, value)| {
                config.set(name, value);
            });
            config
        };
        config(Client::Any).create::<BaseConsumer>().unwrap();
        config(Client::Consumer).create::<BaseConsumer>().unwrap();
    }
}
