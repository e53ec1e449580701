//! `/v1/orders`: place an order on credit, follow it, cancel it before it is paid.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use event::{Aggregate, Deadline, Personal};
use event_store::UnitOfWork;
use jiff::Timestamp;
use ledger::{Account, ApplyError};
use money::Money;
use order::{
    CancelReason, Credit, ListFilter, Order, OrderCommand, OrderRefusal, OrderRow, PaymentPolicy, PlaceError,
    Placed, Status,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::Object;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::body::Body;
use crate::consistency::Seen;
use crate::credit_lines::refused;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::page::{asked, check_status, invalid, money, next};
use crate::service::{Id, Service};
use crate::story::{Story, story};
use crate::version::Versioned;
use crate::{Code, Problem, schema};

const REFERENCE_CHARS_MAX: usize = 140;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(place, list))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(events))
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlaceOrder {
    credit_id: Uuid,
    from_account: Uuid,
    to_account: Uuid,
    #[schema(value_type = schema::Money)]
    amount: Money,
    #[serde(default)]
    reference: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
struct OrderDocument {
    order_id: Uuid,
    status: &'static str,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    cancel_reason: Option<CancelReason>,
    credit_id: Uuid,
    from_account: Uuid,
    to_account: Uuid,
    #[schema(value_type = schema::Money)]
    amount: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reference: Option<Personal<String>>,
    /// How often payment was refused, and why the last time.
    payment_refusals: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_refusal: Option<String>,
    /// When payment is tried next, and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_payment_at: Option<Timestamp>,
    pay_by: Timestamp,
}

/// Places an order on credit.
///
/// Its credit line reserves the amount until the order is paid, or cancelled.
#[utoipa::path(
    post, path = "/v1/orders", tag = "orders", operation_id = "placeOrder",
    request_body = PlaceOrder,
    responses((status = 201, description = "Created", body = OrderDocument))
)]
async fn place(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields, content }: Body<PlaceOrder>,
) -> Result<Response, Problem> {
    let fits =
        |text: &String| text.chars().count() <= REFERENCE_CHARS_MAX && !text.chars().any(char::is_control);
    if !fields.reference.as_ref().is_none_or(fits) {
        let detail = "it has at most 140 characters, and no control characters";
        return Err(Problem::new(Code::InvalidField, detail).at("/reference"));
    }
    let reads = vec![
        Credit::stream(fields.credit_id),
        Account::stream(fields.from_account),
        Account::stream(fields.to_account),
    ];
    let policy = service.payments;
    let operation = Operation::new("POST /v1/orders", key, content, reads)?;
    once(&service, operation, move |unit| Box::pin(place_in(unit, fields.clone(), policy))).await
}

async fn place_in(
    unit: &mut UnitOfWork,
    fields: PlaceOrder,
    policy: PaymentPolicy,
) -> Result<Answer, Undecided> {
    let placed = Placed {
        order_id: unit.context().correlation_id,
        credit_id: fields.credit_id,
        from_account: fields.from_account,
        to_account: fields.to_account,
        amount: fields.amount,
        reference: fields.reference.map(Personal),
        pay_by: Deadline::after(policy.within, unit.context()).due_at,
    };
    match order::place(unit, placed).await {
        Ok(Order { status: Status::Rejected, .. }) => {
            let detail = "the credit line does not cover the order";
            Ok(Answer::recorded_refusal(&Problem::new(Code::CreditExceeded, detail).at("/amount"))?)
        }
        Ok(order) => Ok(Answer::new(StatusCode::CREATED, &document(order))?),
        Err(PlaceError::Store(error)) => Err(error.into()),
        Err(error) => Ok(Answer::refusal(&refusal(&error))?),
    }
}

fn refusal(error: &PlaceError) -> Problem {
    let detail = error.to_string();
    match error {
        PlaceError::UnknownFromAccount => Problem::new(Code::AccountUnknown, detail).at("/from_account"),
        PlaceError::UnknownToAccount => Problem::new(Code::AccountUnknown, detail).at("/to_account"),
        PlaceError::SelfPayment => Problem::new(Code::SelfTransfer, detail).at("/to_account"),
        PlaceError::CurrenciesDiffer => Problem::new(Code::CurrencyMismatch, detail).at("/amount"),
        PlaceError::Credit(refusal) => refused(refusal, "/amount"),
        PlaceError::Store(_) => Problem::new(Code::Internal, "the fault has been logged"),
    }
}

/// Cancels an order that is not paid yet.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", tag = "orders", operation_id = "cancelOrder",
    responses((status = 200, description = "Done", body = OrderDocument))
)]
async fn cancel(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    // The same key for another order is another request.
    let content = json!({ "order_id": id });
    let operation = Operation::on::<Order>("POST /v1/orders/{id}/cancel", key, id, content);
    once(&service, operation, move |unit| Box::pin(cancel_in(unit, id))).await
}

async fn cancel_in(unit: &mut UnitOfWork, id: Uuid) -> Result<Answer, Undecided> {
    match order::apply(unit, id, OrderCommand::Cancel).await {
        Ok(_) => {}
        Err(ApplyError::Store(error)) => return Err(error.into()),
        Err(ApplyError::Refused(OrderRefusal::NotPlaced)) => return Ok(Answer::refusal(&unknown())?),
        Err(ApplyError::Refused(refusal)) => {
            return Ok(Answer::refusal(&Problem::new(Code::TooLateToCancel, refusal.to_string()))?);
        }
        Err(error) => return Ok(Answer::refusal(&Problem::new(Code::Internal, error.to_string()))?),
    }
    let order = unit.state::<Order>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(StatusCode::OK, &document(order))?)
}

/// An order, and where it stands.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "orders", operation_id = "readOrder",
    responses((status = 200, description = "Found", body = OrderDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<OrderDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (order, seq) = service.store.load::<Order>(id).await?;
    Ok(Versioned(seq, document(order.ok_or_else(unknown)?)))
}

/// Every event of an order.
#[utoipa::path(
    get, path = "/v1/orders/{id}/events", tag = "orders", operation_id = "orderEvents",
    responses((status = 200, description = "Found", body = Story))
)]
async fn events(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    story::<Order>(&service.store, id, unknown).await
}

fn document(order: Order) -> OrderDocument {
    let next_payment_at = order.deadline().map(|deadline| deadline.due_at);
    let Order { placed, status, refusals, refusal, .. } = order;
    OrderDocument {
        order_id: placed.order_id,
        status: status.name(),
        cancel_reason: match status {
            Status::Cancelled(reason) => Some(reason),
            _ => None,
        },
        credit_id: placed.credit_id,
        from_account: placed.from_account,
        to_account: placed.to_account,
        amount: placed.amount,
        reference: placed.reference,
        payment_refusals: refusals,
        payment_refusal: refusal,
        next_payment_at,
        pay_by: placed.pay_by,
    }
}

fn statuses() -> Object {
    schema::words(&Status::NAMES)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this status.
    #[param(schema_with = statuses)]
    status: Option<String>,
    credit: Option<Uuid>,
    account: Option<Uuid>,
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
#[schema(as = OrderList)]
struct List {
    orders: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedOrder)]
struct Listed {
    order_id: Uuid,
    status: String,
    credit_id: Uuid,
    from_account: Uuid,
    to_account: Uuid,
    #[schema(value_type = schema::Money)]
    amount: Money,
    placed_at: Timestamp,
    changed_at: Timestamp,
}

/// Orders, the newest first.
#[utoipa::path(
    get, path = "/v1/orders", tag = "orders", operation_id = "listOrders",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
async fn list(
    State(service): State<Service>,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &Status::NAMES)?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    seen.by(&service.store, &order::OrderView::default()).await?;
    let filter =
        ListFilter { status: query.status, credit_id: query.credit, account_id: query.account, page };
    let rows = order::list(&service.store, &filter).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.placed_at, row.id)));
    let listed = |row: OrderRow| -> Result<Listed, Problem> {
        Ok(Listed {
            order_id: row.id,
            status: row.status,
            credit_id: row.credit_id,
            from_account: row.from_account,
            to_account: row.to_account,
            amount: money(row.amount, &row.currency)?,
            placed_at: row.placed_at,
            changed_at: row.changed_at,
        })
    };
    Ok(Json(List { orders: rows.into_iter().map(listed).collect::<Result<_, _>>()?, next_cursor }))
}

fn unknown() -> Problem {
    Problem::new(Code::OrderUnknown, "GET /v1/orders lists those that there are")
}
