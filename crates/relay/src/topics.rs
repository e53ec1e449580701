//! Topics: one per service and category, with a fixed number of partitions.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use crate::{Error, KafkaConfig};

/// `<prefix><service>.<category>`; external streams' categories end in their version.
pub fn topic_name(prefix: &str, service: &str, category: &str) -> String {
    format!("{prefix}{service}.{category}")
}

/// Creates the topics that do not exist.
pub async fn ensure_topics(config: &KafkaConfig, topics: &[String]) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &config.brokers).create()?;
    let wanted: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| NewTopic::new(topic, config.partitions, TopicReplication::Fixed(config.replication)))
        .collect();
    for created in admin.create_topics(&wanted, &AdminOptions::new()).await? {
        match created {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(Error::Sink(format!("topic {topic} cannot be created: {code}")));
            }
        }
    }
    Ok(())
}
