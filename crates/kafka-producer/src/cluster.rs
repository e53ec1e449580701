//! What the brokers say about themselves: who leads which partition, and the producer's identity.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, sleep};

use crate::connection::{Api, Connection};
use crate::{Config, Error};

const METADATA: Api = Api { key: ApiKey::Metadata, version: 12 };
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
