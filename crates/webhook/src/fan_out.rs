//! Notes for each endpoint which streams have something new for it.

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use jiff::{SignedDuration, Timestamp};

/// By how much the clocks of a program and of the database may differ. What happened so shortly before an endpoint was registered, it hears too.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);

pub struct FanOut {
    /// Those that endpoints may ask for.
    pub contracts: &'static [&'static str],
}

#[async_trait]
impl Handler for FanOut {
    fn name(&self) -> &'static str {
        "webhook.fan_out"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: self.contracts }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        self.handle_all(&[event], unit).await
    }

    /// What happened before an endpoint was registered is not for it, unless it asks for that. One that is paused hears of it later. Who is
    /// registered stands in the events, so that nobody is known too late.
    async fn handle_all(&self, events: &[&RecordedEvent], unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let streams: Vec<&str> = events.iter().map(|event| event.stream.as_str()).collect();
        let categories: Vec<&str> = events.iter().map(|event| event.stream.category()).collect();
        let seqs: Vec<i64> = events.iter().map(|event| event.seq.get()).collect();
        let latest = |event: &RecordedEvent| {
            let at = happened_at(event);
            jiff_sqlx::Timestamp::from(at.saturating_add(CLOCKS_DIFFER).unwrap_or(at))
        };
        let times: Vec<jiff_sqlx::Timestamp> = events.iter().map(|event| latest(event)).collect();
        sqlx::query(
            "insert into webhook_queue as queue (endpoint_id, stream, next_seq, last_seq)
             select substr(endpoint.stream, length('webhook-') + 1)::uuid, heard.stream, min(heard.seq), max(heard.seq)
             from event as endpoint
             join unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) as heard (stream, category, seq, latest)
                 on endpoint.data->'contracts' ? heard.category and endpoint.recorded_at <= heard.latest
             where endpoint.type = 'EndpointRegistered' and endpoint.stream like 'webhook-%'
               and not exists (select from event as removed
                               where removed.stream = endpoint.stream and removed.type = 'EndpointRemoved')
             group by endpoint.stream, heard.stream order by endpoint.stream, heard.stream
             on conflict (endpoint_id, stream) do update set last_seq = greatest(queue.last_seq, excluded.last_seq)",
        )
        .bind(streams)
        .bind(categories)
        .bind(seqs)
        .bind(times)
        // Planned each time: a plan of the table's first minutes would scan it for ever.
        .persistent(false)
        .execute(unit.connection())
        .await?;
        Ok(())
    }
}

/// When what an external event tells of has happened, however late it was derived: its id begins with the time of what it follows from.
pub(crate) fn happened_at(event: &RecordedEvent) -> Timestamp {
    let millis = i64::try_from(event.id.as_u128() >> 80).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(event.recorded_at)
}
