//! The one way in: `append_events`.

use event::NewEvent;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::Error;

/// Appends the events of one unit of work, sorted by stream and seq, in one round trip. False when all of them
/// had been appended by an earlier try.
pub(crate) async fn append_in(connection: &mut PgConnection, events: &[NewEvent]) -> Result<bool, Error> {
    debug_assert!(events.is_sorted_by_key(|event| (&event.stream, event.seq)));
    let streams: Vec<&str> = events.iter().map(|event| event.stream.as_str()).collect();
    let seqs: Vec<i64> = events.iter().map(|event| event.seq.get()).collect();
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let types: Vec<&str> = events.iter().map(|event| &*event.event_type).collect();
    let versions: Vec<i16> = events.iter().map(|event| event.version).collect();
    let datas: Vec<Json<&RawValue>> = events.iter().map(|event| Json(&*event.data)).collect();
    let correlation_ids: Vec<Uuid> = events.iter().map(|event| event.correlation_id).collect();
    let causation_ids: Vec<Uuid> = events.iter().map(|event| event.causation_id).collect();
    let metadatas: Vec<Json<&event::Metadata>> = events.iter().map(|event| Json(&event.metadata)).collect();
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
