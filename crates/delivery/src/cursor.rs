//! How far a handler has come in each stream: `(handler, source, stream) → seq`.

use std::collections::HashMap;

use event::{Seq, StreamName};
use event_store::Server;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::identity::Identity;

/// A handler's place in a stream, and whether the stream waits at a parked event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) seq: Seq,
    pub(crate) parked: bool,
    /// Whether the event that was asked for can be read here already. A slot sends a commit before other sessions see it: the
    /// committing backend may still be on its way, or wait for a synchronous standby.
    pub(crate) visible: bool,
}

/// One step of a cursor: it moves only if it still stands at `from`.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) stream: &'a StreamName,
    pub(crate) from: Seq,
    pub(crate) to: Seq,
}

pub(crate) async fn places(
    connection: &mut PgConnection,
    identity: Identity<'_>,
    asked: &[(&StreamName, Seq)],
) -> Result<HashMap<String, Place>, sqlx::Error> {
    let streams: Vec<&str> = asked.iter().map(|(stream, _)| stream.as_str()).collect();
    let seqs: Vec<i64> = asked.iter().map(|(_, seq)| seq.get()).collect();
    // Row by row: a join that was planned while the table was small reads all of the handler's cursors, each time.
    let rows: Vec<(String, i64, bool, bool)> = sqlx::query_as(
        "select asked.stream,
                coalesce((select seq from cursor
                          where handler = $1 and source = $2 and cursor.stream = asked.stream), 0),
                (select true from parked
                 where handler = $1 and source = $2 and parked.stream = asked.stream limit 1) is not null,
                (select true from event where event.stream = asked.stream and event.seq = asked.seq) is not null
         from unnest($3::text[], $4::bigint[]) as asked (stream, seq)",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(streams)
    .bind(seqs)
    .fetch_all(connection)
    .await?;
    let place = |(stream, seq, parked, visible)| (stream, Place { seq: Seq::new(seq), parked, visible });
    Ok(rows.into_iter().map(place).collect())
}

/// What came of moving cursors. Unless all have moved, none waits, and all is visible, it is to be rolled back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    /// No: one of them stands elsewhere. Another consumer was here, or events are missing.
    pub(crate) all: bool,
    /// One of the streams waits at a parked event.
    pub(crate) waits: bool,
    /// The events that were moved to can be read here, or are not of this database.
    pub(crate) visible: bool,
    pub(crate) server: Server,
}

/// Moves the cursors by compare-and-set.
///
/// An upsert, since that probes the index row by row; an update that was planned on an empty table reads all of the handler's
/// cursors, each time.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    identity: Identity<'_>,
    steps: &[Step<'_>],
    is_own: bool,
) -> Result<Moved, sqlx::Error> {
    let streams: Vec<&str> = steps.iter().map(|step| step.stream.as_str()).collect();
    // An object, which is searched by its key: an upsert sees no column of what it selects from but the table's own.
    let froms: serde_json::Map<String, Value> =
        steps.iter().map(|step| (step.stream.to_string(), step.from.get().into())).collect();
    let tos: Vec<i64> = steps.iter().map(|step| step.to.get()).collect();
    // A row without an xmax is new, which is right only when nothing of its stream was handled before.
    let row: (i64, bool, bool, jiff_sqlx::Timestamp, i64) = sqlx::query_as(
        "with moved as (
             insert into cursor (handler, source, stream, seq)
             select $1, $2, stream, after from unnest($3::text[], $5::bigint[]) as step (stream, after)
             order by stream
             on conflict (handler, source, stream) do update set seq = excluded.seq
                 where cursor.seq = ($4::jsonb ->> cursor.stream)::bigint
             returning (xmax = 0) = (($4::jsonb ->> stream)::bigint = 0) as as_expected
         )
         select (select count(*) from moved where as_expected),
                exists (select from unnest($3::text[]) as step (stream)
                        where (select true from parked
                               where handler = $1 and source = $2 and parked.stream = step.stream limit 1)),
                not ($6 and exists (select from unnest($3::text[], $5::bigint[]) as step (stream, after)
                        where (select true from event
                               where event.stream = step.stream and event.seq = step.after) is null)),
                pg_postmaster_start_time(), (select oid::bigint from pg_database where datname = current_database())",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(streams)
    .bind(Json(froms))
    .bind(tos)
    .bind(is_own)
    .fetch_one(connection)
    .await?;
    let (moved, waits, visible, started_at, database) = row;
    let server = Server { started_at: started_at.to_jiff(), database };
    Ok(Moved { all: usize::try_from(moved) == Ok(steps.len()), waits, visible, server })
}
