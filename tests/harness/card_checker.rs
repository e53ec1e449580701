//! The auditor of payments by card: the network's journal against raw events, to the øre. It shares no code with the domain.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sqlx::PgConnection;

use super::Platform;
use super::checker::{Violations, empty};

pub(super) async fn check(
    platform: &Platform,
    core: &mut PgConnection,
    adapter: &mut PgConnection,
    violations: &mut Violations,
) {
    empty(core, "core", "verdicts were not derived", VERDICTS_NOT_DERIVED, violations).await;
    empty(core, "core", "a card payment and its account differ", HELD_DIFFERS, violations).await;
    empty(adapter, "card adapter", "messages were not derived", MESSAGES_NOT_DERIVED, violations).await;
    empty(adapter, "card adapter", "what was asked was never answered", UNANSWERED, violations).await;
    let lines = platform.client().lines().await;
    // The network's message ids, by those that core knows.
    let names: HashMap<String, String> = pairs(adapter, MESSAGES).await.into_iter().collect();
    for (events, query) in
        [(&["captured"][..], CAPTURES), (&["refunded"], REFUNDS), (&["approved", "incremented"], APPROVALS)]
    {
        let is_meant = |event: &str| events.contains(&event);
        let there: BTreeMap<String, String> = lines
            .iter()
            .filter(|line| line["card_event"].as_str().is_some_and(is_meant))
            .map(|line| {
                (line["message_id"].as_str().unwrap().into(), line["amount"].as_str().unwrap().into())
            })
            .collect();
        let here = pairs(core, query).await;
        let count = here.len();
        let here: BTreeMap<String, String> = here
            .into_iter()
            .map(|(id, amount)| (names.get(&id).cloned().unwrap_or(id), amount))
            // What the network has never heard of our approvals is taken back, or expires.
            .filter(|(id, _)| !is_meant("approved") || there.contains_key(id))
            .collect();
        if here != there || !is_meant("approved") && here.len() != count {
            let (of, there) = (events.join(" or "), there.len());
            violations.push(format!("{there} {of} by the card network, {count} here, and they differ"));
        }
    }
    outstanding(&lines, core, violations).await;
}

/// What the merchants can still collect is what is held here, until it expires.
async fn outstanding(lines: &[Value], core: &mut PgConnection, violations: &mut Violations) {
    #[derive(Default)]
    struct Sale {
        /// By request, or by the advice that stands for none.
        approved: BTreeMap<String, i64>,
        captured: i64,
        is_final: bool,
    }
    let mut sales: BTreeMap<String, Sale> = BTreeMap::new();
    for line in lines {
        let Some(event) = line["card_event"].as_str() else { continue };
        let text = |field: &str| line[field].as_str().map(str::to_owned);
        let sale = sales.entry(text("transaction_id").unwrap()).or_default();
        let amount: i64 = text("amount").unwrap().parse().unwrap();
        let message = text("message_id").unwrap();
        let about = text("original_message_id").unwrap_or_else(|| message.clone());
        match event {
            "approved" | "incremented" => drop(sale.approved.insert(message, amount)),
            "stand_in_approved" => drop(sale.approved.insert(about, amount)),
            "reversed" => {
                if let Some(approved) = sale.approved.get_mut(&about) {
                    *approved = (*approved - amount).max(0);
                }
            }
            "captured" => {
                sale.captured += amount;
                sale.is_final |= line["is_final"] == true;
            }
            _ => {}
        }
    }
    let held: Vec<(String, i64, bool)> = sqlx::query_as(HELD).fetch_all(core).await.unwrap();
    let held: HashMap<String, (i64, bool)> =
        held.into_iter().map(|(id, held, has_expired)| (id, (held, has_expired))).collect();
    for (id, sale) in sales {
        let left =
            if sale.is_final { 0 } else { (sale.approved.values().sum::<i64>() - sale.captured).max(0) };
        let (held, has_expired) = held.get(&id).copied().unwrap_or_default();
        if held != left && !has_expired {
            violations.push(format!("{left} of {id} can still be collected, {held} is held"));
        }
    }
}

const HELD: &str = "with held as (
        select distinct on (stream) stream, (data->'held'->>'amount')::bigint as held
        from event where stream like 'authorisation-%' and data ? 'held' order by stream, seq desc
    )
    select opened.data->'payment'->>'network_id', held, exists (
        select from event expired where expired.stream = held.stream and expired.type = 'Expired')
    from held join event opened using (stream) where opened.seq = 1";
async fn pairs(connection: &mut PgConnection, query: &'static str) -> Vec<(String, String)> {
    sqlx::query_as(query).fetch_all(connection).await.unwrap()
}

const VERDICTS_NOT_DERIVED: &str = "select stream || '@' || seq from event
    where type in ('Approved', 'Incremented', 'Declined', 'IncrementDeclined') and stream like 'authorisation-%' and not exists (
        select from event derived where derived.stream = 'verdict.v1-' || substr(event.stream, 15)
            and derived.metadata->'source'->>'id' = event.id::text)";
/// What a payment says is held is what its account holds for it.
const HELD_DIFFERS: &str = "with saga as (
        select distinct on (stream) substr(stream, 15) as id, data->'held'->>'amount' as held
        from event where stream like 'authorisation-%' and data ? 'held' order by stream, seq desc
    ), account as (
        select distinct on (data->>'reservation_id') data->>'reservation_id' as id, data->'held'->>'amount' as held
        from event where type in ('ReservationAdjusted', 'CapturePosted') and stream like 'account-%'
        order by data->>'reservation_id', position desc
    )
    select coalesce(saga.id, account.id) from saga full join account on saga.id = account.id
    where coalesce(saga.held, '0') <> coalesce(account.held, '0')";
const MESSAGES_NOT_DERIVED: &str = "select stream || '@' || seq from event
    where stream like 'exchange-%' and (type like '%Asked' or type like '%Heard' or type = 'RequestTimedOut') and not exists (
        select from event derived where derived.stream = 'card.v1-' || substr(event.stream, 10)
            and derived.metadata->'source'->>'id' = event.id::text)";
const UNANSWERED: &str = "select asked.stream from event asked
    where asked.type like '%Asked' and (
        select count(*) from event answered where answered.stream = asked.stream
            and answered.type in ('RequestAnswered', 'RequestTimedOut')
            and answered.data->>'message_id' = asked.data->'request'->>'message_id') <> 1";
const MESSAGES: &str = "select coalesce(data->'request', data->'capture', data->'refund')->>'message_id',
        (data->>'message')::jsonb->>'message_id' from event
    where type in ('AuthorisationAsked', 'IncrementAsked', 'CaptureHeard', 'RefundHeard')";
const CAPTURES: &str = "select data->>'capture_id', data->'amount'->>'amount' from event
        where type = 'CapturePosted' and stream like 'account-%'
    union all
    select data->>'message_id', data->'amount'->>'amount' from event
        where type = 'BookedToSuspense' and data->>'is_refund' = 'false'";
const REFUNDS: &str = "select data->>'refund_id', data->'amount'->>'amount' from event
        where type = 'RefundCredited' and stream like 'account-%'
    union all
    select data->>'message_id', data->'amount'->>'amount' from event
        where type = 'BookedToSuspense' and data->>'is_refund' = 'true'";
const APPROVALS: &str = "select data->>'message_id', data->'amount'->>'amount' from event
    where type in ('Approved', 'Incremented') and stream like 'authorisation-%'";
