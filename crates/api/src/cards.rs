//! `/v1/cards`: issue a card to an account, block it, read it. Its number and its secrets are the network's and the card maker's business.

use authorisation::{Card, CardCommand, CardRefusal};
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use event::Aggregate;
use event_store::{ExecuteError, UnitOfWork};
use ledger::Account;
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
use crate::{Code, Problem};

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(issue))
        .routes(routes!(read))
        .routes(routes!(block))
        .routes(routes!(unblock))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IssueCard {
    account_id: Uuid,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Card)]
struct CardDocument {
    card_id: Uuid,
    account_id: Uuid,
    /// `active` or `blocked`: what a blocked one asks for is declined.
    status: &'static str,
}

/// Issues a card that spends an account's money.
#[utoipa::path(
    post, path = "/v1/cards", tag = "cards", operation_id = "issueCard",
    request_body = IssueCard,
    responses((status = 201, description = "Created", body = CardDocument))
)]
async fn issue(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields, content }: Body<IssueCard>,
) -> Result<Response, Problem> {
    let account_id = fields.account_id;
    let reads = vec![Account::stream(account_id)];
    let operation = Operation::new("POST /v1/cards", key, content, reads)?;
    once(&service, operation, move |unit| Box::pin(issue_in(unit, account_id))).await
}

async fn issue_in(unit: &mut UnitOfWork, account_id: Uuid) -> Result<Answer, Undecided> {
    if unit.state::<Account>(account_id).await?.is_none() {
        let detail = "an account has the id that POST /v1/accounts has answered with";
        return Ok(Answer::refusal(&Problem::new(Code::AccountUnknown, detail).at("/account_id"))?);
    }
    // The card's id is the request's: the same key can only ever issue this one.
    let card_id = unit.context().correlation_id;
    tell(unit, card_id, CardCommand::Issue { card_id, account_id }, StatusCode::CREATED).await
}

/// Blocks a card: what is asked for it is declined.
#[utoipa::path(
    post, path = "/v1/cards/{id}/block", tag = "cards", operation_id = "blockCard",
    responses((status = 200, description = "Done", body = CardDocument))
)]
async fn block(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    command(&service, "POST /v1/cards/{id}/block", id, key, CardCommand::Block).await
}

/// Ends a card's block.
#[utoipa::path(
    post, path = "/v1/cards/{id}/unblock", tag = "cards", operation_id = "unblockCard",
    responses((status = 200, description = "Done", body = CardDocument))
)]
async fn unblock(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    command(&service, "POST /v1/cards/{id}/unblock", id, key, CardCommand::Unblock).await
}

async fn command(
    service: &Service,
    name: &'static str,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    command: CardCommand,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    // The same key for another card is another request.
    let operation = Operation::on::<Card>(name, key, id, json!({ "card_id": id }));
    once(service, operation, move |unit| Box::pin(tell(unit, id, command.clone(), StatusCode::OK))).await
}

async fn tell(
    unit: &mut UnitOfWork,
    id: Uuid,
    command: CardCommand,
    status: StatusCode,
) -> Result<Answer, Undecided> {
    match unit.execute::<Card>(id, command).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Err(ExecuteError::Refused(CardRefusal::NotIssued)) => return Ok(Answer::refusal(&unknown())?),
        Err(ExecuteError::Refused(CardRefusal::AlreadyIssued)) => {
            return Err(event_store::Error::Conflict.into());
        }
    }
    let card = unit.state::<Card>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(status, &document(&card))?)
}

/// A card.
#[utoipa::path(
    get, path = "/v1/cards/{id}", tag = "cards", operation_id = "readCard",
    responses((status = 200, description = "Found", body = CardDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<CardDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (card, seq) = service.store.load::<Card>(id).await?;
    Ok(Versioned(seq, document(&card.ok_or_else(unknown)?)))
}

fn document(card: &Card) -> CardDocument {
    let status = if card.is_blocked { "blocked" } else { "active" };
    CardDocument { card_id: card.id, account_id: card.account_id, status }
}

pub(crate) fn unknown() -> Problem {
    Problem::new(Code::CardUnknown, "a card has the id that POST /v1/cards has answered with")
}
