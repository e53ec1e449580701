//! `/v1/accounts/{id}/entries` and `…/statement`: the lines of an account, out of its own events, which carry the balances after them.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use event::{Aggregate, RecordedEvent, Seq, StreamName};
use event_store::Store;
use jiff::Timestamp;
use ledger::{Account, AccountEvent, Balances, Entry};
use money::Money;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::accounts::{BalancesView, balances, unknown};
use crate::page::{invalid, limit, time};
use crate::service::{Id, Service};
use crate::{Code, Problem, schema};

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(entries)).routes(routes!(statement))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Entry)]
struct EntryDocument {
    /// Of the account's event; a seq without an entry has changed no money.
    seq: i64,
    /// The event's type, such as `FundsCaptured`.
    r#type: String,
    event_id: Uuid,
    recorded_at: Timestamp,
    /// The transfer, payment, deposit, refund or hold that it belongs to.
    reference: Uuid,
    /// By how much the money on the account has changed.
    #[schema(value_type = schema::Money)]
    posted: Money,
    /// By how much what is held of it has changed.
    #[schema(value_type = schema::Money)]
    reserved: Money,
    /// After it.
    balances: BalancesView,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// The `next_cursor` of the page before.
    #[param(minimum = 1)]
    cursor: Option<i64>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Entries {
    entries: Vec<EntryDocument>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<i64>,
}

/// An account's entries, the newest first.
///
/// Holds are entries too; what is rejected changes nothing and is none. A page may have fewer entries than its limit.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/entries", tag = "accounts", operation_id = "accountEntries",
    params(EntriesQuery),
    responses((status = 200, description = "Found", body = Entries))
)]
async fn entries(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    query: Result<Query<EntriesQuery>, QueryRejection>,
) -> Result<Json<Entries>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let (stream, limit) = (existing(&service.store, id).await?, limit(query.limit)?);
    let before = cursor(query.cursor)?.unwrap_or(Seq::new(i64::MAX));
    let events = service.store.read_back(&stream, before, limit).await?;
    let next_cursor = next(&events, limit).filter(|seq| *seq > 1);
    Ok(Json(Entries { entries: documents(id, &events)?, next_cursor }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementQuery {
    /// Then, and later: such as `2026-01-01T00:00:00Z`.
    from: Timestamp,
    /// Before then. Without it: to the last event.
    to: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[1-9][0-9]{0,17}-[1-9][0-9]{0,17}$")]
    cursor: Option<String>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Statement {
    account_id: Uuid,
    from: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
    opening: BalancesView,
    closing: BalancesView,
    /// Of this page.
    entries: Vec<EntryDocument>,
    /// Pass it as `cursor`, with the same `from` and `to`, to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// An account's statement: the balances before and after a time, and what has changed the money between them.
///
/// The oldest entry comes first. The opening balance and `posted` of all entries of all pages add up to the closing balance; holds are left out, so that a page may
/// have no entry and still a `next_cursor`. What is recorded in the last moments of a period may become visible a moment after its end.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/statement", tag = "accounts", operation_id = "accountStatement",
    params(StatementQuery),
    responses((status = 200, description = "Found", body = Statement))
)]
async fn statement(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    query: Result<Query<StatementQuery>, QueryRejection>,
) -> Result<Json<Statement>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let (store, limit) = (&service.store, limit(query.limit)?);
    let (stream, from, to) = (existing(store, id).await?, time(query.from), query.to.map(time));
    if to.is_some_and(|to| from > to) {
        return Err(Problem::new(Code::ConflictingQuery, "from is later than to"));
    }
    // The begin is looked up first: what is recorded meanwhile belongs behind it. All pages end where the first one does.
    let before = store.last_before(&stream, from).await?;
    let cursor = query.cursor.as_deref().map(StatementCursor::parse).transpose()?;
    let last = match (&cursor, to) {
        (Some(cursor), _) => store.read(&stream, Seq::new(cursor.last.get() - 1), 1).await?.pop(),
        (None, Some(to)) => store.last_before(&stream, to).await?,
        (None, None) => store.last(&stream).await?,
    };
    let last = last.ok_or_else(|| not_yet(to.unwrap_or(from)))?;
    let closing = decoded(&last)?.balances();
    let nothing = Money::zero(closing.posted.currency());
    let opening = match &before {
        Some(event) => decoded(event)?.balances(),
        None => Balances { posted: nothing, reserved: nothing },
    };
    let first = before.map_or(Seq::ZERO, |event| event.seq);
    let after = cursor.map_or(first, |cursor| cursor.seq.max(first));
    let mut events = store.read(&stream, after, limit).await?;
    let next_cursor = next(&events, limit).filter(|seq| *seq < last.seq.get());
    let next_cursor = next_cursor.map(|seq| format!("{seq}-{}", last.seq));
    events.retain(|event| event.seq <= last.seq);
    let mut entries = documents(id, &events)?;
    entries.retain(|entry| entry.posted.minor() != 0);
    let (opening, closing) = (balances(opening)?, balances(closing)?);
    Ok(Json(Statement { account_id: id, from, to, opening, closing, entries, next_cursor }))
}

/// Where a page of a statement begins, and the event with which the statement ends.
struct StatementCursor {
    seq: Seq,
    last: Seq,
}

impl StatementCursor {
    fn parse(text: &str) -> Result<Self, Problem> {
        let seq = |text: &str| text.parse().ok().filter(|seq| *seq > 0).map(Seq::new);
        let parsed =
            text.split_once('-').and_then(|(at, last)| Some(Self { seq: seq(at)?, last: seq(last)? }));
        parsed.ok_or_else(|| invalid("cursor is the next_cursor of an earlier page".to_owned()))
    }
}

async fn existing(store: &Store, id: Uuid) -> Result<StreamName, Problem> {
    let stream = Account::stream(id);
    store.last(&stream).await?.ok_or_else(unknown)?;
    Ok(stream)
}

pub(crate) fn not_yet(at: Timestamp) -> Problem {
    Problem::new(Code::AccountUnknown, format!("the account was not open yet at {at}"))
}

fn documents(account: Uuid, events: &[RecordedEvent]) -> Result<Vec<EntryDocument>, Problem> {
    let document = |event: &RecordedEvent| -> Result<Option<EntryDocument>, Problem> {
        let entry = Entry::of(&decoded(event)?, account).map_err(|_| unreadable())?;
        let document = |entry: Entry| -> Result<EntryDocument, Problem> {
            Ok(EntryDocument {
                seq: event.seq.get(),
                r#type: event.event_type.clone(),
                event_id: event.id,
                recorded_at: event.recorded_at,
                reference: entry.reference,
                posted: entry.posted,
                reserved: entry.reserved,
                balances: balances(entry.balances)?,
            })
        };
        entry.map(document).transpose()
    };
    events.iter().filter_map(|event| document(event).transpose()).collect()
}

fn decoded(event: &RecordedEvent) -> Result<AccountEvent, Problem> {
    event.decode().map_err(|error| {
        tracing::error!(%error, "an account's event cannot be read");
        unreadable()
    })
}

fn unreadable() -> Problem {
    Problem::new(Code::Internal, "the account's events cannot be shown")
}

fn cursor(asked: Option<i64>) -> Result<Option<Seq>, Problem> {
    match asked {
        Some(seq) if seq < 1 => Err(invalid("cursor is the next_cursor of an earlier page".to_owned())),
        asked => Ok(asked.map(Seq::new)),
    }
}

/// The last seq of a full page.
fn next(events: &[RecordedEvent], limit: u32) -> Option<i64> {
    let is_full = events.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    events.last().filter(|_| is_full).map(|event| event.seq.get())
}
