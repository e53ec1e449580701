//! `/v1/incoming-payments`: what other banks pay to customers here, and what has become of it.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use contract::incoming::Holder;
use event::Personal;
use incoming::{Incoming, ListFilter, Status};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::page::{Page, check_status, invalid, money};
use crate::service::{Id, Service};
use crate::story::{Story, story};
use crate::{Code, Problem};

const STATUSES: [&str; 7] =
    ["pending", "credited", "refused", "cancelled", "returning", "returned", "requires_attention"];

pub(crate) fn router() -> Router<Service> {
    Router::new()
        .route("/v1/incoming-payments", get(list))
        .route("/v1/incoming-payments/{id}", get(read))
        .route("/v1/incoming-payments/{id}/events", get(events))
}

#[derive(Serialize)]
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
    amount: Money,
    debtor: Holder,
    creditor: Holder,
    #[serde(skip_serializing_if = "Option::is_none")]
    remittance: Option<Personal<String>>,
    uetr: Uuid,
    end_to_end_id: String,
    transaction_id: String,
}

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

async fn events(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    story::<Incoming>(&service.store, id, unknown).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    status: Option<String>,
    account: Option<Uuid>,
    cursor: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct List {
    incoming_payments: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    payment_id: Uuid,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Uuid>,
    amount: Money,
    received_at: Timestamp,
    changed_at: Timestamp,
}

async fn list(
    State(service): State<Service>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &STATUSES)?;
    let page = Page::asked(query.limit, query.cursor.as_deref())?;
    let filter =
        ListFilter { status: query.status, account_id: query.account, after: page.after, limit: page.limit };
    let rows = incoming::list(&service.store, &filter).await?;
    let next_cursor = page.next(rows.len(), rows.last().map(|row| (row.received_at, row.id)));
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

fn unknown() -> Problem {
    Problem::new(Code::IncomingPaymentUnknown, "GET /v1/incoming-payments lists those that there are")
}
