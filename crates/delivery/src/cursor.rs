//! How far a handler has come in each stream: `(handler, source, stream) → seq`.

use std::collections::HashMap;

use event::{Seq, StreamName};
use sqlx::PgConnection;

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
    asked: &[(&str, Seq)],
) -> Result<HashMap<String, Place>, sqlx::Error> {
    let streams: Vec<&str> = asked.iter().map(|(stream, _)| *stream).collect();
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

/// Moves the cursors by compare-and-set. False when one of them stands elsewhere: another consumer was here.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    identity: Identity<'_>,
    steps: &[Step<'_>],
) -> Result<bool, sqlx::Error> {
    let streams: Vec<&str> = steps.iter().map(|step| step.stream.as_str()).collect();
    let froms: Vec<i64> = steps.iter().map(|step| step.from.get()).collect();
    let tos: Vec<i64> = steps.iter().map(|step| step.to.get()).collect();
    let moved = sqlx::query(
        "with step as (
             select * from unnest($3::text[], $4::bigint[], $5::bigint[]) as step (stream, before, after)
         ), started as (
             insert into cursor (handler, source, stream, seq)
             select $1, $2, stream, after from step where before = 0 order by stream
             on conflict do nothing returning 1
         ), moved as (
             update cursor set seq = ($5::bigint[])[array_position($3::text[], stream)]
             where handler = $1 and source = $2 and stream = any($3::text[])
               and seq = nullif(($4::bigint[])[array_position($3::text[], stream)], 0)
             returning 1
         )
         select 1 from started union all select 1 from moved",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(streams)
    .bind(froms)
    .bind(tos)
    .fetch_all(connection)
    .await?;
    Ok(moved.len() == steps.len())
}
