//! What is too large for a broker is refused at append; what an append costs does not grow with the table.

use event::NewEvent;
use event_store::{EVENT_BYTES_MAX, Error, Store, TYPE_BYTES_MAX};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testbed::TestDatabase;

use crate::entry::{entry, events_of_all_streams, json, stream};

const EVENT_TOO_LARGE: &str = "LU004";

/// Behind the `:` and `,` of the metadata of `entry`, in the database's text and not in serde's.
const METADATA_SPACES: usize = 3;

/// An event whose `data` and `metadata` have so many bytes in the text that the relay forwards.
fn of_forwarded_bytes(stream_name: &str, seq: i64, bytes: usize) -> NewEvent {
    let mut event = entry(stream_name, seq);
    let metadata = serde_json::to_string(&event.metadata).unwrap().len() + METADATA_SPACES;
    let filler = bytes - metadata - r#"{"s": ""}"#.len();
    event.data = json(&format!(r#"{{"s":"{}"}}"#, "x".repeat(filler)));
    event
}

fn is_too_large(outcome: Result<bool, Error>) -> bool {
    matches!(outcome, Err(Error::TooLarge(_)))
}

async fn forwarded_bytes(store: &Store, name: &str) -> Vec<i64> {
    let text = "select (octet_length(data::text) + octet_length(metadata::text))::bigint from event
                where stream = $1 order by seq";
    sqlx::query_scalar(text).bind(name).fetch_all(store.pool()).await.unwrap()
}

#[tokio::test]
async fn an_event_of_the_largest_size_is_taken_and_one_byte_more_is_refused() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let largest = EVENT_BYTES_MAX;
    for seq in 1..=2 {
        assert!(store.append(vec![of_forwarded_bytes("alone-1", seq, largest)]).await.unwrap());
        assert!(is_too_large(store.append(vec![of_forwarded_bytes("alone-1", seq + 1, largest + 1)]).await));
    }
    let several =
        |bytes| vec![of_forwarded_bytes("several-1", 1, largest), of_forwarded_bytes("several-1", 2, bytes)];
    assert!(is_too_large(store.append(several(largest + 1)).await));
    assert!(store.append(several(largest)).await.unwrap());
    for name in ["alone-1", "several-1"] {
        assert_eq!(forwarded_bytes(&store, name).await, [i64::try_from(largest).unwrap(); 2], "{name}");
    }
    database.drop_database().await;
}

#[tokio::test]
async fn an_event_that_is_too_large_as_it_is_given_never_reaches_the_server() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    store.pool().close().await;
    let mut too_large = entry("note-1", 1);
    too_large.data = json(&format!(r#""{}""#, "x".repeat(EVENT_BYTES_MAX)));
    let mut long_type = entry("note-1", 1);
    long_type.event_type = "T".repeat(TYPE_BYTES_MAX + 1).into();
    for event in [too_large, long_type] {
        assert!(is_too_large(store.append(vec![event.clone()]).await));
        assert!(is_too_large(store.append(vec![entry("note-0", 1), event]).await));
    }
    database.drop_database().await;
}

/// One event by each of the two functions.
fn appends(stream: &str, event_type: &str, data: &str, metadata: &str) -> [String; 2] {
    let ids = "gen_random_uuid(), gen_random_uuid()";
    [
        format!(
            "select append_event({stream}, 1, gen_random_uuid(), {event_type}, 1::smallint, {data}, {ids}, {metadata})"
        ),
        format!(
            "select append_events(array[{stream}], array[1::bigint], array[gen_random_uuid()], array[{event_type}],
                array[1::smallint], array[{data}], array[gen_random_uuid()], array[gen_random_uuid()], array[{metadata}])"
        ),
    ]
}

#[tokio::test]
async fn what_is_small_in_its_binary_form_cannot_grow_past_the_limit_when_it_is_forwarded() {
    let database = TestDatabase::create("core").await;
    let mut application = PgConnection::connect_with(&database.application()).await.unwrap();
    let no_metadata = "jsonb '{}'";
    for (data, binary_bytes_max) in [
        // Six numbers of 131,072 digits, out of 50 bytes.
        ("jsonb '[1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1e131071]'", 120),
        // As many digits behind the point.
        (r#"(select jsonb_agg(jsonb '1e-16383') from generate_series(1, 49))"#, 1_000),
        // Each control character is `\u0001` in text: six bytes out of one.
        (r"to_jsonb(repeat(chr(1), 131072))", 131_100),
    ] {
        let size = AssertSqlSafe(format!("select pg_column_size({data})"));
        let binary_bytes: i32 = sqlx::query_scalar(size).fetch_one(&mut application).await.unwrap();
        assert!(binary_bytes <= binary_bytes_max, "{binary_bytes} bytes: {data}");
        for (data, metadata) in [(data, no_metadata), (no_metadata, data)] {
            for append in appends("'note-1'", "'Entered'", data, metadata) {
                assert_eq!(refusal(&mut application, &append).await, EVENT_TOO_LARGE, "{data}, {metadata}");
            }
        }
    }
    assert_eq!(events_of_all_streams(&database.store().await).await, 0);
    database.drop_database().await;
}

#[tokio::test]
async fn names_are_as_long_as_a_key_and_a_header_may_be() {
    let database = TestDatabase::create("core").await;
    let mut application = PgConnection::connect_with(&database.application()).await.unwrap();
    let store = database.store().await;
    let named = |bytes: usize, n: usize| format!("'note-{n}{}'", "x".repeat(bytes - "note-n".len()));
    let typed = |bytes: usize| format!("'{}'", "T".repeat(bytes));
    for n in 0..2 {
        let append = |stream: &str, event_type: &str| {
            appends(stream, event_type, "jsonb '{}'", "jsonb '{}'")[n].clone()
        };
        for (stream, event_type) in [(named(201, n), typed(1)), (named(9, n), typed(TYPE_BYTES_MAX + 1))] {
            assert_eq!(refusal(&mut application, &append(&stream, &event_type)).await, EVENT_TOO_LARGE);
        }
        let longest = append(&named(200, n), &typed(TYPE_BYTES_MAX));
        sqlx::query(AssertSqlSafe(longest)).execute(&mut application).await.unwrap();
        // What the table takes, the relay and the handlers can read: its name is one to them.
        stream(named(200, n).trim_matches('\''));
    }
    assert_eq!(events_of_all_streams(&store).await, 2);
    database.drop_database().await;
}

async fn refusal(connection: &mut PgConnection, sql: &str) -> String {
    let error = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap_err();
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn a_table_that_was_small_when_it_was_analyzed_is_never_read_as_a_whole() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    store.append((1..=60).map(|seq| entry("note-1", seq)).collect()).await.unwrap();
    let mut superuser = database.superuser_connection().await;
    sqlx::query("analyze event").execute(&mut superuser).await.unwrap();

    // One session, so that plans are cached; one transaction, since its own counts are there at once.
    let mut application = PgConnection::connect_with(&database.application()).await.unwrap();
    let mut transaction = application.begin().await.unwrap();
    let one = "select append_event('note-1', $1, $2, 'Entered', 1::smallint, '{}', $2, $2, '{}')";
    let several = "select append_events(array['note-1', 'note-1'], array[$1, $1 + 1], array[$2, $3], '{Entered,Entered}',
                       '{1,1}', array['{}', '{}']::jsonb[], array[$2, $2], array[$2, $2], array['{}', '{}']::jsonb[])";
    for round in 0..12 {
        let (seq, ids) = (61 + 3 * round, [(); 3].map(|()| uuid::Uuid::now_v7()));
        for appended in [true, false] {
            let once: bool =
                sqlx::query_scalar(one).bind(seq).bind(ids[0]).fetch_one(&mut *transaction).await.unwrap();
            let two = sqlx::query_scalar(several).bind(seq + 1).bind(ids[1]).bind(ids[2]);
            let two: bool = two.fetch_one(&mut *transaction).await.unwrap();
            assert_eq!((once, two), (appended, appended), "round {round}");
        }
    }
    let (whole, by_index): (i64, i64) =
        sqlx::query_as("select seq_scan, idx_scan from pg_stat_xact_user_tables where relname = 'event'")
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
    assert_eq!(whole, 0);
    assert!(by_index >= 48, "only {by_index} probes were counted");
    transaction.commit().await.unwrap();
    database.drop_database().await;
}
