//! The one configuration: flag > environment > file > default.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use config::{Environment, File, FileFormat, Value, ValueKind};
use jiff::SignedDuration;
use replication::SlotName;
use serde::{Deserialize, Serialize};

const DEFAULTS: &str = include_str!("../defaults.toml");
const ENVIRONMENT: &str = "LUNARIA";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub transport: Transport,
    pub api: Api,
    pub core: Core,
    pub instant: Instant,
    pub kafka: Kafka,
    #[serde(skip)]
    values: Vec<Shown>,
}

/// How events reach the handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// In one process, without a broker.
    Embedded,
    /// Through Kafka; each role may be a process of its own.
    Kafka,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    pub database_url: String,
    pub relay_url: String,
    pub slot: String,
    pub connections_max: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Core {
    pub database: Database,
    pub reservation_limit_ms: i64,
    pub submission_limit_ms: i64,
    /// Where the adapter reads core's external streams, when it is another process.
    pub external_url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instant {
    pub database: Database,
    pub listen: SocketAddr,
    /// This adapter as others reach it: for late answers, and for core's gap refill. Empty: what it listens on.
    pub public_url: String,
    pub clearing_house_url: String,
    pub attempts_max: u32,
    pub answer_timeout_ms: i64,
    pub retry_pause_ms: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kafka {
    pub brokers: String,
    pub prefix: String,
    pub instance: String,
    pub partitions: i32,
    pub replication: i32,
}

#[derive(Debug, Clone)]
struct Shown {
    key: String,
    value: String,
    source: String,
}

impl Config {
    /// Reads all sources; anything unknown, of the wrong type or out of range is an error here.
    pub(crate) fn load(file: Option<&Path>, set: &[String]) -> anyhow::Result<Self> {
        let mut builder = config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml).required(true));
        }
        builder = builder.add_source(
            Environment::with_prefix(ENVIRONMENT).prefix_separator("__").separator("__").try_parsing(true),
        );
        for setting in set {
            let (key, value) =
                setting.split_once('=').with_context(|| format!("--set {setting}: it has no `=`"))?;
            builder = builder.set_override(key, value).with_context(|| format!("--set {setting}"))?;
        }
        let merged = builder.build()?;
        let mut values = Vec::new();
        flatten(String::new(), &merged.cache, &mut values);
        let mut config: Self = merged.try_deserialize()?;
        for shown in &mut values {
            if set.iter().any(|setting| setting.split('=').next() == Some(&shown.key)) {
                "--set".clone_into(&mut shown.source);
            }
        }
        config.values = values;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        for (section, database) in [("core", &self.core.database), ("instant", &self.instant.database)] {
            for (key, url) in [("database_url", &database.database_url), ("relay_url", &database.relay_url)] {
                let shown = without_password(url);
                ensure!(
                    url.starts_with("postgres://") || url.starts_with("postgresql://"),
                    "{section}.database.{key} is `{shown}`; it has to start with postgres://"
                );
            }
            SlotName::new(database.slot.clone()).with_context(|| format!("{section}.database.slot"))?;
        }
        let positive = |key: &str, value: i64| {
            ensure!(value > 0, "{key} is {value}; it has to be positive");
            Ok(())
        };
        positive("core.reservation_limit_ms", self.core.reservation_limit_ms)?;
        positive("core.submission_limit_ms", self.core.submission_limit_ms)?;
        positive("core.database.connections_max", self.core.database.connections_max.into())?;
        positive("instant.database.connections_max", self.instant.database.connections_max.into())?;
        positive("instant.attempts_max", self.instant.attempts_max.into())?;
        positive("instant.answer_timeout_ms", self.instant.answer_timeout_ms)?;
        positive("instant.retry_pause_ms", self.instant.retry_pause_ms)?;
        positive("kafka.partitions", self.kafka.partitions.into())?;
        positive("kafka.replication", self.kafka.replication.into())
    }

    /// Prints each value with its source; passwords are not shown.
    pub(crate) fn show(&self) -> anyhow::Result<()> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        for Shown { key, value, source } in &self.values {
            writeln!(out, "{key} = {value}    # {source}")?;
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> transfer::Limits {
        transfer::Limits {
            reservation: SignedDuration::from_millis(self.core.reservation_limit_ms),
            submission: SignedDuration::from_millis(self.core.submission_limit_ms),
        }
    }

    pub(crate) fn retry_policy(&self) -> instant::RetryPolicy {
        instant::RetryPolicy {
            attempts_max: self.instant.attempts_max,
            answer_timeout: SignedDuration::from_millis(self.instant.answer_timeout_ms),
            retry_pause: SignedDuration::from_millis(self.instant.retry_pause_ms),
        }
    }
}

fn flatten(key: String, value: &Value, into: &mut Vec<Shown>) {
    if let ValueKind::Table(table) = &value.kind {
        let mut names: Vec<_> = table.keys().collect();
        names.sort();
        for name in names {
            let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            flatten(inner, &table[name], into);
        }
        return;
    }
    let source = match value.origin() {
        Some("the environment") => "environment".to_owned(),
        Some(file) => file.to_owned(),
        None if into.is_empty() && key.is_empty() => return,
        None => "default".to_owned(),
    };
    into.push(Shown { key, value: without_password(&value.to_string()), source });
}

/// `postgres://user:…@host/db`.
pub(crate) fn without_password(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // It can only fail for URLs that cannot have a password.
            let _ = url.set_password(Some("…"));
            url.to_string().replace("%E2%80%A6", "…")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_valid_configuration() {
        let config = Config::load(None, &[]).unwrap();
        assert_eq!(config.transport, Transport::Embedded);
    }

    #[test]
    fn a_setting_that_does_not_exist_or_cannot_be_is_an_error_that_names_it() {
        for (setting, named) in [
            ("api.lisen=1", "lisen"),
            ("api.listen=nowhere", "listen"),
            ("kafka.partitions=0", "kafka.partitions"),
            ("transport=carrier-pigeon", "transport"),
            ("transport", "no `=`"),
        ] {
            let error = format!("{:#}", Config::load(None, &[setting.to_owned()]).unwrap_err());
            assert!(error.contains(named), "{setting}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = without_password("postgres://app:secret@localhost/db");
        assert_eq!(shown, "postgres://app:…@localhost/db");
    }
}
