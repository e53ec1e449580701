//! The one configuration: flag > environment > file > default.

mod api;
mod capture;
mod card;
mod corrections;
mod instant;
mod kafka;
mod oidc;
mod ops;
mod postgres_url;
mod secret_files;
mod webhooks;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use config::{Environment, File, FileFormat, Value, ValueKind};
use jiff::SignedDuration;
use money::{Currency, UnknownCurrency};
use order::PaymentPolicy;
use replication::SlotName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use transfer::{HoldPolicy, SubmissionPolicy, TimeoutPolicy};

pub(crate) use api::{Api, ApiKey};
pub(crate) use capture::{Capture, Snapshot};
pub(crate) use card::Card;
pub(crate) use corrections::Corrections;
pub(crate) use instant::{Instant, profile};
pub(crate) use kafka::{Compression, Headers, Kafka};
pub(crate) use oidc::{Oidc, is_safe};
pub(crate) use ops::{Ops, Relay};
pub(crate) use postgres_url::PostgresUrl;
pub(crate) use webhooks::Webhooks;

const DEFAULTS: &str = include_str!("../defaults.toml");
const ENVIRONMENT: &str = "LUNARIA";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub transport: Transport,
    pub api: Api,
    pub core: Core,
    pub instant: Instant,
    pub card: Card,
    pub contracts: Contracts,
    pub webhooks: Webhooks,
    pub kafka: Kafka,
    pub relay: Relay,
    pub ops: Ops,
    #[serde(default)]
    pub capture: Vec<Capture>,
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
pub(crate) struct Database {
    pub database_url: PostgresUrl,
    pub relay_url: PostgresUrl,
    pub slot: String,
    /// The synchronous standby's `application_name`: the relay waits for it. Empty: there is none to wait for.
    pub standby: String,
    pub connections_max: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Core {
    pub database: Database,
    pub reservation_limit_ms: i64,
    pub submission_limit_ms: i64,
    pub on_timeout: HoldPolicy,
    pub resolution_limit_ms: i64,
    pub pending_limit_ms: i64,
    pub recall_limit_ms: i64,
    pub settlement_limit_ms: i64,
    pub return_limit_ms: i64,
    pub card_hold_limit_ms: i64,
    pub order_payment_limit_ms: i64,
    pub order_retry_pause_ms: i64,
    pub approval_limit_ms: i64,
    /// Whether events are found by the words in them.
    pub search_events: bool,
    /// In minor units, by currency.
    #[serde(deserialize_with = "by_currency")]
    pub approval_above: HashMap<Currency, i64>,
    pub corrections: Corrections,
    /// Where the adapter reads core's external streams, when it is another process.
    pub external_url: String,
    /// What it shows there: the secret of a key with the role `service`.
    pub external_token: String,
}

/// What else is published than what the services themselves read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contracts {
    /// Versions that have a successor and that somebody still reads.
    #[serde(deserialize_with = "listed")]
    pub deprecated: Vec<String>,
}

impl Contracts {
    /// Whether a version that has a successor is published all the same.
    pub(crate) fn publishes(&self, deprecated: &str) -> bool {
        self.deprecated.iter().any(|contract| contract == deprecated)
    }

    fn check(&self) -> anyhow::Result<()> {
        for name in &self.deprecated {
            let known = contract::DEPRECATIONS.map(|deprecation| deprecation.contract).join(", ");
            ensure!(
                contract::deprecation_of(name).is_some(),
                "contracts.deprecated: {name} is none of {known}"
            );
        }
        Ok(())
    }
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
        // Values stay text until their setting says what they are: a password of digits is no number.
        let environment = Environment::with_prefix(ENVIRONMENT).prefix_separator("__").separator("__");
        builder = builder.add_source(environment);
        for setting in set {
            let (key, value) =
                setting.split_once('=').with_context(|| format!("--set {setting}: it has no `=`"))?;
            builder = builder.set_override(key, value).with_context(|| format!("--set {setting}"))?;
        }
        let mut merged = builder.build()?;
        secret_files::read(&mut merged.cache)?;
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
        let databases = [
            ("core", &self.core.database),
            ("instant", &self.instant.database),
            ("card", &self.card.database),
        ];
        for (section, database) in databases {
            let named = |key: &str| format!("{section}.database.{key}");
            database.database_url.application().with_context(|| named("database_url"))?;
            database.relay_url.replication().with_context(|| named("relay_url"))?;
            SlotName::new(database.slot.clone()).with_context(|| format!("{section}.database.slot"))?;
        }
        self.api.check()?;
        strong_enough("core.external_token", &self.core.external_token)?;
        self.ops.check()?;
        self.relay.check()?;
        capture::check(&self.capture)?;
        self.instant.check()?;
        self.card.check()?;
        self.contracts.check()?;
        self.webhooks.check()?;
        positive("core.reservation_limit_ms", self.core.reservation_limit_ms)?;
        positive("core.submission_limit_ms", self.core.submission_limit_ms)?;
        positive("core.resolution_limit_ms", self.core.resolution_limit_ms)?;
        positive("core.pending_limit_ms", self.core.pending_limit_ms)?;
        positive("core.recall_limit_ms", self.core.recall_limit_ms)?;
        positive("core.settlement_limit_ms", self.core.settlement_limit_ms)?;
        positive("core.return_limit_ms", self.core.return_limit_ms)?;
        positive("core.card_hold_limit_ms", self.core.card_hold_limit_ms)?;
        positive("core.order_payment_limit_ms", self.core.order_payment_limit_ms)?;
        positive("core.order_retry_pause_ms", self.core.order_retry_pause_ms)?;
        positive("core.approval_limit_ms", self.core.approval_limit_ms)?;
        for (currency, above) in &self.core.approval_above {
            ensure!(*above >= 0, "core.approval_above.{currency} is {above}; it cannot be negative");
        }
        self.core.corrections.check()?;
        positive("core.database.connections_max", self.core.database.connections_max.into())?;
        if self.transport == Transport::Kafka {
            self.kafka.access()?;
            self.kafka.names()?;
        }
        positive("kafka.partitions", self.kafka.partitions.into())?;
        positive("kafka.replication", self.kafka.replication.into())
    }

    /// Prints each value with its source; passwords are not shown.
    pub(crate) fn show(&self) -> anyhow::Result<()> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        for line in self.shown() {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn shown(&self) -> Vec<String> {
        let line = |Shown { key, value, source }: &Shown| format!("{key} = {value}    # {source}");
        self.values.iter().map(line).collect()
    }

    pub(crate) fn limits(&self) -> transfer::Limits {
        transfer::Limits {
            reservation: SignedDuration::from_millis(self.core.reservation_limit_ms),
            submission: SubmissionPolicy {
                answer_within: SignedDuration::from_millis(self.core.submission_limit_ms),
                on_timeout: TimeoutPolicy {
                    hold: self.core.on_timeout,
                    resolve_within: SignedDuration::from_millis(self.core.resolution_limit_ms),
                    pending_within: Some(SignedDuration::from_millis(self.core.pending_limit_ms)),
                },
            },
            recall: SignedDuration::from_millis(self.core.recall_limit_ms),
        }
    }

    pub(crate) fn incoming_limits(&self) -> incoming::Limits {
        incoming::Limits {
            settlement: SignedDuration::from_millis(self.core.settlement_limit_ms),
            payment_return: SignedDuration::from_millis(self.core.return_limit_ms),
        }
    }

    /// How long what a card network was told is approved stays held.
    pub(crate) fn card_hold(&self) -> SignedDuration {
        SignedDuration::from_millis(self.core.card_hold_limit_ms)
    }

    pub(crate) fn order_payments(&self) -> PaymentPolicy {
        PaymentPolicy {
            within: SignedDuration::from_millis(self.core.order_payment_limit_ms),
            retry_pause: SignedDuration::from_millis(self.core.order_retry_pause_ms),
        }
    }

    pub(crate) fn approvals(&self) -> transfer::Approvals {
        transfer::Approvals {
            above: self.core.approval_above.clone(),
            within: SignedDuration::from_millis(self.core.approval_limit_ms),
        }
    }
}

/// A token that could be guessed is none.
const TOKEN_BYTES_MIN: usize = 16;

fn strong_enough(key: &str, token: &str) -> anyhow::Result<()> {
    let length = token.len();
    ensure!(
        length == 0 || length >= TOKEN_BYTES_MIN,
        "{key} has {length} bytes; it needs at least {TOKEN_BYTES_MIN}, such as `openssl rand -hex 16` prints"
    );
    let is_plain = token.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    ensure!(is_plain, "{key} holds what is no printable ASCII; a header cannot carry that");
    ensure!(token.trim() == token, "{key} begins or ends with a blank; a header cannot carry that");
    Ok(())
}

/// What has to be shown at an adapter's door. None: nothing, which is refused where others than this machine get to.
fn agreed_token<'a>(
    (key, token): (&str, &'a str),
    (listen_key, listen): (&str, SocketAddr),
    whom: &str,
) -> anyhow::Result<Option<&'a str>> {
    let token = Some(token).filter(|token| !token.is_empty());
    ensure!(
        token.is_some() || listen.ip().is_loopback(),
        "{listen_key} is {listen}, and whoever gets there would be taken for {whom}: set {key}"
    );
    Ok(token)
}

fn positive(key: &str, value: i64) -> anyhow::Result<()> {
    ensure!(value > 0, "{key} is {value}; it has to be positive");
    Ok(())
}

/// From the environment and the command line a list comes as one text, with commas.
fn listed<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Listed {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Listed::deserialize(from)? {
        Listed::List(names) => names,
        Listed::Text(text) => {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        }
    })
}

/// Keys from the environment come in small letters.
fn by_currency<'de, D: Deserializer<'de>>(from: D) -> Result<HashMap<Currency, i64>, D::Error> {
    let values: HashMap<String, i64> = HashMap::deserialize(from)?;
    let typed = |(code, value): (String, i64)| Ok((code.to_uppercase().parse()?, value));
    values.into_iter().map(typed).collect::<Result<_, UnknownCurrency>>().map_err(D::Error::custom)
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
    if let ValueKind::Array(items) = &value.kind {
        for (n, item) in items.iter().enumerate() {
            flatten(format!("{key}[{n}]"), item, into);
        }
        return;
    }
    let source = match value.origin() {
        Some("the environment") => "environment".to_owned(),
        Some(file) => file.to_owned(),
        None if into.is_empty() && key.is_empty() => return,
        None => "default".to_owned(),
    };
    let value =
        if is_secret(&key) { hidden(&value.to_string()) } else { without_password(&value.to_string()) };
    into.push(Shown { key, value, source });
}

/// Never shown; nor are passwords in URLs.
fn is_secret(key: &str) -> bool {
    ["password", "passphrase", "secret", "token", "signing_key"].into_iter().any(|end| key.ends_with(end))
}

fn hidden(secret: &str) -> String {
    if secret.is_empty() { String::new() } else { "…".to_owned() }
}

/// `postgres://user:…@host/db`, and no password among the parameters either.
pub(crate) fn without_password(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return text.to_owned() };
    let in_query = url.query_pairs().any(|(key, _)| is_secret(&key));
    if url.password().is_none() && !in_query {
        return text.to_owned();
    }
    if url.password().is_some() {
        // It can only fail for URLs that cannot have a password.
        let _ = url.set_password(Some("…"));
    }
    if in_query {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(key, value)| {
                let value = if is_secret(&key) { hidden(&value) } else { value.into_owned() };
                (key.into_owned(), value)
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string().replace("%E2%80%A6", "…")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Out of a file with this text.
    pub(super) fn load(toml: &str) -> Result<Config, String> {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(toml.as_bytes()).unwrap();
        Config::load(Some(file.path()), &[]).map_err(|error| format!("{error:#}"))
    }

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
            ("ops.token=short", "ops.token"),
            ("instant.house_token=0123456789abcdéf", "instant.house_token"),
            ("instant.house_token= 0123456789abcdef", "instant.house_token"),
            ("instant.time_zone=Europe/Kopenhagen", "instant.time_zone"),
            ("instant.cut_off=6pm", "instant.cut_off"),
            ("instant.circuit_failures=0", "instant.circuit_failures"),
            ("card.network_token=short", "card.network_token"),
            ("card.answer_limit_ms=0", "card.answer_limit_ms"),
            ("core.card_hold_limit_ms=-1", "core.card_hold_limit_ms"),
        ] {
            let error = format!("{:#}", Config::load(None, &[setting.to_owned()]).unwrap_err());
            assert!(error.contains(named), "{setting}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = without_password("postgres://app:secret@localhost/db");
        assert_eq!(shown, "postgres://app:…@localhost/db");
        let shown = without_password("postgres://app@localhost/db?password=secret&sslmode=disable");
        assert_eq!(shown, "postgres://app@localhost/db?password=…&sslmode=disable");
    }
}
