//! What is appended arrives, as it is, in order, once; and what cannot arrive is told.

use kafka_producer::{Compression, Headers, partition_of};
use kafka_protocol::error::ResponseError;
use testbed::unique;

use crate::acknowledged::{create, open};
use crate::consumer::{by_key, records};

fn headers(n: u64) -> Headers {
    let mut headers = Headers::default();
    headers.put("n", n.to_string().as_bytes());
    headers.put("empty", b"");
    headers.put("Zoë", "ü".repeat(200).as_bytes());
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn records_arrive_as_they_are_whatever_the_compression() {
    for compression in [Compression::None, Compression::Lz4] {
        let topic_name = unique("as_they_are");
        create(&topic_name, 1).await;
        let (mut producer, acknowledged) = open(compression).await;
        let topic = producer.topic(&topic_name).await.unwrap();
        let values =
            [b"".to_vec(), b"{}".to_vec(), vec![b'x'; 700_000], (0..=255).cycle().take(90_001).collect()];
        for (n, value) in (0..).zip(&values) {
            producer.append(topic, b"key", value, &headers(n), 7);
        }
        producer.flush();
        acknowledged.until(7, 4).await;
        let records = records(&topic_name, 4).await;
        for (n, (record, value)) in (0_u64..).zip(records.iter().zip(&values)) {
            assert_eq!(record.key, b"key");
            assert!(record.value == *value, "{n}");
            assert_eq!(record.headers[0], ("n".to_owned(), n.to_string().into_bytes()));
            assert_eq!(record.headers[1], ("empty".to_owned(), Vec::new()));
            assert_eq!(record.headers[2].1.len(), 400);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_records_arrive_once_and_in_the_order_of_their_keys() {
    const RECORDS: u64 = 100_000;
    let topic_name = unique("order");
    create(&topic_name, 5).await;
    let (mut producer, acknowledged) = open(Compression::Lz4).await;
    let topic = producer.topic(&topic_name).await.unwrap();
    for n in 0..RECORDS {
        producer.append(
            topic,
            format!("key-{}", n % 97).as_bytes(),
            &n.to_be_bytes(),
            &Headers::default(),
            n / 10,
        );
        if n % 500 == 0 {
            producer.flush();
            producer.room().await;
        }
    }
    producer.flush();
    acknowledged.until(RECORDS / 10 - 1, 10).await;
    let records = records(&topic_name, usize::try_from(RECORDS).unwrap()).await;
    assert_eq!(records.len() as u64, RECORDS);
    for (key, records) in by_key(&records) {
        let numbers: Vec<_> =
            records.iter().map(|one| u64::from_be_bytes(one.value[..].try_into().unwrap())).collect();
        assert!(numbers.is_sorted(), "{}", String::from_utf8_lossy(key));
        let partition = i32::try_from(partition_of(key, 5)).unwrap();
        assert!(records.iter().all(|one| one.partition == partition));
    }
    assert!((0..RECORDS / 10).all(|tag| acknowledged.count(tag) == 10));
    let ends: i64 = producer.end_offsets().iter().map(|(_, _, end)| end).sum();
    assert_eq!(ends.cast_unsigned(), RECORDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_exist_is_told() {
    let (mut producer, _) = open(Compression::Lz4).await;
    let error = producer.topic(&unique("missing")).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_asked_for_twice_is_the_same_topic() {
    let topic_name = unique("twice");
    create(&topic_name, 1).await;
    let (mut producer, acknowledged) = open(Compression::None).await;
    for tag in 1..=4 {
        let topic = producer.topic(&topic_name).await.unwrap();
        producer.append(topic, b"key", tag.to_string().as_bytes(), &Headers::default(), tag);
        producer.flush();
        acknowledged.until(tag, 1).await;
    }
    assert_eq!(records(&topic_name, 4).await.len(), 4, "each was acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_larger_than_the_broker_takes_ends_the_producer_with_its_reason() {
    let topic_name = unique("large");
    create(&topic_name, 1).await;
    let (mut producer, acknowledged) = open(Compression::None).await;
    let topic = producer.topic(&topic_name).await.unwrap();
    producer.append(topic, b"key", &vec![b'x'; 2_000_000], &Headers::default(), 1);
    producer.flush();
    assert_eq!(acknowledged.until_failed().await.code(), Some(ResponseError::MessageTooLarge));
    producer.append(topic, b"key", b"small", &Headers::default(), 2);
    producer.flush();
    let (mut next, afterwards) = open(Compression::None).await;
    let topic = next.topic(&topic_name).await.unwrap();
    next.append(topic, b"key", b"of the next producer", &Headers::default(), 1);
    next.flush();
    afterwards.until(1, 1).await;
    assert_eq!(records(&topic_name, 1).await.len(), 1, "nothing follows a failure");
    assert_eq!(acknowledged.count(2), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_broker_is_an_error_that_names_it() {
    let acknowledged = std::sync::Arc::new(crate::acknowledged::Acknowledged::default());
    let config = kafka_producer::Config {
        bootstrap: "127.0.0.1:1".to_owned(),
        ..crate::acknowledged::config(Compression::None)
    };
    let Err(error) = kafka_producer::Producer::open(config, acknowledged).await else { panic!("it opened") };
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}
