//! The one description of a Kafka cluster, from which all clients are made.

use rdkafka::ClientConfig;

use crate::settings::Client;
use crate::{Error, Security, Settings};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    brokers: String,
    security: Security,
    settings: Settings,
}

impl Access {
    /// `brokers` is a list of `host:port`, with commas.
    pub fn new(brokers: impl Into<String>, security: Security, settings: Settings) -> Result<Self, Error> {
        let access = Self { brokers: brokers.into(), security, settings };
        if matches!(access.security, Security::SaslPlaintext(_)) && !is_this_machine(&access.brokers) {
            return Err(Error::Security {
                what: "SASL without TLS to brokers on other machines",
                reason: "the password could be read on the way, and anybody could answer; use sasl_ssl",
            });
        }
        Ok(access)
    }

    /// Neither encrypted nor authenticated: what tests and `lunaria dev` use on this machine.
    pub fn plaintext(brokers: impl Into<String>) -> Self {
        let (brokers, settings) = (brokers.into(), Settings::default());
        Self { brokers, security: Security::Plaintext, settings }
    }

    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Whether all brokers are named by loopback addresses.
    pub fn is_this_machine(brokers: &str) -> bool {
        is_this_machine(brokers)
    }

    /// Completes the settings of a consumer; where both name one, the configured one counts.
    pub fn consumer<'a>(&self, config: &'a mut ClientConfig) -> &'a mut ClientConfig {
        self.apply(Client::Consumer, config)
    }

    /// The settings of a client that only asks or administers.
    pub fn admin(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        self.apply(Client::Any, &mut config);
        config
    }

    fn apply<'a>(&self, client: Client, config: &'a mut ClientConfig) -> &'a mut ClientConfig {
        for (name, value) in self.settings.of(client) {
            config.set(name, value);
        }
        self.security.apply(config);
        config.set("bootstrap.servers", &self.brokers)
    }
}

fn is_this_machine(brokers: &str) -> bool {
    brokers.split(',').map(str::trim).all(|broker| {
        let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::{Access, is_this_machine};
    use crate::{ClientCertificate, Login, Mechanism, Security, Settings, Tls};

    fn login() -> Login {
        Login { mechanism: Mechanism::Plain, username: "relay".to_owned(), password: "hunter2".into() }
    }

    #[test]
    fn only_loopback_names_are_this_machine() {
        for brokers in ["127.0.0.1:9092", "localhost:9092", "[::1]:9092", "127.0.0.1:1,localhost:2"] {
            assert!(is_this_machine(brokers), "{brokers}");
        }
        for brokers in ["kafka:9092", "10.0.0.1:9092", "127.0.0.1:1,kafka:9092", "localhost.example:1", ""] {
            assert!(!is_this_machine(brokers), "{brokers}");
        }
    }

    #[test]
    fn password_in_the_clear_stays_on_this_machine() {
        let access = |brokers| Access::new(brokers, Security::SaslPlaintext(login()), Settings::default());
        assert!(access("localhost:9092").is_ok());
        assert!(access("kafka:9092").unwrap_err().to_string().contains("use sasl_ssl"));
    }

    #[test]
    fn no_secret_is_printed() {
        let client = ClientCertificate { certificate: "relay.crt".into(), key: "relay.key".into() };
        let tls = Tls { authority: None, client: Some(client) };
        let access = Access::new("kafka:1", Security::SaslTls(login(), tls), Settings::default()).unwrap();
        assert!(!format!("{access:?} {:?}", access.admin()).contains("hunter2"));
    }

    #[test]
    fn configured_setting_counts_and_the_place_to_connect_to_is_the_accesss() {
        let settings = Settings::new([("fetch.min.bytes".to_owned(), "20".to_owned())]).unwrap();
        let access = Access::new("kafka:1", Security::Plaintext, settings).unwrap();
        let mut config = rdkafka::ClientConfig::new();
        access.consumer(config.set("fetch.min.bytes", "1").set("group.id", "ours"));
        assert_eq!(config.get("fetch.min.bytes"), Some("20"));
        assert_eq!(config.get("group.id"), Some("ours"));
        assert_eq!(config.get("bootstrap.servers"), Some("kafka:1"));
        assert_eq!(access.admin().get("fetch.min.bytes"), None, "a consumer's alone");
    }
}
