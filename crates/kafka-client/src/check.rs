//! Whether the brokers answer, and if not, why: librdkafka tries for ever and says why only in passing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{Access, Error};

/// For brokers that start at the same time as we do. A refusal is known at once.
pub const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// How long one question may block a thread.
const STEP: Duration = Duration::from_millis(250);

/// Between two questions; what went wrong with the first is reported in this time.
const PACE: Duration = Duration::from_millis(100);

/// Asked about because a question about no topic would be answered with all of them. A consumer's question makes none.
const TOPIC: &str = "lunaria.check";

/// What librdkafka has said about the brokers.
#[derive(Default)]
struct Causes(Mutex<Vec<(RDKafkaErrorCode, String)>>);

impl ClientContext for Causes {
    fn error(&self, error: KafkaError, reason: &str) {
        self.add(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), reason);
    }

    /// Some failures are only logged, a broker that hangs up among them.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.add(RDKafkaErrorCode::BrokerTransportFailure, message);
        }
    }
}

impl ConsumerContext for Causes {}

impl Causes {
    fn add(&self, code: RDKafkaErrorCode, reason: &str) {
        // TLS 1.3 tells us that our certificate was refused only after the handshake, and librdkafka calls that a failure
        // of the transport.
        let code = if reason.contains("SSL alert") { RDKafkaErrorCode::SSL } else { code };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((code, reason.to_owned()));
    }

    /// What a broker or TLS said no with.
    fn refusal(&self) -> Option<(RDKafkaErrorCode, String)> {
        let causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        causes.iter().find(|(code, _)| is_refusal(*code)).cloned()
    }

    fn last(&self) -> Option<String> {
        let causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let telling = |(code, _): &&(RDKafkaErrorCode, String)| *code != RDKafkaErrorCode::AllBrokersDown;
        causes.iter().rev().find(telling).map(|(_, reason)| reason.clone())
    }
}

fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Authentication, SSL, SaslAuthenticationFailed, UnsupportedSASLMechanism};
    matches!(code, Authentication | SSL | SaslAuthenticationFailed | UnsupportedSASLMechanism)
}

impl Access {
    /// Connects with the settings of every client, within [`CHECK_LIMIT`]. Cancel-safe.
    pub async fn check(&self) -> Result<(), Error> {
        self.check_within(CHECK_LIMIT).await
    }

    pub async fn check_within(&self, limit: Duration) -> Result<(), Error> {
        let mut config = self.admin();
        config.set_log_level(RDKafkaLogLevel::Info);
        let client: BaseConsumer<Causes> = config.create_with_context(Causes::default())?;
        let client = Arc::new(client);
        let give_up = Instant::now() + limit;
        loop {
            let asking = Arc::clone(&client);
            let asked = tokio::task::spawn_blocking(move || ask(&asking)).await;
            let Err(silence) = asked.unwrap_or_else(|_| Err("the question was cut short".to_owned())) else {
                return Ok(());
            };
            let brokers = self.brokers().to_owned();
            if let Some((code, reason)) = client.context().refusal() {
                return Err(Error::Refused { brokers, reason, remedy: remedy(code) });
            }
            if Instant::now() >= give_up {
                let mut reason = client.context().last().unwrap_or(silence);
                if reason.contains("in state APIVERSION_QUERY") {
                    reason += "; does this listener speak another protocol? check kafka.security";
                }
                return Err(Error::Unreachable { brokers, reason });
            }
        }
    }
}

fn ask(client: &BaseConsumer<Causes>) -> Result<(), String> {
    let asked = client.fetch_metadata(Some(TOPIC), STEP);
    if asked.is_err() {
        // Hands to the context what has gone wrong meanwhile, and keeps a pace.
        while client.poll(PACE).is_some() {}
    }
    asked.map(drop).map_err(|error| error.to_string())
}

fn remedy(code: RDKafkaErrorCode) -> &'static str {
    match code {
        RDKafkaErrorCode::SSL => {
            "check kafka.ca_file, the names in the brokers' certificates, and whether they want kafka.certificate_file \
             and kafka.key_file"
        }
        _ => "check kafka.username, kafka.password and kafka.mechanism",
    }
}
