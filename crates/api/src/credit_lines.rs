//! `/v1/credit-lines`: how much a customer may have on order that is not paid yet.

use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use event_store::{ExecuteError, UnitOfWork};
use money::Money;
use order::{Credit, CreditCommand, CreditRefusal};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::body::Body;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::service::{Id, Service};
use crate::version::Versioned;
use crate::{Code, Problem, schema};

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(read)).routes(routes!(change_limit))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreditLimit)]
struct Limit {
    #[schema(value_type = schema::Money)]
    limit: Money,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CreditLine)]
struct CreditDocument {
    credit_id: Uuid,
    #[schema(value_type = schema::Money)]
    limit: Money,
    /// By orders that are not paid yet.
    #[schema(value_type = schema::Money)]
    reserved: Money,
}

/// Opens a credit line.
#[utoipa::path(
    post, path = "/v1/credit-lines", tag = "orders", operation_id = "openCreditLine",
    request_body = Limit,
    responses((status = 201, description = "Created", body = CreditDocument))
)]
async fn open(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields: Limit { limit }, content }: Body<Limit>,
) -> Result<Response, Problem> {
    let operation = Operation::new("POST /v1/credit-lines", key, content, Vec::new())?;
    once(&service, operation, move |unit| {
        Box::pin(async move {
            // The line's id is the request's: the same key can only ever open this one.
            let credit_id = unit.context().correlation_id;
            let command = CreditCommand::Open { credit_id, limit };
            tell(unit, credit_id, command, StatusCode::CREATED).await
        })
    })
    .await
}

/// Changes a credit line's limit.
///
/// What is reserved stays reserved.
#[utoipa::path(
    post, path = "/v1/credit-lines/{id}/limit", tag = "orders", operation_id = "changeCreditLimit",
    request_body = Limit,
    responses((status = 200, description = "Done", body = CreditDocument))
)]
async fn change_limit(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields: Limit { limit }, content }: Body<Limit>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    // The same key for another line is another request.
    let content = json!({ "credit_id": id, "body": content });
    let operation = Operation::on::<Credit>("POST /v1/credit-lines/{id}/limit", key, id, content);
    let command = CreditCommand::ChangeLimit { limit };
    once(&service, operation, move |unit| Box::pin(tell(unit, id, command.clone(), StatusCode::OK))).await
}

async fn tell(
    unit: &mut UnitOfWork,
    id: Uuid,
    command: CreditCommand,
    status: StatusCode,
) -> Result<Answer, Undecided> {
    match unit.execute::<Credit>(id, command).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Err(ExecuteError::Refused(CreditRefusal::AlreadyOpened)) => {
            return Err(event_store::Error::Conflict.into());
        }
        Err(ExecuteError::Refused(refusal)) => return Ok(Answer::refusal(&refused(&refusal, "/limit"))?),
    }
    let credit = unit.state::<Credit>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(status, &document(&credit))?)
}

/// A credit line.
#[utoipa::path(
    get, path = "/v1/credit-lines/{id}", tag = "orders", operation_id = "readCreditLine",
    responses((status = 200, description = "Found", body = CreditDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<CreditDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (credit, seq) = service.store.load::<Credit>(id).await?;
    Ok(Versioned(seq, document(&credit.ok_or_else(unknown)?)))
}

fn document(credit: &Credit) -> CreditDocument {
    CreditDocument { credit_id: credit.id, limit: credit.limit, reserved: credit.reserved }
}

/// Why a credit line does not do it, as a problem about this field.
pub(crate) fn refused(refusal: &CreditRefusal, pointer: &str) -> Problem {
    let code = match refusal {
        CreditRefusal::NotOpened => return unknown(),
        CreditRefusal::NegativeLimit => Code::InvalidField,
        CreditRefusal::AmountNotPositive => Code::AmountNotPositive,
        CreditRefusal::OtherCurrency(_) => Code::CurrencyMismatch,
        CreditRefusal::TooLarge => Code::AmountTooLarge,
        CreditRefusal::AlreadyOpened | CreditRefusal::NotReserved => Code::Internal,
    };
    Problem::new(code, refusal.to_string()).at(pointer)
}

fn unknown() -> Problem {
    let detail = "a credit line has the id that POST /v1/credit-lines has answered with";
    Problem::new(Code::CreditLineUnknown, detail)
}
