//! The way in: `append_event` for one event, `append_events` for several (migrations/0005_append.sql).

use event::NewEvent;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::Error;

/// What `data` and `metadata` of one event may have together, as JSON text. It keeps the Kafka record, with its headers, below the
/// broker's default limit of 1,048,588 bytes. `append_events` holds to it as well, in the text that the relay forwards.
pub const EVENT_BYTES_MAX: usize = 768 * 1024;
/// Types become a header of every record.
pub const TYPE_BYTES_MAX: usize = 255;

/// The events of one unit of work, sorted by stream and seq, each within the limits.
pub(crate) struct Append<'a> {
    events: &'a [NewEvent],
    metadatas: Vec<Box<RawValue>>,
}

impl<'a> Append<'a> {
    pub(crate) fn of(events: &'a [NewEvent]) -> Result<Self, Error> {
        debug_assert!(events.is_sorted_by_key(|event| (&event.stream, event.seq)));
        let metadatas = events.iter().map(checked_metadata).collect::<Result<_, _>>()?;
        Ok(Self { events, metadatas })
    }

    /// Appends them in one round trip. False when all of them had been appended by an earlier try.
    pub(crate) async fn run_in(&self, connection: &mut PgConnection) -> Result<bool, Error> {
        match (self.events, self.metadatas.as_slice()) {
            ([event], [metadata]) => append_event(connection, event, metadata).await,
            (events, metadatas) => append_events(connection, events, metadatas).await,
        }
    }
}

/// `Append::of` and `run_in` at once, for whoever has a connection anyway.
pub(crate) async fn append_in(connection: &mut PgConnection, events: &[NewEvent]) -> Result<bool, Error> {
    Append::of(events)?.run_in(connection).await
}

async fn append_event(
    connection: &mut PgConnection,
    event: &NewEvent,
    metadata: &RawValue,
) -> Result<bool, Error> {
    let appended = sqlx::query_scalar("select append_event($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(event.stream.as_str())
        .bind(event.seq.get())
        .bind(event.id)
        .bind(&*event.event_type)
        .bind(event.version)
        .bind(Json(&*event.data))
        .bind(event.correlation_id)
        .bind(event.causation_id)
        .bind(Json(metadata))
        .fetch_one(connection)
        .await?;
    Ok(appended)
}

async fn append_events(
    connection: &mut PgConnection,
    events: &[NewEvent],
    metadatas: &[Box<RawValue>],
) -> Result<bool, Error> {
    let metadatas: Vec<Json<&RawValue>> = metadatas.iter().map(|metadata| Json(&**metadata)).collect();
    let streams: Vec<&str> = events.iter().map(|event| event.stream.as_str()).collect();
    let seqs: Vec<i64> = events.iter().map(|event| event.seq.get()).collect();
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let types: Vec<&str> = events.iter().map(|event| &*event.event_type).collect();
    let versions: Vec<i16> = events.iter().map(|event| event.version).collect();
    let datas: Vec<Json<&RawValue>> = events.iter().map(|event| Json(&*event.data)).collect();
    let correlation_ids: Vec<Uuid> = events.iter().map(|event| event.correlation_id).collect();
    let causation_ids: Vec<Uuid> = events.iter().map(|event| event.causation_id).collect();
    let appended = sqlx::query_scalar("select append_events($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(streams)
        .bind(seqs)
        .bind(ids)
        .bind(types)
        .bind(versions)
        .bind(datas)
        .bind(correlation_ids)
        .bind(causation_ids)
        .bind(metadatas)
        .fetch_one(connection)
        .await?;
    Ok(appended)
}

/// The event's metadata as JSON, once the event is known to be within the limits.
fn checked_metadata(event: &NewEvent) -> Result<Box<RawValue>, Error> {
    let metadata = to_raw_value(&event.metadata)?;
    let bytes = event.data.get().len() + metadata.get().len();
    if bytes > EVENT_BYTES_MAX {
        return Err(Error::TooLarge(format!(
            "the event {}@{} is too large: {bytes} bytes of data and metadata, at most {EVENT_BYTES_MAX} are kept",
            event.stream, event.seq,
        )));
    }
    if event.event_type.len() > TYPE_BYTES_MAX {
        return Err(Error::TooLarge(format!(
            "the type of {}@{} has {} bytes, at most {TYPE_BYTES_MAX} are kept",
            event.stream,
            event.seq,
            event.event_type.len(),
        )));
    }
    Ok(metadata)
}
