//! `/v1/customers`: register, rename, read, list, and what accounts they have.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use customer::{Customer, CustomerCommand, CustomerRefusal, CustomerRow, ListFilter};
use event::{Aggregate, Personal, Seq};
use event_store::{ExecuteError, UnitOfWork};
use jiff::Timestamp;
use ledger::{Account, accounts_of};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::accounts::{AccountView, view};
use crate::body::{Body, NAME_RULE, is_name};
use crate::consistency::Seen;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::page::{asked, invalid, loaded_limit, next, words};
use crate::service::{Id, Service};
use crate::version::Versioned;
use crate::{Code, Problem};

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(register, list))
        .routes(routes!(read))
        .routes(routes!(rename))
        .routes(routes!(accounts))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CustomerName {
    name: String,
}

impl CustomerName {
    fn checked(self) -> Result<Personal<String>, Problem> {
        let name = self.name.trim().to_owned();
        if is_name(&name) {
            Ok(name.into())
        } else {
            Err(Problem::new(Code::InvalidField, NAME_RULE).at("/name"))
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Customer)]
struct CustomerDocument {
    customer_id: Uuid,
    #[schema(value_type = String)]
    name: Personal<String>,
    /// The seq of the customer's last event.
    version: i64,
}

/// Registers a customer.
///
/// Accounts are opened for them with their `customer_id`.
#[utoipa::path(
    post, path = "/v1/customers", tag = "customers", operation_id = "registerCustomer",
    request_body = CustomerName,
    responses((status = 201, description = "Created", body = CustomerDocument))
)]
async fn register(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields, content }: Body<CustomerName>,
) -> Result<Response, Problem> {
    let name = fields.checked()?;
    let operation = Operation::new("POST /v1/customers", key, content, Vec::new())?;
    once(&service, operation, move |unit| {
        let name = name.clone();
        Box::pin(async move {
            // The customer's id is the request's: the same key can only ever register this one.
            let customer_id = unit.context().correlation_id;
            unit.expect_new::<Customer>(customer_id);
            let register = CustomerCommand::Register { customer_id, name };
            tell(unit, customer_id, register, StatusCode::CREATED).await
        })
    })
    .await
}

/// Gives a customer another name.
///
/// Accounts keep the name that they were opened under.
#[utoipa::path(
    post, path = "/v1/customers/{id}/name", tag = "customers", operation_id = "renameCustomer",
    request_body = CustomerName,
    responses((status = 200, description = "Done", body = CustomerDocument))
)]
async fn rename(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<CustomerName>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let name = fields.checked()?;
    let content = json!({ "customer_id": id, "body": content });
    let operation = Operation::on::<Customer>("POST /v1/customers/{id}/name", key, id, content);
    once(&service, operation, move |unit| {
        let rename = CustomerCommand::Rename { name: name.clone() };
        Box::pin(tell(unit, id, rename, StatusCode::OK))
    })
    .await
}

async fn tell(
    unit: &mut UnitOfWork,
    id: Uuid,
    command: CustomerCommand,
    status: StatusCode,
) -> Result<Answer, Undecided> {
    match unit.execute::<Customer>(id, command).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Err(ExecuteError::Refused(CustomerRefusal::NotRegistered)) => {
            return Ok(Answer::refusal(&unknown())?);
        }
        Err(ExecuteError::Refused(CustomerRefusal::AlreadyRegistered)) => {
            return Err(event_store::Error::Conflict.into());
        }
    }
    let (customer, seq) = unit.load::<Customer>(id).await?;
    Ok(Answer::new(status, &document(customer.ok_or(event_store::Error::Conflict)?, seq))?)
}

/// A customer.
#[utoipa::path(
    get, path = "/v1/customers/{id}", tag = "customers", operation_id = "readCustomer",
    responses((status = 200, description = "Found", body = CustomerDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<CustomerDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (customer, seq) = service.store.load::<Customer>(id).await?;
    Ok(Versioned(seq, document(customer.ok_or_else(unknown)?, seq)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountsQuery {
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
    /// 20 without it.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct CustomerAccounts {
    accounts: Vec<AccountView>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Uuid>,
}

/// A customer's accounts, with their balances, in the order of their ids.
#[utoipa::path(
    get, path = "/v1/customers/{id}/accounts", tag = "customers", operation_id = "customerAccounts",
    params(AccountsQuery),
    responses((status = 200, description = "Found", body = CustomerAccounts))
)]
async fn accounts(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    query: Result<Query<AccountsQuery>, QueryRejection>,
) -> Result<Json<CustomerAccounts>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let (store, limit) = (&service.store, loaded_limit(query.limit)?);
    if store.last(&Customer::stream(id)).await?.is_none() {
        return Err(unknown());
    }
    let ids = accounts_of(store, id, query.cursor, limit).await?;
    let is_full = ids.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = ids.last().copied().filter(|_| is_full);
    let mut accounts = Vec::with_capacity(ids.len());
    for id in ids {
        if let (Some(account), seq) = store.load::<Account>(id).await? {
            accounts.push(view(account, seq)?);
        }
    }
    Ok(Json(CustomerAccounts { accounts, next_cursor }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Words of the name, or how they begin.
    #[param(max_length = 140)]
    q: Option<String>,
    /// Only those that have stood here as they do since before then.
    changed_before: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,17}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    cursor: Option<String>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CustomerList)]
struct List {
    customers: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedCustomer)]
struct Listed {
    customer_id: Uuid,
    name: String,
    registered_at: Timestamp,
    changed_at: Timestamp,
}

/// Customers, the newest first.
#[utoipa::path(
    get, path = "/v1/customers", tag = "customers", operation_id = "listCustomers",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
async fn list(
    State(service): State<Service>,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    seen.by(&service.store, &customer::CustomerView::default()).await?;
    let words = words(query.q)?;
    let rows = customer::list(&service.store, &ListFilter { words, page }).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.registered_at, row.id)));
    let listed = |CustomerRow { id, name, registered_at, changed_at, .. }| Listed {
        customer_id: id,
        name,
        registered_at,
        changed_at,
    };
    Ok(Json(List { customers: rows.into_iter().map(listed).collect(), next_cursor }))
}

fn document(customer: Customer, version: Seq) -> CustomerDocument {
    CustomerDocument { customer_id: customer.id, name: customer.name, version: version.get() }
}

pub(crate) fn unknown() -> Problem {
    Problem::new(Code::CustomerUnknown, "a customer has the id that POST /v1/customers has answered with")
}
