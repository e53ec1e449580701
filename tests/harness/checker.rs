//! The auditor. It shares no code with the domain: raw events in SQL, the clearing house's journal, Kafka's records.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Platform, Record, Transport, card_checker, read_all};

const PAUSE: Duration = Duration::from_millis(100);

/// What does not hold; empty when all is well.
pub(crate) type Violations = Vec<String>;

/// Checks it until all is well. Handlers may still be at work on what the customer no longer waits for.
pub(crate) async fn settle_down(platform: &Platform, accepted: &[Uuid]) {
    let mut last = Violations::new();
    let deadline = Instant::now() + testbed::patience();
    while Instant::now() < deadline {
        last = check(platform, accepted).await;
        if last.is_empty() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{last:#?}");
}

/// Checks everything that has to hold once the platform has come to rest. `accepted` are the transfers that
/// customers were told of.
pub(crate) async fn check(platform: &Platform, accepted: &[Uuid]) -> Violations {
    let mut violations = Violations::new();
    let mut core = platform.core.superuser_connection().await;
    let mut instant = platform.instant.superuser_connection().await;
    let mut card = platform.card.superuser_connection().await;
    every_transfer_has_ended(&mut core, accepted, &mut violations).await;
    for (name, connection) in [("core", &mut core), ("adapter", &mut instant), ("card adapter", &mut card)] {
        empty(connection, name, "streams have holes", STREAMS_WITH_HOLES, &mut violations).await;
        empty(connection, name, "events are parked", PARKED, &mut violations).await;
        empty(connection, name, "external events derived twice", DERIVED_TWICE, &mut violations).await;
    }
    for (what, query) in [
        ("reservations ended twice", ENDED_TWICE),
        ("paid late without a hold that was given back before, or twice", PAID_LATE_WRONGLY),
        ("postings do not sum to zero", UNBALANCED_EVENTS),
        ("the ledger differs from the events", LEDGER_DIFFERS),
        ("balances differ from postings", BALANCES_DIFFER),
        ("holds are left open", OPEN_HOLDS),
        ("we have spent more than there is", OVERDRAWN),
        ("an order and its credit line differ", CREDIT_DIFFERS),
        ("an order is not paid exactly once", ORDERS_NOT_PAID_ONCE),
        ("account.v1 has missed events", ACCOUNT_EVENTS_NOT_DERIVED),
        ("submissions were not derived", PAYMENTS_NOT_DERIVED),
        ("payment.v2 differs from what it is derived from", PAYMENTS_DIFFER),
        ("returned, and not credited exactly once", RETURNS_NOT_CREDITED),
        ("incoming payments have not ended", INCOMING_OPEN),
        ("what will not come is expected", EXPECTED_FOR_EVER),
        ("a person is needed, and there was no case at once", ATTENTION_WITHOUT_CASE),
        ("cases are open of what has ended well", CASES_OF_NOTHING),
        ("accepted or refused, and the adapter was not told", ACCEPTANCES_NOT_DERIVED),
        ("corrected without others' approval of just that", CORRECTED_ALONE),
        ("corrected, and no correction says so", CORRECTED_BY_NOBODY),
        ("corrected in bulk without others' approval of all, or before the first were seen", BULK_ALONE),
    ] {
        empty(&mut core, "core", what, query, &mut violations).await;
    }
    journal_equals_captures(platform, &mut core, &mut instant, &mut violations).await;
    card_checker::check(platform, &mut core, &mut card, &mut violations).await;
    if platform.transport == Transport::Kafka {
        kafka_holds_every_event(platform, "core", &mut core, &mut violations).await;
        kafka_holds_every_event(platform, "adapter-instant", &mut instant, &mut violations).await;
        kafka_holds_every_event(platform, "adapter-card", &mut card, &mut violations).await;
    }
    violations
}

/// Executed without as many approvals of that preview by others as it needs, or without a reason and evidence.
const CORRECTED_ALONE: &str = "select executed.stream from event executed
    join event requested on requested.stream = executed.stream and requested.seq = 1
    where executed.type = 'CorrectionExecuted' and (
        not requested.data ? 'part' and
        (select count(distinct approved.data->>'by') from event approved
         where approved.stream = executed.stream and approved.type = 'CorrectionApproved' and approved.seq < executed.seq
             and approved.data->>'preview_hash' = executed.data->>'preview_hash'
             and approved.data->>'by' <> requested.data->>'by') < greatest((requested.data->>'approvals')::int, 1)
        or coalesce(requested.data->>'evidence', '') = '' or coalesce(requested.data->>'reason_code', '') = '')";
/// Events because of a correction that are not named by its execution, or named and not there.
const CORRECTED_BY_NOBODY: &str = "with named as (
        select substr(executed.stream, 12) as id, mended->>'stream' as stream, (mended->>'seq')::bigint as seq
        from event executed, jsonb_array_elements(executed.data->'events') as mended
        where executed.type = 'CorrectionExecuted'
    ), mending as (
        select causation_id::text as id, stream, seq from event
        where metadata->>'causation_kind' = 'correction' and stream not like 'correction-%' and stream not like 'bulk-%'
            or stream like 'account-%' and type = 'Adjusted'
            or stream like 'transfer-%' and type in ('OutcomeResolved', 'Reversed')
    )
    select stream || '@' || seq || ' of ' || id from (
        (select * from named except select * from mending) union all (select * from mending except select * from named)
    ) as differing";
/// Items whose list was not approved by others before, or that were done before a person had seen what became of the first.
const BULK_ALONE: &str = "select executed.stream from event executed
    join event requested on requested.stream = executed.stream and requested.seq = 1
    left join event bulk on bulk.stream = 'bulk-' || (requested.data->'part'->>'bulk_id') and bulk.seq = 1
    left join event previewed on previewed.stream = bulk.stream and previewed.type = 'BulkPreviewed'
    where executed.type = 'CorrectionExecuted' and requested.data ? 'part' and (
        previewed.stream is null
        or (select count(distinct approved.data->>'by') from event approved
            where approved.stream = bulk.stream and approved.type = 'BulkApproved' and approved.data->>'by' <> bulk.data->>'by'
                and approved.data->>'hash' = previewed.data->>'hash' and approved.position < executed.position)
            < greatest((previewed.data->>'approvals')::int, 1)
        or (requested.data->'part'->>'number')::int > (previewed.data->>'canary_to')::int and not exists (
            select from event resumed join event seen on seen.stream = resumed.stream and seen.seq < resumed.seq
            where resumed.stream = bulk.stream and resumed.type = 'BulkResumed' and seen.type = 'BulkCanaryEnded'
                and resumed.position < executed.position))";
const STREAMS_WITH_HOLES: &str = "select stream from event group by stream
    having min(seq) <> 1 or max(seq) <> count(*)";
const PARKED: &str = "select handler || ' ' || stream || ': ' || reason from parked";
const DERIVED_TWICE: &str = "select metadata->'source'->>'id' from event where metadata ? 'source'
    group by metadata->'source'->>'id', split_part(stream, '-', 1) having count(*) > 1";
const ENDED_TWICE: &str = "select data->>'reservation_id' from event
    where type in ('FundsCaptured', 'FundsReleased') and stream like 'account-%'
    group by data->>'reservation_id' having count(*) > 1";
const PAID_LATE_WRONGLY: &str = "select late.stream || '@' || late.seq from event late
    where late.type in ('LateCaptured', 'ReceivableBooked') and late.stream like 'account-%' and (
        not exists (select from event released where released.stream = late.stream and released.seq < late.seq
            and released.type = 'FundsReleased'
            and released.data->>'reservation_id' = late.data->>'reservation_id')
        or exists (select from event earlier where earlier.stream = late.stream and earlier.seq < late.seq
            and earlier.type in ('LateCaptured', 'ReceivableBooked', 'FundsCaptured')
            and earlier.data->>'reservation_id' = late.data->>'reservation_id'))";
const UNBALANCED_EVENTS: &str = "select stream || '@' || seq from event,
        jsonb_array_elements(data->'postings') as posting
    where stream like 'account-%' or stream like 'incoming-%' or stream like 'authorisation-%'
    group by stream, seq having sum((posting->'amount'->>'amount')::numeric) <> 0";
/// Missing, doubled or wrong postings in the projection, and totals that are not their sum.
const LEDGER_DIFFERS: &str = "with derived as (
        select event.id, posting->>'account' as account, (posting->'amount'->>'amount')::numeric as amount
        from event, jsonb_array_elements(data->'postings') as posting
        where stream like 'account-%' or stream like 'incoming-%' or stream like 'authorisation-%'
    ), totals as (select account, sum(amount) as amount from derived group by account)
    select 'postings ' || (select count(*) from derived) || ' <> ' || (select count(*) from ledger_posting)
        where (select count(*) from derived) <> (select count(*) from ledger_posting)
    union all
    select account from totals full join ledger_balance on account = ledger_account
        where totals.amount is distinct from ledger_balance.amount
    union all
    select 'total ' || sum(amount) from ledger_balance having sum(amount) <> 0";
const BALANCES_DIFFER: &str = "with last as (
        select distinct on (stream) substr(stream, 9) as id, data->'balances' as balances
        from event where stream like 'account-%' order by stream, seq desc
    ), posted as (
        select split_part(posting->>'account', ':', 2) as id, split_part(posting->>'account', ':', 1) as kind,
               sum((posting->'amount'->>'amount')::numeric) as amount
        from event, jsonb_array_elements(data->'postings') as posting where stream like 'account-%' group by 1, 2
    )
    select last.id from last
    left join posted available on available.id = last.id and available.kind = 'available'
    left join posted reserved on reserved.id = last.id and reserved.kind = 'reserved'
    where coalesce(available.amount, 0) + coalesce(reserved.amount, 0) <> (balances->'posted'->>'amount')::numeric
       or coalesce(reserved.amount, 0) <> (balances->'reserved'->>'amount')::numeric
       or coalesce(reserved.amount, 0) < 0";
/// Only what a card network has decided may be more than there is.
const OVERDRAWN: &str = "select stream || '@' || seq from event
    where stream like 'account-%' and (type in ('FundsReserved', 'Debited', 'LateCaptured')
        or type = 'Adjusted' and data->'amount'->>'amount' like '-%'
        or type = 'ReservationAdjusted' and data->>'is_forced' = 'false' and exists (
            select from jsonb_array_elements(data->'postings') as posting
            where posting->>'account' like 'available:%' and (posting->'amount'->>'amount')::numeric < 0))
      and (data->'balances'->'posted'->>'amount')::numeric < (data->'balances'->'reserved'->>'amount')::numeric";
/// Each reservation ends once, as its order does.
const CREDIT_DIFFERS: &str = "select reserved.stream from event reserved
    where reserved.type = 'CreditReserved' and reserved.stream like 'credit-%' and (
        select count(*) from event ended join event done on done.stream = 'order-' || (ended.data->>'order_id')
        where ended.stream = reserved.stream and ended.data->>'order_id' = reserved.data->>'order_id'
            and (ended.type, done.type) in (('CreditConfirmed', 'Confirmed'), ('CreditReleased', 'Cancelled'))) <> 1";
/// The payer is debited, and the shop credited, once and with the whole amount, if the order is confirmed, and only then.
const ORDERS_NOT_PAID_ONCE: &str = "select placed.stream from event placed
    where placed.type = 'Placed' and placed.stream like 'order-%' and (
        select array_agg(moved.type || ' ' || moved.stream || ' ' || (moved.data->'amount'->>'amount') order by moved.type)
        from event moved where moved.type in ('Debited', 'Credited')
            and moved.data->>'transfer_id' = placed.data->>'order_id'
    ) is distinct from (
        select array['Credited account-' || (placed.data->>'to_account') || ' ' || (placed.data->'amount'->>'amount'),
                     'Debited account-' || (placed.data->>'from_account') || ' ' || (placed.data->'amount'->>'amount')]
        from event confirmed where confirmed.stream = placed.stream and confirmed.type = 'Confirmed')";
/// What is held for a payment by card stays until it is collected, or has expired.
const OPEN_HOLDS: &str = "with last as (
        select distinct on (stream) stream, (data->'balances'->'reserved'->>'amount')::numeric as reserved
        from event where stream like 'account-%' order by stream, seq desc
    ), by_card as (
        select distinct on (stream) stream, (data->'held'->>'amount')::numeric as held
        from event where stream like 'authorisation-%' and data ? 'held' order by stream, seq desc
    ), for_cards as (
        select (select 'account-' || (data->>'account_id') from event whose
            where whose.stream = by_card.stream and data->>'account_id' is not null limit 1) as account, sum(held) as held
        from by_card group by 1
    )
    select last.stream from last left join for_cards on account = last.stream
    where reserved <> coalesce(held, 0)";
/// But what two people have had left out.
const ACCOUNT_EVENTS_NOT_DERIVED: &str = "select stream || '@' || seq from event
    where stream like 'account-%' and data ? 'postings' and not exists (
        select from event derived where derived.stream = 'account.v1-' || substr(event.stream, 9)
            and derived.metadata->'source'->>'id' = event.id::text)
    and not exists (
        select from event executed join event previewed on previewed.stream = executed.stream
        where executed.type = 'CorrectionExecuted' and previewed.type = 'CorrectionPreviewed'
            and previewed.data->'preview'->'skipped'->>'event_id' = event.id::text)";
const PAYMENTS_NOT_DERIVED: &str =
    "select stream from event where type = 'SubmissionInitiated' and not exists (
        select from event derived where derived.stream = 'payment.v2-' || substr(event.stream, 10))";
const RETURNS_NOT_CREDITED: &str = "select returned.stream from event returned
    where returned.type = 'Returned' and returned.stream like 'transfer-%' and (
        select count(*) from event credited where credited.stream like 'account-%'
            and (credited.type = 'ReturnCredited' and credited.data->>'transfer_id' = substr(returned.stream, 10)
              or credited.type = 'ReceivableCleared' and credited.data->>'reservation_id' = substr(returned.stream, 10))
        ) <> 1";
const INCOMING_OPEN: &str = "select received.stream from event received
    where received.type = 'Received' and received.stream like 'incoming-%' and (
        select count(*) from event ended where ended.stream = received.stream
            and ended.type in ('Refused', 'CreditPosted', 'CreditVoided')) <> 1
    union all
    select held.stream from event held where held.type = 'HeldInSuspense' and not exists (
        select from event back where back.stream = held.stream and back.type = 'ReturnSettled')";
const EXPECTED_FOR_EVER: &str = "select expected.stream from event expected
    where expected.type = 'CreditPending' and expected.stream like 'account-%' and (
        select count(*) from event ended where ended.stream = expected.stream
            and ended.type in ('CreditPosted', 'CreditVoided')
            and ended.data->>'payment_id' = expected.data->>'payment_id') <> 1";
const ATTENTION_WITHOUT_CASE: &str = "select attention.stream from event attention
    where attention.type = 'OperatorAttentionRequired' and not exists (
        select from event raised where raised.type = 'CaseRaised'
            and raised.data->'subject'->>'stream' = attention.stream
            and raised.data->>'reason' = attention.data->>'reason'
            and exists (select from event called where called.stream = raised.stream
                and called.type in ('CaseRaised', 'CaseRaisedAgain')
                and called.recorded_at between attention.recorded_at - interval '5 s'
                    and attention.recorded_at + interval '5 s'))";
/// By the latest event of each: a withdrawn reason has no open case.
const CASES_OF_NOTHING: &str = "with latest as (
        select distinct on (stream) stream, type, recorded_at from event
        where stream like 'case-%' and type not in ('CaseNoted', 'CaseAssigned')
        order by stream, seq desc
    )
    select raised.data->'subject'->>'stream' from latest
    join event raised on raised.stream = latest.stream and raised.seq = 1
    where latest.type not in ('CaseWithdrawn', 'CaseResolved') and raised.data->>'reason' not like '%contradicts%' and exists (
        select from event gone where gone.stream = raised.data->'subject'->>'stream'
            and gone.recorded_at > latest.recorded_at
            and (gone.type = 'AttentionWithdrawn' and gone.data->>'reason' = raised.data->>'reason'
              or gone.type in ('Succeeded', 'Failed', 'Cancelled')))";
const ACCEPTANCES_NOT_DERIVED: &str = "select stream from event
    where type in ('CreditPending', 'Refused', 'ReturnInitiated') and stream like 'incoming-%' and not exists (
        select from event derived where derived.stream = 'acceptance.v1-' || substr(event.stream, 10)
            and derived.metadata->'source'->>'id' = event.id::text)";
/// All of an external event follows from the internal ones, and from nothing else.
const PAYMENTS_DIFFER: &str = "select derived.stream from event derived
    join event initiated on initiated.id::text = derived.metadata->'source'->>'id'
    join event requested on requested.stream = initiated.stream and requested.seq = 1
    where derived.stream like 'payment.v2-%' and derived.type = 'PaymentSubmitted'
      and (derived.data->>'answer_by', derived.data->>'uetr', derived.data->>'end_to_end_id', derived.data->'amount')
          is distinct from (initiated.data->'deadline'->>'due_at', initiated.data->>'uetr',
                            initiated.data->>'end_to_end_id', requested.data->'amount')";

/// The query lists what is wrong.
pub(super) async fn empty(
    connection: &mut PgConnection,
    service: &str,
    what: &str,
    query: &'static str,
    violations: &mut Violations,
) {
    let found: Vec<Option<String>> = sqlx::query_scalar(query).fetch_all(connection).await.unwrap();
    if !found.is_empty() {
        violations.push(format!("{service}: {what}: {} such as {:?}", found.len(), found[0]));
    }
}

async fn every_transfer_has_ended(core: &mut PgConnection, accepted: &[Uuid], violations: &mut Violations) {
    let ended: Vec<(String, String)> = sqlx::query_as(
        "select substr(stream, 10), type from event where stream like 'transfer-%' and type in ('Succeeded', 'Failed', 'Cancelled')",
    )
    .fetch_all(&mut *core)
    .await
    .unwrap();
    let ends: HashMap<Uuid, String> =
        ended.iter().map(|(id, end)| (id.parse().unwrap(), end.clone())).collect();
    if ends.len() != ended.len() {
        violations.push("transfers have ended twice".to_owned());
    }
    let open = accepted.iter().filter(|id| !ends.contains_key(id)).count();
    if open > 0 {
        violations.push(format!("{open} of {} accepted transfers have not ended", accepted.len()));
    }
    let requested: i64 = sqlx::query_scalar("select count(*) from event where type = 'Requested'")
        .fetch_one(core)
        .await
        .unwrap();
    if requested != i64::try_from(accepted.len()).unwrap() {
        violations.push(format!("{requested} transfers exist, {} were accepted", accepted.len()));
    }
}

/// Who was paid outside is who was captured inside, to the øre; and each payment had its attempt recorded before.
async fn journal_equals_captures(
    platform: &Platform,
    core: &mut PgConnection,
    instant: &mut PgConnection,
    violations: &mut Violations,
) {
    let captured: Vec<(String, String)> = sqlx::query_as(
        "select requested.data->>'uetr', captured.data->'amount'->>'amount' from event captured
         join event requested on requested.stream = 'transfer-' || (captured.data->>'reservation_id') and requested.seq = 1
         where captured.type in ('FundsCaptured', 'LateCaptured', 'ReceivableBooked') and captured.stream like 'account-%'",
    )
    .fetch_all(&mut *core)
    .await
    .unwrap();
    let captured: BTreeMap<String, String> = captured.into_iter().collect();
    let attempts: Vec<(String, jiff_sqlx::Timestamp)> = sqlx::query_as(
        "select requested.data->'payment'->>'uetr', min(attempt.recorded_at) from event attempt
         join event requested on requested.stream = attempt.stream and requested.seq = 1
         where attempt.type = 'AttemptStarted' group by 1",
    )
    .fetch_all(instant)
    .await
    .unwrap();
    let attempts: HashMap<String, Timestamp> =
        attempts.into_iter().map(|(uetr, at)| (uetr, at.to_jiff())).collect();
    let mut paid = BTreeMap::new();
    for line in platform.client().journal().await {
        let uetr = line["uetr"].as_str().unwrap().to_owned();
        let decided_at: Timestamp = line["decided_at"].as_str().unwrap().parse().unwrap();
        if attempts.get(&uetr).is_none_or(|at| *at > decided_at) {
            violations.push(format!("payment {uetr} was decided before its attempt was an event"));
        }
        if line["status"] == "ACSC"
            && paid.insert(uetr.clone(), line["amount"].as_str().unwrap().to_owned()).is_some()
        {
            violations.push(format!("{uetr} was paid twice"));
        }
    }
    if paid != captured {
        let (paid_count, captured_count) = (paid.len(), captured.len());
        violations.push(format!("{paid_count} were paid, {captured_count} captured, and they differ"));
    }
    returns_equal_credits(platform, core, violations).await;
    incoming_equals_credits(platform, core, violations).await;
}

/// What other banks have paid has come to a customer, or is apart; what went back has left again; to the øre.
async fn incoming_equals_credits(platform: &Platform, core: &mut PgConnection, violations: &mut Violations) {
    let lines = platform.client().lines().await;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let of = |field: &'static str| lines.iter().filter(move |line| line[field].is_string());
    let offered: HashMap<String, String> =
        of("offered_to").map(|line| (text(&line["uetr"]), text(&line["amount"]))).collect();
    let settled = of("outcome").filter(|line| line["outcome"] == "ACSC");
    let paid: BTreeMap<String, String> =
        settled.map(|line| (text(&line["uetr"]), offered[line["uetr"].as_str().unwrap()].clone())).collect();
    let gone: BTreeMap<String, String> =
        of("taken_back").map(|line| (text(&line["uetr"]), text(&line["amount"]))).collect();
    for (what, there, query) in [
        ("were paid in", paid, INCOMING_CREDITS),
        (
            "went back",
            gone,
            "select received.data->>'uetr', back.data->'amount'->>'amount' from event back
             join event received on received.stream = back.stream and received.seq = 1
             where back.type = 'ReturnSettled' and back.stream like 'incoming-%'",
        ),
    ] {
        let here: Vec<(String, String)> = sqlx::query_as(query).fetch_all(&mut *core).await.unwrap();
        let count = here.len();
        let here: BTreeMap<String, String> = here.into_iter().collect();
        if here != there || here.len() != count {
            violations.push(format!("{} {what}, {count} are here, and they differ", there.len()));
        }
    }
}

const INCOMING_CREDITS: &str =
    "select received.data->>'uetr', credited.data->'amount'->>'amount' from event credited
    join event received on received.seq = 1
        and received.stream = coalesce('incoming-' || (credited.data->>'payment_id'), credited.stream)
    where credited.type = 'CreditPosted' and credited.stream like 'account-%'
       or credited.type = 'HeldInSuspense' and credited.stream like 'incoming-%'";

/// What the house has given back has come to the customers, to the øre.
async fn returns_equal_credits(platform: &Platform, core: &mut PgConnection, violations: &mut Violations) {
    let credited: Vec<(String, String)> = sqlx::query_as(
        "select requested.data->>'uetr', credited.data->'amount'->>'amount' from event credited
         join event requested on requested.seq = 1
          and requested.stream = 'transfer-' || coalesce(credited.data->>'transfer_id', credited.data->>'reservation_id')
         where credited.type in ('ReturnCredited', 'ReceivableCleared') and credited.stream like 'account-%'",
    )
    .fetch_all(core)
    .await
    .unwrap();
    let credited: BTreeMap<String, String> = credited.into_iter().collect();
    let lines = platform.client().lines().await;
    let given_back = lines.iter().filter(|line| line["return_id"].is_string());
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let given_back: BTreeMap<String, String> =
        given_back.map(|line| (text(&line["uetr"]), text(&line["amount"]))).collect();
    if given_back != credited {
        let counts = (given_back.len(), credited.len());
        violations.push(format!("{} were given back, {} credited, and they differ", counts.0, counts.1));
    }
}

/// Each stream's events are in its topic, in one partition, in order at their first occurrence, without a gap.
async fn kafka_holds_every_event(
    platform: &Platform,
    service: &str,
    connection: &mut PgConnection,
    violations: &mut Violations,
) {
    let rows: Vec<(String, i64)> = sqlx::query_as("select stream, max(seq) from event group by stream")
        .fetch_all(connection)
        .await
        .unwrap();
    let mut topics: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for (stream, seq) in rows {
        let category = stream.split_once('-').unwrap().0;
        let topic = platform.topic(service, category);
        topics.entry(topic).or_default().insert(stream, seq);
    }
    for (topic, expected) in topics {
        let mut reached: BTreeMap<String, i64> = BTreeMap::new();
        let mut partitions: HashMap<String, i64> = HashMap::new();
        for Record { key, partition, headers, .. } in read_all(&topic) {
            let header = |either: &str, or: &str| headers.get(either).or(headers.get(or)).unwrap().clone();
            if header("ce_source", "lunaria_source") != format!("/lunaria/{service}") {
                // Another service's, in a topic of both.
                continue;
            }
            let seq: i64 = header("ce_sequence", "lunaria_sequence").parse().unwrap();
            let last = reached.entry(key.clone()).or_default();
            if seq > *last + 1 {
                violations.push(format!("{topic}: {key} jumps from {last} to {seq}"));
            }
            *last = seq.max(*last);
            if *partitions.entry(key.clone()).or_insert(partition) != partition {
                violations.push(format!("{topic}: {key} is in two partitions"));
            }
        }
        if reached != expected {
            violations.push(format!(
                "{topic}: {} streams, {} in the table, or other ends",
                reached.len(),
                expected.len()
            ));
        }
    }
}
