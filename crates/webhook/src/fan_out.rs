//! Notes for each endpoint which streams have something new for it.

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;

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

    /// What happened before an endpoint was registered is not for it, unless it asks for that. One that is paused hears of it later.
    async fn handle_all(&self, events: &[&RecordedEvent], unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let streams: Vec<&str> = events.iter().map(|event| event.stream.as_str()).collect();
        let categories: Vec<&str> = events.iter().map(|event| event.stream.category()).collect();
        let seqs: Vec<i64> = events.iter().map(|event| event.seq.get()).collect();
        let times: Vec<jiff_sqlx::Timestamp> =
            events.iter().map(|event| jiff_sqlx::Timestamp::from(event.recorded_at)).collect();
        sqlx::query(
            "insert into webhook_queue as queue (endpoint_id, stream, next_seq, last_seq)
             select endpoint.id, heard.stream, min(heard.seq), max(heard.seq)
             from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) as heard (stream, category, seq, recorded_at)
             join webhook_endpoint as endpoint
                 on endpoint.status <> 'removed' and heard.category = any(endpoint.contracts)
                    and heard.recorded_at >= endpoint.registered_at
             group by endpoint.id, heard.stream order by endpoint.id, heard.stream
             on conflict (endpoint_id, stream) do update set last_seq = greatest(queue.last_seq, excluded.last_seq)",
        )
        .bind(streams)
        .bind(categories)
        .bind(seqs)
        .bind(times)
        .execute(unit.connection())
        .await?;
        Ok(())
    }
}
