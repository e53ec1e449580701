//! `/v1/incoming-payments`: what other banks pay to customers here, and what has become of it.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use contract::incoming::Holder;
use event::Personal;
use incoming::{Incoming, ListFilter, Status};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use utoipa::openapi::Object;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Asker;
use crate::consistency::Seen;
use crate::ownership::accounts_in_sight;
use crate::page::{asked, check_status, invalid, money, next};
use crate::service::{Id, Service};
use crate::story::{Story, story};
use crate::{Code, Problem, schema};

const STATUSES: [&str; 7] =
    ["pending", "credited", "refused", "cancelled", "returning", "returned", "requires_attention"];

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(events))
}

#[derive(Serialize, ToSchema)]
#[schema(as = IncomingPayment)]
struct IncomingDocument {
    payment_id: Uuid,
    status: &'static str,
    /// Why it was refused, cancelled or sent back: an ISO 20022 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<String>,
    /// Why a person has to look, the latest reason last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attention: Vec<String>,
    /// Absent where nobody can be credited.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Uuid>,
    #[schema(value_type = schema::Money)]
    amount: Money,
    #[schema(value_type = schema::Holder)]
    debtor: Holder,
    #[schema(value_type = schema::Holder)]
    creditor: Holder,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    remittance: Option<Personal<String>>,
    uetr: Uuid,
    end_to_end_id: String,
    transaction_id: String,
}

/// A payment from another bank, and where it stands.
#[utoipa::path(
    get, path = "/v1/incoming-payments/{id}", tag = "incoming payments", operation_id = "readIncomingPayment",
    responses((status = 200, description = "Found", body = IncomingDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<IncomingDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (incoming, _) = service.store.load::<Incoming>(id).await?;
    let Incoming { payment, status, account_id, attention, .. } = incoming.ok_or_else(unknown)?;
    let (status, reason_code) = match status {
        Status::Pending => ("pending", None),
        Status::Credited => ("credited", None),
        Status::Refused { reason_code } => ("refused", Some(reason_code)),
        Status::Cancelled { reason_code } => ("cancelled", Some(reason_code)),
        Status::Returning { reason_code } => ("returning", Some(reason_code)),
        Status::Returned { reason_code } => ("returned", Some(reason_code)),
    };
    Ok(Json(IncomingDocument {
        payment_id: payment.payment_id,
        status,
        reason_code,
        attention,
        account_id,
        amount: payment.amount,
        debtor: payment.debtor,
        creditor: payment.creditor,
        remittance: payment.remittance,
        uetr: payment.uetr,
        end_to_end_id: payment.end_to_end_id,
        transaction_id: payment.transaction_id,
    }))
}

/// Every event of a payment from another bank.
#[utoipa::path(
    get, path = "/v1/incoming-payments/{id}/events", tag = "incoming payments", operation_id = "incomingPaymentEvents",
    responses((status = 200, description = "Found", body = Story))
)]
async fn events(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    story::<Incoming>(&service.store, id, unknown).await
}

fn statuses() -> Object {
    schema::words(&STATUSES)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this status.
    #[param(schema_with = statuses)]
    status: Option<String>,
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
#[schema(as = IncomingPaymentList)]
struct List {
    incoming_payments: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedIncomingPayment)]
struct Listed {
    payment_id: Uuid,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Uuid>,
    #[schema(value_type = schema::Money)]
    amount: Money,
    received_at: Timestamp,
    changed_at: Timestamp,
}

/// Payments from other banks, the newest first.
#[utoipa::path(
    get, path = "/v1/incoming-payments", tag = "incoming payments", operation_id = "listIncomingPayments",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
async fn list(
    State(service): State<Service>,
    Asker(asker): Asker,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &STATUSES)?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    let view = incoming::IncomingView::default();
    seen.of(&asker, &view, &service.store).await?.by(&service.store, &view).await?;
    let accounts = accounts_in_sight(&service.store, &asker, query.account).await?;
    let filter = ListFilter { status: query.status, accounts, page };
    let rows = incoming::list(&service.store, &filter).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.received_at, row.id)));
    let listed = |row: incoming::IncomingRow| -> Result<Listed, Problem> {
        Ok(Listed {
            payment_id: row.id,
            status: row.status,
            attention: row.attention,
            account_id: row.account_id,
            amount: money(row.amount, &row.currency)?,
            received_at: row.received_at,
            changed_at: row.changed_at,
        })
    };
    Ok(Json(List { incoming_payments: rows.into_iter().map(listed).collect::<Result<_, _>>()?, next_cursor }))
}

pub(crate) fn unknown() -> Problem {
    Problem::new(Code::IncomingPaymentUnknown, "GET /v1/incoming-payments lists those that there are")
}
