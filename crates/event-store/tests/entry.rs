//! Events made by hand, and a look at what stands in the table.

use event::{Actor, CausationKind, Metadata, NewEvent, Seq, StreamName};
use event_store::Store;
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};
use testbed::TestDatabase;
use uuid::Uuid;

pub(crate) fn stream(name: &str) -> StreamName {
    name.parse().unwrap()
}

pub(crate) fn entry(stream_name: &str, seq: i64) -> NewEvent {
    NewEvent {
        stream: stream(stream_name),
        seq: Seq::new(seq),
        id: Uuid::now_v7(),
        event_type: "Entered".into(),
        version: 1,
        data: json(&format!(r#"{{"n": {seq}}}"#)),
        correlation_id: Uuid::now_v7(),
        causation_id: Uuid::now_v7(),
        metadata: Metadata {
            actor: Actor("customer:test".to_owned()),
            causation_kind: CausationKind::Request,
            traceparent: None,
            source: None,
        },
    }
}

pub(crate) fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// The seqs of a stream as they stand.
pub(crate) async fn seqs(store: &Store, name: &str) -> Vec<i64> {
    let events = store.read(&stream(name), Seq::ZERO, 10_000).await.unwrap();
    events.iter().map(|event| event.seq.get()).collect()
}

pub(crate) async fn events_of_all_streams(store: &Store) -> i64 {
    sqlx::query_scalar("select count(*) from event").fetch_one(store.pool()).await.unwrap()
}

/// Waits until a transaction in this database waits for another one.
pub(crate) async fn until_one_waits_for_another(database: &TestDatabase) {
    let superuser = PgPool::connect_with(database.superuser().clone()).await.unwrap();
    testbed::eventually("a transaction waits for another one", async || {
        let waiting: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity
                            where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&superuser)
        .await
        .unwrap();
        waiting.then_some(())
    })
    .await;
    superuser.close().await;
}

/// An append whose transaction stays open.
pub(crate) async fn append_directly(connection: &mut PgConnection, event: &NewEvent) {
    sqlx::query(
        "select append_events(array[$1], array[$2], array[$3], array[$4], array[$5], array[$6]::jsonb[],
                              array[$7], array[$8], array[$9]::jsonb[])",
    )
    .bind(event.stream.as_str())
    .bind(event.seq.get())
    .bind(event.id)
    .bind(event.event_type.as_ref())
    .bind(event.version)
    .bind(event.data.get())
    .bind(event.correlation_id)
    .bind(event.causation_id)
    .bind(serde_json::to_string(&event.metadata).unwrap())
    .execute(connection)
    .await
    .unwrap();
}
