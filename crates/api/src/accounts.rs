//! `/v1/accounts`: open, deposit demo money, read.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use contract::Iban;
use customer::Customer;
use event::{Aggregate, Personal, Seq};
use event_store::{ExecuteError, UnitOfWork};
use ledger::{Account, AccountCommand, AccountRefusal, Balances, is_number_taken};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::as_of::{AsOf, Moment};
use crate::body::{Body, NAME_RULE, is_name};
use crate::entries::not_yet;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::page::invalid;
use crate::service::{Id, Service};
use crate::version::Versioned;
use crate::{Code, Problem, customers, schema};

/// Each with one chance in a million to be taken, where ten thousand accounts are.
const NUMBERS_TRIED: usize = 8;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(read)).routes(routes!(deposit))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OpenAccount {
    /// Whose it is. Without it, nobody's who is registered here.
    customer_id: Option<Uuid>,
    /// The customer's, without it.
    owner_name: Option<String>,
    #[schema(value_type = String)]
    currency: Currency,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Deposit {
    #[schema(value_type = schema::Money)]
    amount: Money,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountView {
    account_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<Uuid>,
    #[schema(value_type = String)]
    owner_name: Personal<String>,
    #[schema(value_type = String)]
    iban: Personal<contract::Iban>,
    #[schema(value_type = String)]
    currency: Currency,
    balances: BalancesView,
    /// The seq of the account's last event.
    version: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Balances)]
pub(crate) struct BalancesView {
    #[schema(value_type = schema::Money)]
    posted: Money,
    #[schema(value_type = schema::Money)]
    reserved: Money,
    #[schema(value_type = schema::Money)]
    available: Money,
}

/// Opens an account.
///
/// Its number follows from its id.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", operation_id = "openAccount",
    request_body = OpenAccount,
    responses((status = 201, description = "Created", body = AccountView))
)]
async fn open(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields, content }: Body<OpenAccount>,
) -> Result<Response, Problem> {
    let name = fields.owner_name.map(|name| name.trim().to_owned());
    if !name.as_deref().is_none_or(is_name) {
        return Err(Problem::new(Code::InvalidField, NAME_RULE).at("/owner_name"));
    }
    if name.is_none() && fields.customer_id.is_none() {
        let detail = "an account belongs to a customer, or has at least an owner_name";
        return Err(Problem::new(Code::InvalidField, detail).at("/customer_id"));
    }
    let (customer_id, currency) = (fields.customer_id, fields.currency);
    let reads = customer_id.map(Customer::stream).into_iter().collect();
    let operation = Operation::new("POST /v1/accounts", key, content, reads)?;
    once(&service, operation, move |unit| {
        Box::pin(open_in(unit, customer_id, name.clone().map(Personal), currency))
    })
    .await
}

async fn open_in(
    unit: &mut UnitOfWork,
    customer_id: Option<Uuid>,
    owner_name: Option<Personal<String>>,
    currency: Currency,
) -> Result<Answer, Undecided> {
    let customer = match customer_id {
        Some(id) => unit.state::<Customer>(id).await?,
        None => None,
    };
    if customer.is_none() && customer_id.is_some() {
        return Ok(Answer::refusal(&customers::unknown().at("/customer_id"))?);
    }
    let owner_name = owner_name.or_else(|| customer.map(|customer| customer.name));
    let owner_name = owner_name.ok_or_else(customers::unknown)?;
    let id = new_account(unit).await?;
    let open = AccountCommand::Open { id, customer_id, owner_name, currency };
    match unit.execute::<Account>(id, open).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Err(ExecuteError::Refused(_)) => return Err(event_store::Error::Conflict.into()),
    }
    let account = unit.state::<Account>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(StatusCode::CREATED, &view(account, Seq::FIRST)?)?)
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

/// Deposits demo money.
///
/// It comes from the funding account.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/deposits", tag = "accounts", operation_id = "deposit",
    request_body = Deposit,
    responses((status = 201, description = "Created", body = BalancesView))
)]
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
    let operation = Operation::on::<Account>("POST /v1/accounts/{id}/deposits", key, id, content);
    once(&service, operation, move |unit| Box::pin(deposit_in(unit, id, amount))).await
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

/// An account, with its balances: now, at a time, or after one of its events.
#[utoipa::path(
    get, path = "/v1/accounts/{id}", tag = "accounts", operation_id = "readAccount",
    params(AsOf),
    responses((status = 200, description = "Found", body = AccountView))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    query: Result<Query<AsOf>, QueryRejection>,
) -> Result<Versioned<AccountView>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let Query(as_of) = query.map_err(|error| invalid(error.body_text()))?;
    let (store, stream) = (&service.store, Account::stream(id));
    let (account, seq) = match as_of.moment(store, &stream).await? {
        Moment::Now => store.load::<Account>(id).await?,
        Moment::Before(at) if store.last(&stream).await?.is_some() => return Err(not_yet(at)),
        Moment::Before(_) => return Err(unknown()),
        Moment::After(asked) => match store.load_at::<Account>(id, asked).await? {
            (Some(_), seq) if seq < asked => {
                return Err(Problem::new(Code::SeqUnknown, format!("the account's last event is {seq}")));
            }
            loaded => loaded,
        },
    };
    Ok(Versioned(seq, view(account.ok_or_else(unknown)?, seq)?))
}

pub(crate) fn view(account: Account, version: Seq) -> Result<AccountView, Problem> {
    Ok(AccountView {
        account_id: account.id,
        customer_id: account.customer_id,
        currency: account.currency(),
        balances: balances(account.balances)?,
        owner_name: account.owner_name,
        iban: account.iban,
        version: version.get(),
    })
}

pub(crate) fn balances(balances: Balances) -> Result<BalancesView, Problem> {
    let available =
        balances.available().map_err(|_| Problem::new(Code::Internal, "the balances cannot be shown"))?;
    Ok(BalancesView { posted: balances.posted, reserved: balances.reserved, available })
}

pub(crate) fn unknown() -> Problem {
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
        | AccountRefusal::NotACorrection
        | AccountRefusal::HoldOutOfRange
        | AccountRefusal::PaymentIdReused
        | AccountRefusal::StillReserved => Code::Internal,
    };
    Problem::new(code, refusal.to_string()).at("/amount")
}
