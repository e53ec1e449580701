//! `/v1/accounts`: open, deposit demo money, read.

use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use contract::Iban;
use event::{Aggregate, Personal};
use event_store::{ExecuteError, UnitOfWork};
use ledger::{Account, AccountCommand, AccountRefusal, Balances, is_number_taken};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::body::{Body, NAME_RULE, is_name};
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::service::{Id, Service};
use crate::{Code, Problem};

/// Each with one chance in a million to be taken, where ten thousand accounts are.
const NUMBERS_TRIED: usize = 8;

pub(crate) fn router() -> Router<Service> {
    Router::new()
        .route("/v1/accounts", post(open))
        .route("/v1/accounts/{id}", get(read))
        .route("/v1/accounts/{id}/deposits", post(deposit))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenAccount {
    owner_name: String,
    currency: Currency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deposit {
    amount: Money,
}

#[derive(Serialize)]
struct AccountView {
    account_id: Uuid,
    owner_name: Personal<String>,
    iban: Personal<contract::Iban>,
    currency: Currency,
    balances: BalancesView,
    /// The seq of the account's last event.
    version: i64,
}

#[derive(Serialize)]
struct BalancesView {
    posted: Money,
    reserved: Money,
    available: Money,
}

async fn open(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields, content }: Body<OpenAccount>,
) -> Result<Response, Problem> {
    let name = fields.owner_name.trim().to_owned();
    if !is_name(&name) {
        return Err(Problem::new(Code::InvalidField, NAME_RULE).at("/owner_name"));
    }
    let currency = fields.currency;
    let operation = Operation { name: "POST /v1/accounts", key, content, reads: Vec::new() };
    once(&service.group, operation, move |unit| Box::pin(open_in(unit, name.clone(), currency))).await
}

async fn open_in(unit: &mut UnitOfWork, name: String, currency: Currency) -> Result<Answer, Undecided> {
    let id = new_account(unit).await?;
    let open = AccountCommand::Open { id, owner_name: name.into(), currency };
    match unit.execute::<Account>(id, open).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Err(ExecuteError::Refused(_)) => return Err(event_store::Error::Conflict.into()),
    }
    let account = unit.state::<Account>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(StatusCode::CREATED, &view(account, 1)?)?)
}

/// The account's id is the request's, or follows from it: the same key can only ever open this one. Its number, of which there are fewer
/// than ids, is nobody's yet.
async fn new_account(unit: &mut UnitOfWork) -> Result<Uuid, Undecided> {
    let asked = unit.context().correlation_id;
    for n in 0..NUMBERS_TRIED {
        let id = if n == 0 { asked } else { event::derived_id(asked, "account", n) };
        let number = Iban::of_account(id);
        let is_taken = is_number_taken(unit.connection(), number.as_str()).await;
        if !is_taken.map_err(event_store::Error::from)? {
            return Ok(id);
        }
    }
    Err(event_store::Error::Conflict.into())
}

async fn deposit(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<Deposit>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    // The same key for another account is another request.
    let content = serde_json::json!({ "account_id": id, "body": content });
    let amount = fields.amount;
    let reads = vec![Account::stream(id)];
    let operation = Operation { name: "POST /v1/accounts/{id}/deposits", key, content, reads };
    once(&service.group, operation, move |unit| Box::pin(deposit_in(unit, id, amount))).await
}

async fn deposit_in(unit: &mut UnitOfWork, id: Uuid, amount: Money) -> Result<Answer, Undecided> {
    let deposit = AccountCommand::Deposit { deposit_id: unit.context().correlation_id, amount };
    match unit.execute::<Account>(id, deposit).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Err(ExecuteError::Refused(refusal)) => return Ok(Answer::refusal(&refused(&refusal))?),
    }
    let account = unit.state::<Account>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(StatusCode::CREATED, &balances(account.balances)?)?)
}

async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<AccountView>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (account, seq) = service.store.load::<Account>(id).await?;
    Ok(Json(view(account.ok_or_else(unknown)?, seq.get())?))
}

fn view(account: Account, version: i64) -> Result<AccountView, Problem> {
    Ok(AccountView {
        account_id: account.id,
        currency: account.currency(),
        balances: balances(account.balances)?,
        owner_name: account.owner_name,
        iban: account.iban,
        version,
    })
}

fn balances(balances: Balances) -> Result<BalancesView, Problem> {
    let available =
        balances.available().map_err(|_| Problem::new(Code::Internal, "the balances cannot be shown"))?;
    Ok(BalancesView { posted: balances.posted, reserved: balances.reserved, available })
}

fn unknown() -> Problem {
    Problem::new(Code::AccountUnknown, "an account has the id that POST /v1/accounts has answered with")
}

/// Why an account does not do it, as a problem.
pub(crate) fn refused(refusal: &AccountRefusal) -> Problem {
    let code = match refusal {
        AccountRefusal::NotOpen => return unknown(),
        AccountRefusal::AmountNotPositive => Code::AmountNotPositive,
        AccountRefusal::OtherCurrency(_) => Code::CurrencyMismatch,
        AccountRefusal::BalanceTooLarge => Code::AmountTooLarge,
        AccountRefusal::AlreadyOpen
        | AccountRefusal::NoSuchReservation
        | AccountRefusal::ReservationIdReused
        | AccountRefusal::NotExpected
        | AccountRefusal::NotCovered
        | AccountRefusal::HoldOutOfRange
        | AccountRefusal::PaymentIdReused
        | AccountRefusal::StillReserved => Code::Internal,
    };
    Problem::new(code, refusal.to_string()).at("/amount")
}
