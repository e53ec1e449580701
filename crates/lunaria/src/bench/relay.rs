//! The relay as a process of its own, beside a reader of the same log that does nothing with it.
//!
//! ```text
//! writers ─► Postgres ─► walsender ─► relay ─► Kafka ─► consumer      drain, CPU per event, memory, latency, confirm lag
//!                            └──────► null reader                     the floor
//! ```

mod catch_up;
mod child;
mod drain;
mod ground;
mod large;
mod latency;

use anyhow::Context;
use local_servers::{Java, KafkaBroker, KafkaOptions};

use super::Bed;
use super::figure::Figure;
use crate::cli::BenchOptions;
use ground::Ground;

pub(super) async fn measure(bed: &Bed, options: &BenchOptions) -> anyhow::Result<Vec<Figure>> {
    let libs = options.kafka_libs.clone();
    let libs = libs.context("bench relay needs Kafka's jars: --kafka-libs \"$(scripts/kafka.sh)\"")?;
    let directory = bed.directory.join("kafka");
    let start = move || {
        KafkaBroker::start(KafkaOptions { java: Java::AsKafkaStarts, ..KafkaOptions::new(directory, libs) })
    };
    let kafka = tokio::task::spawn_blocking(start).await??;
    let measured = all(bed, options, &kafka).await;
    tokio::task::spawn_blocking(move || kafka.stop()).await??;
    measured
}

async fn all(bed: &Bed, options: &BenchOptions, kafka: &KafkaBroker) -> anyhow::Result<Vec<Figure>> {
    let ground = Ground::prepare(bed, kafka, "drain").await?;
    let mut figures = drain::measure(&ground, options).await?;
    let drained = figures.first().map_or(0.0, |drain| drain.value);
    let ground = Ground::prepare(bed, kafka, "catch_up").await?;
    figures.push(catch_up::measure(&ground, options, drained).await?);
    for load in &latency::LOADS {
        let ground = Ground::prepare(bed, kafka, load.slot).await?;
        figures.extend(latency::measure(&ground, load, options.seconds).await?);
    }
    if options.long {
        let ground = Ground::prepare(bed, kafka, "large").await?;
        figures.push(large::measure(&ground, options).await?);
    }
    Ok(figures)
}

fn figure(measure: &'static str, value: f64, unit: &'static str, floor: Option<f64>) -> Figure {
    Figure { bench: "relay", measure, value, unit, floor }
}
