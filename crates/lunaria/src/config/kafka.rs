//! The section `[kafka]`: where it is, how it is reached, what further settings its clients get.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use kafka_client::{Access, ClientCertificate, Login, Mechanism, Security, Settings, Tls, TopicNames};
use relay::TopicSettings;
use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kafka {
    pub brokers: String,
    pub security: String,
    pub mechanism: String,
    pub username: String,
    pub password: String,
    pub ca_file: String,
    pub certificate_file: String,
    pub key_file: String,
    /// librdkafka's names, which hold dots: `fetch.min.bytes = 5` is a table to TOML.
    pub client: BTreeMap<String, Value>,
    pub prefix: String,
    /// A template: `{service}`, `{category}`.
    pub topic: String,
    pub headers: Headers,
    pub compression: Compression,
    pub instance: String,
    pub partitions: i32,
    pub replication: i32,
    pub topics: Vec<Topic>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Headers {
    CloudEvents,
    Debezium,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    None,
    Lz4,
}

/// What is different for some topics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topic {
    pub name: String,
    pub partitions: Option<i32>,
    pub replication: Option<i32>,
    #[serde(default)]
    pub settings: BTreeMap<String, Value>,
}

impl Kafka {
    /// What all clients are made from; an error names the setting to mend.
    pub(crate) fn access(&self) -> anyhow::Result<Access> {
        let mut settings = Vec::new();
        for (name, value) in &self.client {
            flatten(name, value, &mut settings);
        }
        let settings = Settings::new(settings).context("kafka.client")?;
        Access::new(&self.brokers, self.security()?, settings).context("kafka.security")
    }

    pub(crate) fn names(&self) -> anyhow::Result<TopicNames> {
        TopicNames::new(&self.prefix, &self.topic).map_err(anyhow::Error::msg).context("kafka.topic")
    }

    pub(crate) fn topics(&self) -> Vec<TopicSettings> {
        let topic = |topic: &Topic| {
            let mut settings = Vec::new();
            for (name, value) in &topic.settings {
                flatten(name, value, &mut settings);
            }
            TopicSettings {
                name: topic.name.clone(),
                partitions: topic.partitions,
                replication: topic.replication,
                settings: settings.into_iter().collect(),
            }
        };
        self.topics.iter().map(topic).collect()
    }

    fn security(&self) -> anyhow::Result<Security> {
        let security = match self.security.as_str() {
            "" => {
                ensure!(
                    Access::is_this_machine(&self.brokers),
                    "kafka.security is empty and kafka.brokers is on another machine: set ssl or sasl_ssl, or plaintext \
                     where the network itself is trusted"
                );
                Security::Plaintext
            }
            "plaintext" => Security::Plaintext,
            "ssl" => Security::Tls(self.tls()?),
            "sasl_ssl" => Security::SaslTls(self.login()?, self.tls()?),
            "sasl_plaintext" => Security::SaslPlaintext(self.login()?),
            other => {
                bail!("kafka.security is `{other}`; there are plaintext, ssl, sasl_ssl and sasl_plaintext")
            }
        };
        let has_tls = matches!(security, Security::Tls(_) | Security::SaslTls(..));
        let has_login = matches!(security, Security::SaslTls(..) | Security::SaslPlaintext(_));
        // A certificate or a password that is given and not used: whoever gave it believes that it protects something.
        for (key, value, is_used) in [
            ("ca_file", &self.ca_file, has_tls),
            ("certificate_file", &self.certificate_file, has_tls),
            ("username", &self.username, has_login),
            ("password", &self.password, has_login),
        ] {
            ensure!(
                is_used || value.is_empty(),
                "kafka.{key} is of no use with kafka.security = `{}`",
                self.security
            );
        }
        Ok(security)
    }

    fn tls(&self) -> anyhow::Result<Tls> {
        let file = |path: &String| (!path.is_empty()).then(|| PathBuf::from(path));
        let client = match (file(&self.certificate_file), file(&self.key_file)) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) => None,
            _ => bail!("kafka.certificate_file and kafka.key_file belong together"),
        };
        Ok(Tls { authority: file(&self.ca_file), client })
    }

    fn login(&self) -> anyhow::Result<Login> {
        let mechanism = match self.mechanism.as_str() {
            "PLAIN" => Mechanism::Plain,
            "SCRAM-SHA-256" => Mechanism::ScramSha256,
            "SCRAM-SHA-512" => Mechanism::ScramSha512,
            other => bail!("kafka.mechanism is `{other}`; there are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512"),
        };
        ensure!(
            !self.username.is_empty() && !self.password.is_empty(),
            "kafka.security = `{}` needs kafka.username and kafka.password",
            self.security
        );
        Ok(Login { mechanism, username: self.username.clone(), password: self.password.as_str().into() })
    }
}

fn flatten(name: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(table) => {
            for (inner, value) in table {
                flatten(&format!("{name}.{inner}"), value, into);
            }
        }
        Value::String(text) => into.push((name.to_owned(), text.clone())),
        other => into.push((name.to_owned(), other.to_string())),
    }
}

impl Debug for Kafka {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Kafka");
        shown.field("brokers", &self.brokers).field("security", &self.security).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn load(settings: &[&str]) -> Result<Config, String> {
        let mut all = vec!["transport=kafka".to_owned()];
        all.extend(settings.iter().map(|setting| format!("kafka.{setting}")));
        Config::load(None, &all).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn connections_are_made_as_configured() {
        let tls = ["security=ssl", "brokers=kafka:9093", "ca_file=/ca.pem"];
        let sasl =
            [&tls[1..], &["security=sasl_ssl", "mechanism=SCRAM-SHA-512", "username=a", "password=0042"]];
        for (settings, wanted) in [
            (vec![], vec![("security.protocol", "plaintext")]),
            (tls.to_vec(), vec![("security.protocol", "ssl"), ("ssl.ca.location", "/ca.pem")]),
            (
                sasl.concat(),
                vec![
                    ("sasl.mechanisms", "SCRAM-SHA-512"),
                    ("sasl.password", "0042"),
                    ("security.protocol", "sasl_ssl"),
                ],
            ),
            (
                vec!["client.fetch.min.bytes=5", "client.socket.keepalive.enable=true"],
                vec![("socket.keepalive.enable", "true")],
            ),
            (vec!["brokers=kafka:1", "security=plaintext"], vec![("bootstrap.servers", "kafka:1")]),
        ] {
            let access = load(&settings).unwrap().kafka.access().unwrap();
            let config = access.admin();
            for (name, value) in wanted {
                assert_eq!(config.get(name), Some(value), "{settings:?}");
            }
        }
    }

    #[test]
    fn what_is_unsafe_incomplete_or_of_no_use_is_refused_by_its_name() {
        for (settings, words) in [
            (&["brokers=kafka:9092"][..], "kafka.security is empty"),
            (&["security=tls"], "kafka.security is `tls`"),
            (&["security=sasl_ssl"], "kafka.mechanism"),
            (&["security=sasl_ssl", "mechanism=PLAIN"], "kafka.username and kafka.password"),
            (&["security=ssl", "key_file=/key"], "belong together"),
            (&["ca_file=/ca.pem"], "kafka.ca_file is of no use"),
            (&["security=ssl", "password=hunter2"], "kafka.password is of no use"),
            (
                &[
                    "brokers=kafka:1",
                    "security=sasl_plaintext",
                    "mechanism=PLAIN",
                    "username=a",
                    "password=hunter2",
                ],
                "the password could be read on the way",
            ),
            (&["client.acks=1"], "kafka.client: the Kafka setting acks is refused"),
            (&["client.enable.idempotence=false"], "enable.idempotence is refused"),
            (&["client.sasl.password=hunter2"], "sasl.password is refused"),
        ] {
            let error = load(settings).unwrap_err();
            assert!(error.contains(words) && !error.contains("hunter2"), "{settings:?}: {error}");
        }
    }
}
