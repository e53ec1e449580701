//! What can be chosen: names of topics, headers, settings of topics; and history replayed into a topic of its own.

use std::collections::BTreeMap;

use kafka_client::{Access, TopicNames};
use relay::{Found, HeaderFormat, KafkaConfig, OpenKafka, ReplayRange, TopicSettings, plan_topics};
use testbed::{kafka, unique};

use crate::kafka::{Record, records};
use crate::source::{Source, append_in};

fn config(prefix: &str, template: &str) -> KafkaConfig {
    let names = TopicNames::new(prefix, template).unwrap();
    KafkaConfig { partitions: 2, ..KafkaConfig::new(Access::plaintext(kafka()), names, "core") }
}

async fn append(source: &Source, stream: &str, seqs: std::ops::RangeInclusive<i64>) {
    append_in(&mut source.store.pool().acquire().await.unwrap(), stream, seqs).await;
}

fn events(records: &[Record]) -> Vec<(String, String)> {
    let mut events: Vec<_> = records
        .iter()
        .map(|record| {
            let sequence = record.headers.get("ce_sequence").or(record.headers.get("lunaria_sequence"));
            (record.key.clone(), sequence.unwrap().clone())
        })
        .collect();
    events.sort();
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn categories_share_a_topic_when_the_template_says_so_and_a_restart_repeats_nothing() {
    for template in ["{service}", "all.of.it"] {
        let source = Source::create().await;
        let prefix = unique("choice.");
        // One partition, in which they meet.
        let config = KafkaConfig { partitions: 1, ..config(&prefix, template) };
        let topic = config.names.topic("core", "note");
        assert_eq!(topic, config.names.topic("core", "memo"));
        for seq in 1..=3 {
            let relay = source.relay(OpenKafka { config: config.clone() }).await;
            append(&source, "note-1", seq..=seq).await;
            append(&source, "memo-1", seq..=seq).await;
            source.until_confirmed(source.wal_end().await).await;
            relay.stop().await;
        }
        let expected = ["memo-1", "note-1"].map(|stream| (1..=3).map(move |seq| (stream, seq)));
        let expected: Vec<_> = expected
            .into_iter()
            .flatten()
            .map(|(stream, seq)| (stream.to_owned(), seq.to_string()))
            .collect();
        assert_eq!(events(&records(&topic, 6).await), expected, "{template}");
        source.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_debeziums_headers_its_consumers_find_what_they_look_for_and_a_restart_repeats_nothing() {
    let source = Source::create().await;
    let prefix = unique("choice.");
    let config =
        KafkaConfig { headers: HeaderFormat::Debezium, ..config(&prefix, "outbox.event.{category}") };
    for seq in 1..=2 {
        let relay = source.relay(OpenKafka { config: config.clone() }).await;
        append(&source, "note-1", seq..=seq).await;
        source.until_confirmed(source.wal_end().await).await;
        relay.stop().await;
    }
    let records = records(&format!("{prefix}outbox.event.note"), 2).await;
    assert_eq!(records.len(), 2);
    let headers = &records[0].headers;
    let header = |name: &str| headers.get(name).map(String::as_str);
    assert_eq!(header("eventType"), Some("Entered"));
    assert_eq!((header("aggregateType"), header("aggregateId")), (Some("note"), Some("1")));
    assert!(header("id").is_some_and(|id| id.parse::<uuid::Uuid>().is_ok()));
    assert!(headers.keys().all(|name| !name.starts_with("ce_")), "{headers:?}");
    source.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_as_configured_and_differences_are_told_and_not_changed() {
    let prefix = unique("choice.");
    let retention: BTreeMap<String, String> = [("retention.ms".to_owned(), "3600000".to_owned())].into();
    let compacted: BTreeMap<String, String> = [("cleanup.policy".to_owned(), "compact".to_owned())].into();
    let settings = |name: &str, partitions, settings: &BTreeMap<String, String>| TopicSettings {
        name: name.to_owned(),
        partitions,
        replication: None,
        settings: settings.clone(),
    };
    let topics = vec![settings("core.note", Some(5), &retention), settings("core.m*", None, &compacted)];
    let config = KafkaConfig { topics, ..config(&prefix, "{service}.{category}") };
    let categories = ["note", "memo", "other"];
    let plans = plan_topics(&config, &categories).await.unwrap();
    let shown: Vec<_> = plans.iter().map(|plan| (plan.partitions, plan.settings.clone())).collect();
    assert_eq!(shown, [(5, retention.clone()), (2, compacted), (2, BTreeMap::new())]);
    assert!(plans.iter().all(|plan| plan.found == Found::Missing));
    assert!(plan_topics(&config, &categories).await.unwrap() == plans, "a plan makes nothing");

    relay::create_topics(&config, &plans).await.unwrap();
    let plans = testbed::eventually("the topics are known", async || {
        let plans = plan_topics(&config, &categories).await.unwrap();
        plans.iter().all(|plan| plan.found != Found::Missing).then_some(plans)
    })
    .await;
    assert!(plans.iter().all(|plan| plan.found == Found::AsWanted), "{plans:?}");

    let topics = vec![settings("core.note", Some(4), &[("retention.ms".to_owned(), "1".to_owned())].into())];
    let plans = plan_topics(&KafkaConfig { topics, ..config }, &["note"]).await.unwrap();
    let differences = ["it has 5 partitions, not 4", "retention.ms is 3600000, not 1"].map(str::to_owned);
    assert_eq!(plans[0].found, Found::Different(differences.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_replayed_into_a_topic_of_its_own_and_into_no_other() {
    let source = Source::create().await;
    let prefix = unique("choice.");
    let config = config(&prefix, "{service}.{category}");
    for stream in ["note-1", "note-2", "memo-1"] {
        append(&source, stream, 1..=3).await;
    }
    let replay = async |range: ReplayRange, topic: &str| {
        relay::replay(&source.config(), &config, topic, &range, &|_| {}).await
    };
    let of_stream = ReplayRange { stream: Some("note-2".to_owned()), ..ReplayRange::default() };
    let of_category = ReplayRange { category: Some("note".to_owned()), ..ReplayRange::default() };
    assert_eq!(relay::count_replay(&source.config(), &of_category).await.unwrap(), 6);
    let topic = format!("{prefix}replayed");
    assert_eq!(replay(of_stream.clone(), &topic).await.unwrap(), 3);
    assert_eq!(replay(of_category, &topic).await.unwrap(), 6, "again, whatever the topic holds");
    let again: Vec<_> = [("note-1", 1), ("note-2", 2)]
        .into_iter()
        .flat_map(|(stream, times)| {
            (1..=3).flat_map(move |seq| vec![(stream.to_owned(), seq.to_string()); times])
        })
        .collect();
    assert_eq!(events(&records(&topic, 9).await), again);
    for topic in [format!("{prefix}core.note"), "no topic".to_owned()] {
        assert!(replay(of_stream.clone(), &topic).await.is_err(), "{topic}");
    }
    source.drop().await;
}
