//! A read model in a document store: one document per transfer, kept by core's events over Kafka.
//!
//! cargo run --release -p delivery --example document_store -- FILE postgres://lunaria_app@HOST/DATABASE BROKERS
//! cargo run --release -p delivery --example document_store -- FILE transfer-0198c1f2-…      once the first is stopped: it has the file alone
//!
//! The store is redb, in a file of its own (https://docs.rs/redb). With one that is spoken to over a network, a search engine for example,
//! `open` becomes a client and `take` a request; where that store cannot write documents and places at once, it writes the places last,
//! and each document with the seq that it is of, so that an older one does not replace it (Elasticsearch: `version_type=external`).

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use delivery::{ConsumerConfig, Elsewhere, Engine, HandleError, Subscription, consume};
use event::{RecordedEvent, Seq, StreamName};
use event_store::Store;
use kafka_client::{Access, TopicNames};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde_json::{Map, Value, json};
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;

/// Stream → JSON.
const DOCUMENTS: TableDefinition<'_, &str, &str> = TableDefinition::new("documents");
/// Stream → the seq that its document is of.
const PLACES: TableDefinition<'_, &str, i64> = TableDefinition::new("places");

/// The documents, and how far they have come. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Documents(Arc<Database>);

impl Documents {
    pub(crate) fn open(file: &Path) -> Result<Self, redb::Error> {
        Ok(Self(Arc::new(Database::create(file)?)))
    }

    pub(crate) fn find(&self, stream: &str) -> Result<Option<Value>, redb::Error> {
        let documents = match self.0.begin_read()?.open_table(DOCUMENTS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            documents => documents?,
        };
        let found = documents.get(stream)?;
        Ok(found.and_then(|document| serde_json::from_str(document.value()).ok()))
    }

    fn places_of(&self, streams: &[StreamName]) -> Result<Vec<Seq>, redb::Error> {
        let places = match self.0.begin_read()?.open_table(PLACES) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(vec![Seq::ZERO; streams.len()]),
            places => places?,
        };
        let place = |stream: &StreamName| {
            let seq = places.get(stream.as_str())?.map_or(0, |seq| seq.value());
            Ok(Seq::new(seq))
        };
        streams.iter().map(place).collect()
    }

    fn write(&self, events: &[RecordedEvent]) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        {
            let mut documents = transaction.open_table(DOCUMENTS)?;
            let mut places = transaction.open_table(PLACES)?;
            for event in events {
                let stream = event.stream.as_str();
                // Somebody else may have been at it meanwhile.
                if places.get(stream)?.is_some_and(|place| place.value() >= event.seq.get()) {
                    continue;
                }
                let known = documents.get(stream)?.and_then(|text| serde_json::from_str(text.value()).ok());
                let document = Value::Object(with(known.unwrap_or_default(), event));
                documents.insert(stream, document.to_string().as_str())?;
                places.insert(stream, event.seq.get())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// What is known of a transfer, and one event more.
fn with(mut document: Map<String, Value>, event: &RecordedEvent) -> Map<String, Value> {
    if let Ok(Value::Object(fields)) = serde_json::from_str(event.data.get()) {
        document.extend(fields);
    }
    document.insert("status".to_owned(), json!(event.event_type));
    document.insert("changed_at".to_owned(), json!(event.recorded_at));
    let story = document.entry("story").or_insert_with(|| json!([]));
    if let Value::Array(story) = story {
        story.push(json!({ "type": event.event_type, "at": event.recorded_at }));
    }
    document
}

#[async_trait]
impl Elsewhere for Documents {
    fn name(&self) -> &'static str {
        "example.documents"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["transfer"] }
    }

    async fn places(&self, streams: &[&StreamName]) -> Result<Vec<Seq>, HandleError> {
        let (documents, streams) = (self.clone(), streams.iter().copied().cloned().collect::<Vec<_>>());
        beside(move || documents.places_of(&streams)).await
    }

    async fn take(&self, events: &[&RecordedEvent]) -> Result<(), HandleError> {
        let (documents, events) = (self.clone(), events.iter().copied().cloned().collect::<Vec<_>>());
        beside(move || documents.write(&events)).await
    }
}

/// What waits for a disk keeps nobody else from running.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, redb::Error> + Send + 'static,
) -> Result<T, HandleError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| HandleError::Unavailable(error.to_string()))?.map_err(unavailable)
}

/// It is tried again, for as long as it takes.
fn unavailable(error: redb::Error) -> HandleError {
    HandleError::Unavailable(format!("the document store: {error}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, database, brokers) = match arguments.as_slice() {
        [file, database, brokers] => (file, database, brokers),
        [file, stream] => {
            let found = Documents::open(Path::new(file))?.find(stream)?;
            writeln!(std::io::stdout(), "{:#}", found.ok_or("there is no such document")?)?;
            return Ok(());
        }
        _ => return Err("usage: document_store FILE (DATABASE-URL BROKERS | STREAM)".into()),
    };
    let store = Store::connect("core", database.parse::<PgConnectOptions>()?, 4).await?;
    let shutdown = CancellationToken::new();
    let documents = Documents::open(Path::new(file))?;
    let engine = Engine::elsewhere(Arc::new(documents), store.clone(), Arc::new(store), shutdown.clone());
    let names = TopicNames::by_category("");
    let config = ConsumerConfig {
        access: Access::plaintext(brokers.as_str()),
        names,
        instance: "document-store".to_owned(),
    };
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        shutdown.cancel();
    });
    Ok(consume(&config, engine).await?)
}
