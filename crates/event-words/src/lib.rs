//! Events found by the words in them: a projection with a row for each event that has any, which leads to the event. What is found is read from
//! the event table, so that a row that is wrong can hide an event, and never make one up.

use async_trait::async_trait;
use delivery::{HandleError, Subscription};
use event::{RecordedEvent, Seq};
use event_store::{Error, Store, StreamSeq};
use jiff::Timestamp;
use projection::{Newest, Page, Projection};
use sqlx::PgConnection;
use uuid::Uuid;

mod words;
pub use words::{holds, words_in};

/// Those of core's streams whose events hold something that is searched.
pub const CATEGORIES: &[&str] = &[
    "transfer",
    "incoming",
    "authorisation",
    "order",
    "customer",
    "webhook",
    "correction",
    "bulk",
    "retry",
    "case",
];

/// Writes `event_words` (migrations/core/1013_event_words.sql).
pub struct EventWords;

#[async_trait]
impl Projection for EventWords {
    fn name(&self) -> &'static str {
        "event.words"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: CATEGORIES }
    }

    async fn project(
        &self,
        events: &[&RecordedEvent],
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let mut found = Vec::new();
        for event in events {
            let words = words_in(event.data.get())
                .map_err(|error| HandleError::Failed(format!("the event's data: {error}")))?;
            found.extend(words.map(|words| (*event, words)));
        }
        if found.is_empty() {
            return Ok(());
        }
        let of = found.iter().map(|(event, _)| event);
        let streams: Vec<&str> = of.clone().map(|event| event.stream.as_str()).collect();
        let seqs: Vec<i64> = of.clone().map(|event| event.seq.get()).collect();
        let ids: Vec<Uuid> = of.clone().map(|event| event.id).collect();
        let categories: Vec<&str> = of.clone().map(|event| event.stream.category()).collect();
        let types: Vec<&str> = of.clone().map(|event| event.event_type.as_str()).collect();
        let times: Vec<jiff_sqlx::Timestamp> =
            of.map(|event| jiff_sqlx::Timestamp::from(event.recorded_at)).collect();
        sqlx::query(
            "insert into event_words (stream, seq, id, category, type, recorded_at, words)
             select stream, seq, id, category, type, recorded_at, string_to_array(words, ' ')
             from unnest($1::text[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::text[])
                 as event (stream, seq, id, category, type, recorded_at, words)",
        )
        .bind(streams)
        .bind(seqs)
        .bind(ids)
        .bind(categories)
        .bind(types)
        .bind(times)
        .bind(found.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// What to look for. The newest come first.
#[derive(Debug, Clone)]
pub struct Filter {
    pub category: Option<String>,
    pub event_type: Option<String>,
    /// All of these, or words that begin like them.
    pub words: String,
    pub page: Page,
}

/// Where an event stands.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Found {
    stream: String,
    seq: i64,
    id: Uuid,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    recorded_at: Timestamp,
}

/// A page of events, as far as the projection has come; how many were found for it, and the place of the last one.
pub async fn find(
    store: &Store,
    filter: &Filter,
) -> Result<(Vec<RecordedEvent>, usize, Option<(Timestamp, Uuid)>), Error> {
    let found: Vec<Found> = Newest::of("event_words", "recorded_at", filter.page)
        .text("category", filter.category.as_deref())
        .text("type", filter.event_type.as_deref())
        .words("words", Some(&words::words_of(&filter.words)))
        .rows(store)
        .await?;
    let (count, last) = (found.len(), found.last().map(|found| (found.recorded_at, found.id)));
    let place =
        |found: Found| Some(StreamSeq { stream: found.stream.parse().ok()?, seq: Seq::new(found.seq) });
    let places: Vec<StreamSeq> = found.into_iter().filter_map(place).collect();
    Ok((store.read_at(&places).await?, count, last))
}
