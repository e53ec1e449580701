//! A preview: the correction is carried out, and its handlers are told, in a transaction that is rolled back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cases::Case;
use delivery::{HandleError, Handler, ParkedEvent, parked_event_in};
use event::{Aggregate, Category, DomainEvent, NewEvent, Position, RecordedEvent, StreamName};
use event_store::UnitOfWork;
use ledger::{Account, AccountEvent, Balances, Entry, postings_balance};
use money::Money;
use transfer::Transfer;
use uuid::Uuid;

use crate::preview::{effect_of, hash_of};
use crate::{
    AccountChange, At, CarryOutError, Kind, Preview, Previewed, SagaChange, Told, Verdict, carry_out,
};

/// What is not ours goes first: a preview waits for nobody's rows for longer.
const LOCKS_WITHIN: Duration = Duration::from_millis(250);
/// Handlers that act on what handlers have done.
const ROUNDS_MAX: usize = 8;

/// What a correction has decided in a unit, which is neither committed nor rolled back yet.
pub struct Trial {
    pub computed_on: Vec<At>,
    pub events: Vec<Previewed>,
    pub hash: String,
    pub effect: String,
    accounts: Vec<AccountChange>,
    invariants: Vec<Verdict>,
    saga: Option<SagaChange>,
    amount: Option<Money>,
    skipped: Option<ParkedEvent>,
}

impl Trial {
    /// Carries the correction out within `unit`.
    pub async fn run(unit: &mut UnitOfWork, correction_id: Uuid, kind: &Kind) -> Result<Self, CarryOutError> {
        let before = unit.decided().len();
        let (status_before, amount) = subject(unit, kind).await?;
        let skipped = skipped(unit, kind).await?;
        carry_out(unit, correction_id, kind).await?;
        let decided = unit.decided()[before..].to_vec();
        let events: Vec<Previewed> = decided.iter().map(Previewed::of).collect();
        let mut computed_on: BTreeMap<StreamName, At> = BTreeMap::new();
        for event in decided.iter().filter(is_bound) {
            let at = At { stream: event.stream.clone(), seq: event.seq.previous() };
            computed_on.entry(event.stream.clone()).or_insert(at);
        }
        let computed_on: Vec<At> = computed_on.into_values().collect();
        let bound: Vec<Previewed> = decided.iter().filter(is_bound).map(Previewed::of).collect();
        let unwritable = |error: serde_json::Error| CarryOutError::Refused(error.to_string());
        let hash = hash_of(kind, &computed_on, &bound, skipped.as_ref()).map_err(unwritable)?;
        let effect = effect_of(kind, &bound, skipped.as_ref()).map_err(unwritable)?;
        let saga = match status_before {
            Some(before) => {
                let after = subject(unit, kind).await?.0.unwrap_or_default();
                Some(SagaChange { stream: kind.subject(), before, after })
            }
            None => None,
        };
        let accounts = account_changes(&decided)?;
        let invariants = invariants(&decided, &accounts, unit).await?;
        if let Some(broken) = invariants.iter().find(|verdict| !verdict.holds) {
            return Err(CarryOutError::Refused(format!("it would break a rule: {}", broken.invariant)));
        }
        Ok(Self { computed_on, events, hash, effect, accounts, invariants, saga, amount, skipped })
    }
}

/// What people note on a case moves nothing that was approved.
fn is_bound(event: &&NewEvent) -> bool {
    event.stream.category() != Case::CATEGORY
}

/// What a handler would leave out.
async fn skipped(unit: &mut UnitOfWork, kind: &Kind) -> Result<Option<ParkedEvent>, CarryOutError> {
    let Kind::SkipParked { handler, stream, seq } = kind else { return Ok(None) };
    let found = parked_event_in(unit.connection(), handler, stream, *seq).await?;
    let nothing =
        || CarryOutError::Refused(format!("{stream}@{seq} does not wait for a person in {handler}"));
    found.ok_or_else(nothing).map(Some)
}

/// Where the saga stands, if it is one, and what is at stake.
async fn subject(
    unit: &mut UnitOfWork,
    kind: &Kind,
) -> Result<(Option<String>, Option<Money>), CarryOutError> {
    match kind {
        Kind::ResolveTransfer { transfer_id, .. } | Kind::ReverseTransfer { transfer_id } => {
            let transfer = unit.state::<Transfer>(*transfer_id).await?;
            let transfer =
                transfer.ok_or_else(|| CarryOutError::Refused("the transfer does not exist".to_owned()))?;
            Ok((Some(transfer.status_name().to_owned()), Some(transfer.request.amount)))
        }
        Kind::AdjustAccount { amount, .. } => Ok((None, Some(*amount))),
        Kind::SkipParked { .. } => Ok((None, None)),
    }
}

/// Carries the correction out, has `handlers` do what they would, and rolls all of it back. They are those that read this service.
pub async fn preview(
    mut unit: UnitOfWork,
    correction_id: Uuid,
    kind: &Kind,
    handlers: &[Arc<dyn Handler>],
) -> Result<Preview, CarryOutError> {
    let done = tried(&mut unit, correction_id, kind, handlers).await;
    unit.roll_back().await;
    done
}

async fn tried(
    unit: &mut UnitOfWork,
    correction_id: Uuid,
    kind: &Kind,
    handlers: &[Arc<dyn Handler>],
) -> Result<Preview, CarryOutError> {
    unit.wait_for_locks(LOCKS_WITHIN).await?;
    let trial = Trial::run(unit, correction_id, kind).await?;
    let messages = follow(unit, handlers).await?;
    let Trial { computed_on, events, hash, effect, accounts, invariants, saga, amount, skipped } = trial;
    Ok(Preview { hash, effect, amount, computed_on, events, accounts, saga, messages, invariants, skipped })
}

/// What the handlers make of what was decided, and of what they make of it. Returns what others would be told.
async fn follow(unit: &mut UnitOfWork, handlers: &[Arc<dyn Handler>]) -> Result<Vec<Told>, CarryOutError> {
    let mut told = Vec::new();
    let mut seen = 0;
    for _ in 0..ROUNDS_MAX {
        let new: Vec<NewEvent> = unit.decided()[seen..].to_vec();
        if new.is_empty() {
            break;
        }
        seen += new.len();
        let is_external = |event: &&NewEvent| {
            event.stream.category().parse::<Category>().is_ok_and(|category| category.is_external())
        };
        told.extend(new.iter().filter(is_external).map(Previewed::of).map(Told::from));
        let recorded: Vec<RecordedEvent> = new.iter().map(|event| as_recorded(event, unit)).collect();
        for handler in handlers {
            let subscription = handler.subscription();
            let wanted: Vec<&RecordedEvent> = recorded
                .iter()
                .filter(|event| subscription.categories.contains(&event.stream.category()))
                .collect();
            if subscription.source == unit.service() && !wanted.is_empty() {
                try_alone(&**handler, &wanted, unit).await?;
            }
        }
    }
    Ok(told)
}

/// What it has written is given up at once, so that the live one waits for its rows no longer than it takes. What it has decided stays.
async fn try_alone(
    handler: &dyn Handler,
    wanted: &[&RecordedEvent],
    unit: &mut UnitOfWork,
) -> Result<(), CarryOutError> {
    let store = event_store::Error::from;
    sqlx::raw_sql("savepoint trial").execute(unit.connection()).await.map_err(store)?;
    let done = delivery::try_out(handler, wanted, unit).await;
    done.map_err(|error| match error {
        HandleError::Store(error) => CarryOutError::Store(error),
        error => CarryOutError::Refused(format!("{} fails on it: {error}", handler.name())),
    })?;
    sqlx::raw_sql("rollback to savepoint trial; release savepoint trial")
        .execute(unit.connection())
        .await
        .map_err(store)?;
    Ok(())
}

fn as_recorded(event: &NewEvent, unit: &UnitOfWork) -> RecordedEvent {
    RecordedEvent {
        stream: event.stream.clone(),
        seq: event.seq,
        id: event.id,
        event_type: event.event_type.to_string(),
        version: event.version,
        data: event.data.clone(),
        correlation_id: event.correlation_id,
        causation_id: event.causation_id,
        metadata: event.metadata.clone(),
        recorded_at: unit.context().now,
        position: Position(0),
    }
}

/// The first of each account's events says what it had before, the last what it has after.
fn account_changes(decided: &[NewEvent]) -> Result<Vec<AccountChange>, CarryOutError> {
    let mut changes: BTreeMap<Uuid, AccountChange> = BTreeMap::new();
    for (account_id, event) in account_events(decided)? {
        let Some(entry) = Entry::of(&event, account_id).map_err(unreckonable)? else { continue };
        let minus = |one: Money, other: Money| one.minus(other).map_err(unreckonable);
        let before = Balances {
            posted: minus(entry.balances.posted, entry.posted)?,
            reserved: minus(entry.balances.reserved, entry.reserved)?,
        };
        let change = AccountChange { account_id, before, after: entry.balances };
        changes.entry(account_id).or_insert(change).after = entry.balances;
    }
    Ok(changes.into_values().collect())
}

fn account_events(decided: &[NewEvent]) -> Result<Vec<(Uuid, AccountEvent)>, CarryOutError> {
    let of_accounts = decided.iter().filter(|event| event.stream.category() == Account::CATEGORY);
    let decoded = of_accounts.filter_map(|event| {
        let id = event.stream.uuid()?;
        let decoded = AccountEvent::decode(&event.event_type, event.version, event.data.get());
        Some(decoded.map(|decoded| (id, decoded)))
    });
    decoded.collect::<Result<_, _>>().map_err(|error| event_store::Error::from(error).into())
}

/// The rules that a correction could break.
async fn invariants(
    decided: &[NewEvent],
    accounts: &[AccountChange],
    unit: &mut UnitOfWork,
) -> Result<Vec<Verdict>, CarryOutError> {
    let events = account_events(decided)?;
    let mut postings = Vec::new();
    for (_, event) in &events {
        postings.extend_from_slice(event.postings());
    }
    let mut is_covered = true;
    let mut reserved_is_held = true;
    for change in accounts {
        let available = change.after.available().map_err(unreckonable)?;
        let before = change.before.available().map_err(unreckonable)?;
        is_covered &= !available.is_negative() || available.minor() >= before.minor();
        let account = unit.state::<Account>(change.account_id).await?;
        let held = account.map(|account| account.held_in_all()).transpose().map_err(unreckonable)?;
        reserved_is_held &= held == Some(change.after.reserved);
    }
    let verdict = |invariant: &str, holds| Verdict { invariant: invariant.to_owned(), holds };
    Ok(vec![
        verdict("postings sum to zero in each currency", postings_balance(&postings)),
        verdict("no account spends what it has not", is_covered),
        verdict("what is reserved is the sum of the open reservations", reserved_is_held),
    ])
}

fn unreckonable(error: money::Error) -> CarryOutError {
    CarryOutError::Refused(error.to_string())
}
