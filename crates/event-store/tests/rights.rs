//! Who may change the event table: nobody.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testbed::TestDatabase;

use crate::entry::{entry, seqs};

const PERMISSION_DENIED: &str = "42501";
const EVENTS_ARE_NEVER_CHANGED: &str = "LU003";

const INSERT: &str = "insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
    select stream, seq + 1, gen_random_uuid(), type, version, data, correlation_id, causation_id, metadata, recorded_at
    from event";
const UPDATE: &str = "update event set data = '{}'";
const DELETE: &str = "delete from event";
const TRUNCATE: &str = "truncate event";

async fn code_of(connection: &mut PgConnection, sql: &str) -> String {
    let outcome = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    match outcome {
        Ok(_) => "done".to_owned(),
        Err(error) => error.as_database_error().unwrap().code().unwrap().into_owned(),
    }
}

async fn one_event() -> TestDatabase {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    store.append(vec![entry("note-1", 1)]).await.unwrap();
    store.pool().close().await;
    database
}

#[tokio::test]
async fn the_application_cannot_touch_the_event_table_but_through_append_events() {
    let database = one_event().await;
    let mut application = PgConnection::connect_with(&database.application()).await.unwrap();
    for sql in
        [INSERT, UPDATE, DELETE, TRUNCATE, "set session_replication_role = replica", "set role lunaria_owner"]
    {
        assert_eq!(code_of(&mut application, sql).await, PERMISSION_DENIED, "{sql}");
    }
    // Only an owner may do these, whatever was granted.
    for sql in [
        "alter table event disable trigger event_append_only",
        "drop table event",
        "alter publication lunaria set (publish = 'insert')",
        "create table public.elsewhere ()",
    ] {
        assert_eq!(code_of(&mut application, sql).await, PERMISSION_DENIED, "{sql}");
    }
    assert_eq!(seqs(&database.store().await, "note-1").await, [1]);
    database.drop_database().await;
}

#[tokio::test]
async fn the_relay_reads_events_and_appends_none() {
    let database = one_event().await;
    let mut relay = PgConnection::connect(&database.relay_url()).await.unwrap();
    let append = "select append_events('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')";
    let append_one =
        "select append_event('note-1', 2, gen_random_uuid(), '', 1::smallint, '{}', gen_random_uuid(),
        gen_random_uuid(), '{}')";
    for sql in
        [append, append_one, INSERT, UPDATE, DELETE, TRUNCATE, "select from request", "select from cursor"]
    {
        assert_eq!(code_of(&mut relay, sql).await, PERMISSION_DENIED, "{sql}");
    }
    assert_eq!(code_of(&mut relay, "select from event").await, "done");
    database.drop_database().await;
}

#[tokio::test]
async fn the_triggers_refuse_a_change_even_by_the_owner_and_the_superuser() {
    let database = one_event().await;
    let mut superuser = database.superuser_connection().await;
    for role in ["lunaria_owner", "postgres"] {
        assert_eq!(code_of(&mut superuser, &format!("set role {role}")).await, "done");
        for sql in [UPDATE, DELETE, TRUNCATE, "delete from event where false"] {
            assert_eq!(code_of(&mut superuser, sql).await, EVENTS_ARE_NEVER_CHANGED, "{role}: {sql}");
        }
    }
    assert_eq!(seqs(&database.store().await, "note-1").await, [1]);
    database.drop_database().await;
}
