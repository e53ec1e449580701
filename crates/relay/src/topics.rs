//! The topics that a relay needs: made with what is configured, compared with what is there.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{Error, KafkaConfig};

const TIMEOUT: Duration = Duration::from_secs(15);

/// What is configured for some topics: those of this name, or that begin so when it ends in `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// After the prefix.
    pub name: String,
    pub partitions: Option<i32>,
    pub replication: Option<i32>,
    /// Kafka's own, such as `retention.ms` and `cleanup.policy`.
    pub settings: BTreeMap<String, String>,
}

/// A topic that is wanted, beside what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    pub name: String,
    pub partitions: i32,
    pub replication: i32,
    pub settings: BTreeMap<String, String>,
    pub found: Found,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Missing,
    AsWanted,
    /// What is different, in words. Nothing of it is changed: partitions would move keys, and a setting that somebody has
    /// changed in Kafka had its reason.
    Different(Vec<String>),
}

impl TopicSettings {
    fn is_for(&self, name: &str) -> bool {
        self.name.strip_suffix('*').map_or(self.name == name, |beginning| name.starts_with(beginning))
    }
}

/// Compares what is configured with what there is; changes nothing.
pub async fn plan_topics(config: &KafkaConfig, categories: &[&str]) -> Result<Vec<TopicPlan>, Error> {
    config.access.check().await.map_err(|error| Error::Sink(error.to_string()))?;
    let mut plans: Vec<TopicPlan> = Vec::new();
    for category in categories {
        let name = config.names.topic(&config.service, category);
        if plans.iter().all(|plan| plan.name != name) {
            plans.push(wanted(config, name));
        }
    }
    let existing = partitions(config).await?;
    for plan in &mut plans {
        let Some(partitions) = existing.get(&plan.name) else { continue };
        let mut differences = Vec::new();
        if *partitions != plan.partitions {
            differences.push(format!("it has {partitions} partitions, not {}", plan.partitions));
        }
        let described =
            if plan.settings.is_empty() { BTreeMap::new() } else { describe(config, &plan.name).await? };
        for (key, value) in &plan.settings {
            let is = described.get(key).map_or("not set", String::as_str);
            if is != value {
                differences.push(format!("{key} is {is}, not {value}"));
            }
        }
        plan.found = if differences.is_empty() { Found::AsWanted } else { Found::Different(differences) };
    }
    Ok(plans)
}

/// Creates the topics that are missing.
pub async fn create_topics(config: &KafkaConfig, plans: &[TopicPlan]) -> Result<(), Error> {
    let missing: Vec<NewTopic<'_>> = plans
        .iter()
        .filter(|plan| plan.found == Found::Missing)
        .map(|plan| {
            let topic = NewTopic::new(&plan.name, plan.partitions, TopicReplication::Fixed(plan.replication));
            plan.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for created in admin(config)?.create_topics(&missing, &AdminOptions::new()).await? {
        match created {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(Error::Sink(format!("topic {topic} cannot be created: {code}")));
            }
        }
    }
    Ok(())
}

/// Creates the topics of these categories that do not exist.
pub async fn ensure_topics(config: &KafkaConfig, categories: &[&str]) -> Result<(), Error> {
    let plans = plan_topics(config, categories).await?;
    for plan in &plans {
        if let Found::Different(differences) = &plan.found {
            tracing::warn!(topic = plan.name, ?differences, "the topic is not as configured");
        }
    }
    create_topics(config, &plans).await
}

/// For a topic that somebody else has made.
pub(crate) fn warn_of_partitions(config: &KafkaConfig, name: &str, partitions: u32) {
    let wanted = wanted(config, name.to_owned()).partitions;
    if i64::from(wanted) != i64::from(partitions) {
        tracing::warn!(topic = name, partitions, wanted, "the topic is not as configured");
    }
}

fn wanted(config: &KafkaConfig, name: String) -> TopicPlan {
    let short = name.strip_prefix(config.names.prefix()).unwrap_or(&name);
    // The first one that is for it decides.
    let chosen = config.topics.iter().find(|topic| topic.is_for(short)).cloned().unwrap_or_default();
    TopicPlan {
        partitions: chosen.partitions.unwrap_or(config.partitions),
        replication: chosen.replication.unwrap_or(config.replication),
        settings: chosen.settings,
        name,
        found: Found::Missing,
    }
}

/// Of all topics that there are.
async fn partitions(config: &KafkaConfig) -> Result<BTreeMap<String, i32>, Error> {
    let client: BaseConsumer = config.access.consumer(&mut ClientConfig::new()).create()?;
    let fetched = tokio::task::spawn_blocking(move || {
        let metadata = client.fetch_metadata(None, TIMEOUT)?;
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let topics = metadata.topics().iter();
        Ok::<_, KafkaError>(
            topics.map(|topic| (topic.name().to_owned(), count(topic.partitions().len()))).collect(),
        )
    });
    Ok(fetched.await.map_err(|error| Error::Sink(error.to_string()))??)
}

async fn describe(config: &KafkaConfig, topic: &str) -> Result<BTreeMap<String, String>, Error> {
    let asked = [ResourceSpecifier::Topic(topic)];
    let mut settings = BTreeMap::new();
    for described in admin(config)?.describe_configs(&asked, &AdminOptions::new()).await? {
        let described =
            described.map_err(|code| Error::Sink(format!("topic {topic} tells no settings: {code}")))?;
        settings.extend(described.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))));
    }
    Ok(settings)
}

fn admin(config: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>, Error> {
    Ok(config.access.admin().create()?)
}
