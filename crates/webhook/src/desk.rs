//! Does to the queue what is asked of an endpoint.

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::{Aggregate, RecordedEvent, Seq};
use event_store::{UnitOfWork, read_before_in};
use jiff::Timestamp;
use uuid::Uuid;

use crate::endpoint::{EndpointResumed, ReplayRequested};
use crate::{Endpoint, EndpointEvent};

pub struct WebhookDesk;

#[async_trait]
impl Handler for WebhookDesk {
    fn name(&self) -> &'static str {
        "webhook.desk"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &[Endpoint::CATEGORY] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let id = event.stream.uuid();
        let id = id.ok_or_else(|| HandleError::Failed(format!("{} is no endpoint", event.stream)))?;
        match event.decode()? {
            EndpointEvent::ReplayRequested(ReplayRequested { since }) => {
                let contracts = contracts(event, unit).await?;
                replay(id, &contracts, since, unit).await
            }
            EndpointEvent::EndpointResumed(EndpointResumed {}) => at_once(id, unit).await,
            EndpointEvent::EndpointRemoved(_) => forget(id, unit).await,
            _ => Ok(()),
        }
    }
}

/// That the endpoint was registered for.
async fn contracts(event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<Vec<String>, HandleError> {
    let earlier = read_before_in(unit.connection(), &[(&event.stream, Seq::new(2))]).await?;
    match earlier.first().map(RecordedEvent::decode).transpose()? {
        Some(EndpointEvent::EndpointRegistered(registered)) => Ok(registered.contracts),
        _ => Err(HandleError::Failed(format!("{} does not begin with its registration", event.stream))),
    }
}

/// What has been told already is told once more, each stream from its first event of then.
async fn replay(
    endpoint: Uuid,
    contracts: &[String],
    since: Timestamp,
    unit: &mut UnitOfWork,
) -> Result<(), HandleError> {
    for contract in contracts {
        sqlx::query(
            "insert into webhook_queue as queue (endpoint_id, stream, next_seq, last_seq)
             select $1, stream, min(seq), max(seq) from event
             where stream > $2 || '-' and stream < $2 || '.' and id >= $3
             group by stream order by stream
             on conflict (endpoint_id, stream) do update
                 set next_seq = least(queue.next_seq, excluded.next_seq),
                     last_seq = greatest(queue.last_seq, excluded.last_seq),
                     due_at = now(), attempts = 0, failing_since = null, last_error = null",
        )
        .bind(endpoint)
        .bind(contract)
        .bind(first_id_of(since))
        .execute(unit.connection())
        .await?;
    }
    Ok(())
}

/// No event of then or later has a smaller id: they begin with the time.
fn first_id_of(time: Timestamp) -> Uuid {
    Uuid::from_u128(u128::try_from(time.as_millisecond()).unwrap_or_default() << 80)
}

async fn at_once(endpoint: Uuid, unit: &mut UnitOfWork) -> Result<(), HandleError> {
    sqlx::query(
        "update webhook_queue set due_at = now(), attempts = 0, failing_since = null, last_error = null
         where endpoint_id = $1",
    )
    .bind(endpoint)
    .execute(unit.connection())
    .await?;
    Ok(())
}

async fn forget(endpoint: Uuid, unit: &mut UnitOfWork) -> Result<(), HandleError> {
    sqlx::query("delete from webhook_queue where endpoint_id = $1")
        .bind(endpoint)
        .execute(unit.connection())
        .await?;
    Ok(())
}
