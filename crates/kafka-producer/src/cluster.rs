//! What the brokers say about themselves: who leads which partition, what a topic takes, and the producer's identity.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, DescribeConfigsRequest, DescribeConfigsResponse, InitProducerIdRequest, InitProducerIdResponse,
    MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, sleep};

use crate::connection::{Api, Connection};
use crate::{Config, Error};

const METADATA: Api = Api { key: ApiKey::Metadata, version: 12 };
const DESCRIBE_CONFIGS: Api = Api { key: ApiKey::DescribeConfigs, version: 4 };
/// What `DescribeConfigs` calls a topic.
const TOPIC_RESOURCE: i8 = 2;
const MESSAGE_BYTES_MAX: &str = "max.message.bytes";
const INIT_PRODUCER_ID: Api = Api { key: ApiKey::InitProducerId, version: 4 };
const STARTING_POLL: Duration = Duration::from_millis(100);

/// The leaders of a topic's partitions, in partition order, as `host:port`.
pub(crate) struct TopicLayout {
    pub(crate) leaders: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

/// A connection to the first broker of the bootstrap list that answers.
pub(crate) async fn bootstrap(config: &Config) -> Result<Connection, Error> {
    let mut failure =
        Error::Connect { broker: config.bootstrap.clone(), reason: "no broker is named".to_owned() };
    for broker in config.bootstrap.split(',').map(str::trim).filter(|broker| !broker.is_empty()) {
        match Connection::open(broker, config).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A cluster that has just started hands out no identities yet; that is waited for, as long as for any answer.
pub(crate) async fn identify(connection: &mut Connection, config: &Config) -> Result<Identity, Error> {
    let deadline = Instant::now() + config.request_timeout;
    loop {
        match ask_identity(connection, config).await {
            Err(error) if is_starting(&error) && Instant::now() < deadline => sleep(STARTING_POLL).await,
            answer => return answer,
        }
    }
}

fn is_starting(error: &Error) -> bool {
    let codes = [ResponseError::CoordinatorLoadInProgress, ResponseError::CoordinatorNotAvailable];
    error.code().is_some_and(|code| codes.contains(&code))
}

async fn ask_identity(connection: &mut Connection, config: &Config) -> Result<Identity, Error> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(0)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let answer: InitProducerIdResponse = connection.call(INIT_PRODUCER_ID, &request, config).await?;
    match ResponseError::try_from_code(answer.error_code) {
        None => Ok(Identity { producer_id: answer.producer_id.0, producer_epoch: answer.producer_epoch }),
        Some(code) => Err(Error::refused("no producer id", code)),
    }
}

pub(crate) async fn layout(
    connection: &mut Connection,
    topic: &str,
    config: &Config,
) -> Result<TopicLayout, Error> {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]))
        .with_allow_auto_topic_creation(false);
    let answer: MetadataResponse = connection.call(METADATA, &request, config).await?;
    let brokers: HashMap<i32, String> = (answer.brokers.iter())
        .map(|broker| (broker.node_id.0, format!("{}:{}", broker.host, broker.port)))
        .collect();
    let Some(described) = answer.topics.into_iter().next() else {
        return Err(connection.unreadable(&"metadata without the topic that was asked for"));
    };
    if let Some(code) = ResponseError::try_from_code(described.error_code) {
        return Err(Error::refused(format!("topic {topic}"), code));
    }
    let mut partitions = described.partitions;
    partitions.sort_unstable_by_key(|partition| partition.partition_index);
    let leaders = partitions.iter().map(|partition| {
        let leaderless = || Error::NoLeader { topic: topic.to_owned(), partition: partition.partition_index };
        brokers.get(&partition.leader_id.0).cloned().ok_or_else(leaderless)
    });
    Ok(TopicLayout { leaders: leaders.collect::<Result<_, _>>()? })
}

/// The topic's `max.message.bytes`, which Kafka compares with whole batches.
pub(crate) async fn message_bytes_max(
    connection: &mut Connection,
    topic: &str,
    config: &Config,
) -> Result<usize, Error> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_configuration_keys(Some(vec![StrBytes::from_static_str(MESSAGE_BYTES_MAX)]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer: DescribeConfigsResponse = connection.call(DESCRIBE_CONFIGS, &request, config).await?;
    let Some(described) = answer.results.first() else {
        return Err(connection.unreadable(&"settings without the topic that was asked for"));
    };
    if let Some(code) = ResponseError::try_from_code(described.error_code) {
        return Err(Error::refused(format!("the settings of topic {topic}"), code));
    }
    let setting = described.configs.iter().find(|setting| setting.name.as_str() == MESSAGE_BYTES_MAX);
    let bytes = setting.and_then(|setting| setting.value.as_ref()?.parse().ok());
    bytes.ok_or_else(|| connection.unreadable(&format!("no {MESSAGE_BYTES_MAX} of topic {topic}")))
}
