//! `/v1/card-authorisations`: payments by card, from what the network has asked to what the merchants have collected.

use authorisation::{Authorisation, ListFilter, Status};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use contract::card::Merchant;
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

const ATTENTION: &str = "requires_attention";

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(events))
}

#[derive(Serialize, ToSchema)]
#[schema(as = CardAuthorisation)]
struct AuthorisationDocument {
    authorisation_id: Uuid,
    status: &'static str,
    /// Why it was declined: ISO 8583, data element 39.
    #[serde(skip_serializing_if = "Option::is_none")]
    response_code: Option<String>,
    /// Why a person has to look, the latest reason last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attention: Vec<String>,
    card_id: Uuid,
    /// Absent where nothing was ever done to an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Uuid>,
    #[schema(value_type = schema::Merchant)]
    merchant: Merchant,
    /// The network's own identifier of the payment.
    network_id: String,
    #[serde(flatten)]
    sums: Sums,
    /// When what is held can be spent again, should nobody collect it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CardSums)]
struct Sums {
    #[schema(value_type = schema::Money)]
    approved: Money,
    #[schema(value_type = schema::Money)]
    held: Money,
    #[schema(value_type = schema::Money)]
    captured: Money,
    #[schema(value_type = schema::Money)]
    refunded: Money,
}

/// A payment by card: what was approved, is held, was collected and given back.
#[utoipa::path(
    get, path = "/v1/card-authorisations/{id}", tag = "cards", operation_id = "readCardAuthorisation",
    responses((status = 200, description = "Found", body = AuthorisationDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<AuthorisationDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (authorisation, _) = service.store.load::<Authorisation>(id).await?;
    let authorisation = authorisation.ok_or_else(unknown)?;
    let held_until = event::Aggregate::deadline(&authorisation).map(|deadline| deadline.due_at);
    let Authorisation { payment, status, account_id, approved, held, captured, refunded, attention, .. } =
        authorisation;
    Ok(Json(AuthorisationDocument {
        authorisation_id: id,
        status: status.name(),
        response_code: match status {
            Status::Declined { response_code } => Some(response_code),
            _ => None,
        },
        attention,
        card_id: payment.card_id,
        account_id,
        merchant: payment.merchant,
        network_id: payment.network_id,
        sums: Sums { approved, held, captured, refunded },
        held_until,
    }))
}

/// Every event of a payment by card.
#[utoipa::path(
    get, path = "/v1/card-authorisations/{id}/events", tag = "cards", operation_id = "cardAuthorisationEvents",
    responses((status = 200, description = "Found", body = Story))
)]
async fn events(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    story::<Authorisation>(&service.store, id, unknown).await
}

fn statuses() -> Object {
    schema::words(&[&Status::NAMES[..], &[ATTENTION]].concat())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this status.
    #[param(schema_with = statuses)]
    status: Option<String>,
    card: Option<Uuid>,
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
#[schema(as = CardAuthorisationList)]
struct List {
    card_authorisations: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedCardAuthorisation)]
struct Listed {
    authorisation_id: Uuid,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<String>,
    card_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Uuid>,
    #[serde(flatten)]
    sums: Sums,
    opened_at: Timestamp,
    changed_at: Timestamp,
}

/// Payments by card, the newest first.
#[utoipa::path(
    get, path = "/v1/card-authorisations", tag = "cards", operation_id = "listCardAuthorisations",
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
    check_status(query.status.as_deref(), &[&Status::NAMES[..], &[ATTENTION]].concat())?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    let view = authorisation::AuthorisationView::default();
    seen.of(&asker, &view, &service.store).await?.by(&service.store, &view).await?;
    let accounts = accounts_in_sight(&service.store, &asker, query.account).await?;
    let filter = ListFilter { status: query.status, card_id: query.card, accounts, page };
    let rows = authorisation::list(&service.store, &filter).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.opened_at, row.id)));
    let listed = |row: authorisation::AuthorisationRow| -> Result<Listed, Problem> {
        let money = |minor| money(minor, &row.currency);
        Ok(Listed {
            authorisation_id: row.id,
            sums: Sums {
                approved: money(row.approved)?,
                held: money(row.held)?,
                captured: money(row.captured)?,
                refunded: money(row.refunded)?,
            },
            status: row.status,
            attention: row.attention,
            card_id: row.card_id,
            account_id: row.account_id,
            opened_at: row.opened_at,
            changed_at: row.changed_at,
        })
    };
    let card_authorisations = rows.into_iter().map(listed).collect::<Result<_, _>>()?;
    Ok(Json(List { card_authorisations, next_cursor }))
}

pub(crate) fn unknown() -> Problem {
    let detail = "GET /v1/card-authorisations lists those that there are";
    Problem::new(Code::CardAuthorisationUnknown, detail)
}
