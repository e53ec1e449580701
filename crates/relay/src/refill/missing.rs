//! Which events the sink misses: the two ways to know, as SQL over the event table.

use replication::{Client, literal};
use tokio::sync::mpsc;

use crate::{Error, Held, OpenSink, Retained};

/// Of a thousand streams each, while the server notes the one before.
const HELD_CHUNKS_MAX: usize = 4;
/// What an estimate reads at most, 80 MB.
const SAMPLE_BLOCKS: u64 = 10_000;
/// A join and a sort of this much stay in memory; what is more goes to the server's temporary files.
const WORK_MEM: &str = "64MB";

/// How a refill knows what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By asking the sink: each stream from its first missing seq on. Finds holes, whatever made them.
    Compare,
    /// By the horizon: what was not finished when it was taken. Without a look at the sink.
    Horizon,
    /// The sink keeps no record, so all of it.
    Everything,
}

/// Transactions that are older than this were finished, one way or the other, when a snapshot was taken.
///
/// A snapshot's xmin, and not the snapshot: it lists top-level transactions only, while a row that was inserted under
/// a savepoint carries the number of a subtransaction, which would count as visible though its parent was still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) before_xid: u64,
}

/// What an earlier attempt has brought to the sink, of what was finished then: a row with a lower position may have been
/// committed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) finished: Finished,
    pub(super) position: i64,
}

/// What to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// `unknown_since`: of a stream that the sink does not know, what was finished then is with it, or was.
    AfterHeld {
        unknown_since: Option<Finished>,
    },
    Since {
        horizon: Finished,
        copied: Option<Copied>,
    },
    Everything,
}

impl Finished {
    /// Of a `pg_snapshot`: `xmin:xmax:xip,…`.
    pub(super) fn at(snapshot: &str) -> Option<Self> {
        let before_xid = snapshot.split(':').next()?.parse().ok()?;
        Some(Self { before_xid })
    }

    /// A condition on a row's `xmin`: written by a transaction that is not older than this.
    ///
    /// `age` counts back from the next transaction, modulo 2^32 and signed, and both sides count from the same one. A row
    /// that is older than 2^31 transactions gets a negative age, and is sent once more; it is never left out.
    fn not_yet(self) -> String {
        let low = self.before_xid & u64::from(u32::MAX);
        format!("age(event.xmin) <= (select age('{low}'::xid))")
    }
}

impl Missing {
    pub(super) fn way(self) -> Way {
        match self {
            Self::AfterHeld { .. } => Way::Compare,
            Self::Since { .. } => Way::Horizon,
            Self::Everything => Way::Everything,
        }
    }

    pub(super) fn select(self) -> String {
        let (join, condition) = self.condition();
        select_events(join, &condition)
    }

    /// What to join the events with, and which of them are meant.
    fn condition(self) -> (&'static str, String) {
        match self {
            Self::AfterHeld { unknown_since } => {
                let join = " left join pg_temp.sink_has on sink_has.stream = event.stream";
                let missing = "event.seq >= coalesce(sink_has.next_seq, 1)";
                let since = unknown_since
                    .map(|since| format!(" and (sink_has.stream is not null or {})", since.not_yet()));
                (join, format!("{missing}{}", since.unwrap_or_default()))
            }
            Self::Since { horizon, copied: None } => ("", horizon.not_yet()),
            Self::Since { horizon, copied: Some(Copied { finished, position }) } => {
                let since = finished.not_yet();
                ("", format!("{} and (event.position > {position} or {since})", horizon.not_yet()))
            }
            Self::Everything => ("", "true".to_owned()),
        }
    }

    /// By a look at some blocks of the table: the planner knows nothing of transactions' ages.
    pub(super) async fn estimate(self, client: &mut Client) -> Result<u64, Error> {
        let blocks = number(client, "select pg_relation_size('public.event') / 8192").await?;
        let share = blocks.div_ceil(SAMPLE_BLOCKS).max(1);
        let (join, condition) = self.condition();
        let count = format!(
            "select count(*) * {share}
             from public.event tablesample system (100.0 / {share}){join} where {condition}"
        );
        number(client, &count).await
    }
}

/// Of the events that are joined so and meet the condition, what the reader of events takes from a copy.
///
/// Ordered by position, which keeps each stream's order: an append needs its predecessor committed, or takes its
/// positions in one go with it. Across streams there is no order to keep but the commits', which a table does not know.
///
/// Sorted are places alone, and the rows are fetched one by one in that order: a sort of whole rows would write all of
/// them to the server's temporary files first. `offset 0` keeps the planner from turning the fetch into such a sort.
/// As text, `jsonb` costs the server less than in its binary form, which is the same text once more copied.
pub(crate) fn select_events(join: &str, condition: &str) -> String {
    format!(
        "select missing.position, stream, seq, id, type, version, data::text, correlation_id, causation_id, \
             metadata::text, recorded_at \
         from (select event.ctid as place, event.position from public.event{join} where {condition} \
               order by event.position) as missing \
         cross join lateral (select * from public.event where ctid = missing.place offset 0) as event \
         order by missing.position"
    )
}

/// The answer to a question that has one number for an answer.
pub(crate) async fn number(client: &mut Client, sql: &str) -> Result<u64, Error> {
    let rows = client.query(sql).await?;
    let answer = rows.first().and_then(|row| row.at(0)?.parse().ok());
    answer
        .ok_or_else(|| Error::Unavailable("the server does not say how large the event table is".to_owned()))
}

/// For the connection that copies: as long as it takes, and with memory that is bounded.
pub(crate) async fn prepare(client: &mut Client) -> Result<(), Error> {
    let settings = format!(
        "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set jit = off;
         set work_mem = '{WORK_MEM}'"
    );
    client.query(&settings).await?;
    Ok(())
}

/// Whether a snapshot can still be told from the transactions of today: it is not 2^31 of them old.
pub(super) async fn is_recent(client: &mut Client, finished: Finished) -> Result<bool, Error> {
    let xid = finished.before_xid;
    let recent = format!(
        "select pg_snapshot_xmax(pg_current_snapshot())::text::numeric - {xid} between 0 and 2000000000 as recent"
    );
    Ok(client.query(&recent).await?.first().is_some_and(|row| row.flag("recent")))
}

/// Notes what the sink holds in a table of this connection.
pub(super) async fn note_held(client: &mut Client, open: &impl OpenSink) -> Result<Retained, Error> {
    client
        .query(r#"create temporary table held (stream text collate "C" not null, next_seq bigint not null)"#)
        .await?;
    let (told, mut heard) = mpsc::channel::<Vec<Held>>(HELD_CHUNKS_MAX);
    let note = async {
        while let Some(held) = heard.recv().await {
            note_chunk(client, &held).await?;
        }
        // A topic whose number of partitions was changed may hold a stream in two of them.
        let settle = "create temporary table sink_has as
             select stream, max(next_seq) as next_seq from pg_temp.held group by stream;
             drop table pg_temp.held; analyze pg_temp.sink_has";
        client.query(settle).await?;
        Ok::<_, Error>(())
    };
    let (retained, noted) = tokio::join!(open.holdings(told), note);
    // Both, since the sink's own failure is the better reason than a table that is not whole.
    let retained = retained?;
    noted?;
    Ok(retained)
}

/// As JSON, which the server takes apart five times as fast as it parses and plans a list of values.
async fn note_chunk(client: &mut Client, held: &[Held]) -> Result<(), Error> {
    let json: serde_json::Map<_, _> =
        held.iter().map(|Held { stream, next_seq }| (stream.clone(), (*next_seq).into())).collect();
    let json = literal(&serde_json::Value::Object(json).to_string());
    let insert =
        format!("insert into pg_temp.held select key, value::bigint from json_each_text({json}::json)");
    client.query(&insert).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Finished;

    #[test]
    fn what_was_finished_is_what_is_older_than_the_oldest_that_was_open() {
        assert_eq!(Finished::at("7:12:7,9"), Some(Finished { before_xid: 7 }));
        assert_eq!(Finished::at("4294967303:4294967303:"), Some(Finished { before_xid: 4_294_967_303 }));
        assert_eq!(Finished::at("nonsense"), None);
    }

    #[test]
    fn an_age_is_that_of_the_lower_half_of_the_number() {
        let condition = Finished { before_xid: (1 << 32) + 7 }.not_yet();
        assert_eq!(condition, "age(event.xmin) <= (select age('7'::xid))");
    }
}
