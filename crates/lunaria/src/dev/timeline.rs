//! A transfer's story as it happens, across the streams of both services.

use std::collections::HashMap;
use std::time::Duration;

use contract::{clearing, payment};
use event::{Aggregate, RecordedEvent, Seq, StreamName};
use event_store::Store;
use instant::Submission;
use jiff::Timestamp;
use ledger::Account;
use tokio_util::sync::CancellationToken;
use transfer::{Status, Transfer};
use uuid::Uuid;

use crate::process::say;

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS_A_LOOK: u32 = 100;

/// Prints each event of the transfer until it has ended.
pub(super) async fn follow(
    (core, adapter): &(Store, Store),
    transfer_id: Uuid,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let from = match core.load::<Transfer>(transfer_id).await? {
        (Some(transfer), _) => transfer.request.from_account,
        (None, _) => return Ok(()),
    };
    let streams = [
        (core, Transfer::stream(transfer_id)),
        (core, Account::stream(from)),
        (core, StreamName::of(payment::CATEGORY, transfer_id)),
        (adapter, Submission::stream(transfer_id)),
        (adapter, StreamName::of(clearing::CATEGORY, transfer_id)),
    ];
    let mut seen: HashMap<&StreamName, Seq> = HashMap::new();
    let mut start = None;
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        let ended = ended(core, transfer_id).await?;
        let mut news = Vec::new();
        for (store, stream) in &streams {
            let after = seen.get(stream).copied().unwrap_or_default();
            for event in store.read(stream, after, EVENTS_A_LOOK).await? {
                seen.insert(stream, event.seq);
                // The account's stream has other stories too.
                if event.correlation_id == transfer_id {
                    news.push((store.service().to_owned(), event));
                }
            }
        }
        news.sort_by_key(|(_, event)| event.recorded_at);
        for (service, event) in news {
            let start = *start.get_or_insert(event.recorded_at);
            say(&line(start, &service, &event))?;
        }
        if ended || shutdown.is_cancelled() || tokio::time::Instant::now() > give_up {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn ended(core: &Store, transfer_id: Uuid) -> anyhow::Result<bool> {
    let (transfer, _) = core.load::<Transfer>(transfer_id).await?;
    Ok(transfer.is_some_and(|transfer| !matches!(transfer.status, Status::Requested | Status::Submitted)))
}

fn line(start: Timestamp, service: &str, event: &RecordedEvent) -> String {
    let millis = event.recorded_at.duration_since(start).as_millis();
    let category = event.stream.category();
    format!("  +{millis:>4} ms  {service:<16} {category:<12} {}", event.event_type)
}
