//! `/v1/transfers`: ask for one, see what became of it, and every event of its story.

mod list;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use contract::Iban;
use event::{Aggregate, Personal, Seq};
use event_store::UnitOfWork;
use ledger::Account;
use money::Money;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use transfer::{
    ApplyError, Beneficiary, FailureReason, Limits, Recall, RecallStatus, RequestError, ReturnedPayment,
    Status, Transfer, TransferCommand, TransferRefusal, TransferRequest,
};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Asker;
use crate::accounts::refused;
use crate::body::{Body, NAME_RULE, is_name};
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::prefer::Wait;
use crate::service::{Id, Service};
use crate::story::{Story, story};
use crate::version::Versioned;
use crate::{Code, Problem, schema};

/// ISO 20022: unstructured remittance information.
const REMITTANCE_CHARS_MAX: usize = 140;
const REASON_CHARS_MAX: usize = 500;
/// Nobody has to do anything, and it changes.
const UNDER_WAY: [&str; 3] = ["pending", "processing", "released"];
/// ISO 20022 `ExternalCancellationReason1Code`, as far as instant schemes have it: duplicate, technical, fraud, by the customer.
const RECALL_REASONS: [&str; 4] = ["DUPL", "TECH", "FRAD", "CUST"];

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(create, list::list))
        .routes(routes!(read))
        .routes(routes!(events))
        .routes(routes!(cancel))
        .routes(routes!(approve))
        .routes(routes!(deny))
        .routes(routes!(recall))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateTransfer {
    from_account: Uuid,
    to: To,
    #[schema(value_type = schema::Money)]
    amount: Money,
    #[serde(default)]
    remittance: Option<String>,
}

/// `{"account_id": …}` for an account here, `{"iban": …, "name": …}` for another bank.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TransferTo)]
struct To {
    account_id: Option<Uuid>,
    #[schema(value_type = Option<String>)]
    iban: Option<Iban>,
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Transfer)]
struct TransferDocument {
    transfer_id: Uuid,
    status: &'static str,
    status_reason: Option<String>,
    from_account: Uuid,
    #[schema(value_type = schema::Beneficiary)]
    to: Beneficiary,
    #[schema(value_type = schema::Money)]
    amount: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    remittance: Option<Personal<String>>,
    uetr: Uuid,
    end_to_end_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recall: Option<RecallDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    returned: Option<ReturnDocument>,
}

/// The latest one.
#[derive(Serialize, ToSchema)]
#[schema(as = Recall)]
struct RecallDocument {
    recall_id: Uuid,
    reason_code: String,
    status: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_code: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Return)]
struct ReturnDocument {
    return_id: String,
    #[schema(value_type = schema::Money)]
    amount: Money,
    reason_code: String,
}

/// Asks for a transfer.
///
/// To an account here it is done with the answer; to another bank the money is held, and the story goes on: see its `status`. A transfer that fails at once,
/// for want of money, is a refusal with its `transfer_id`.
#[utoipa::path(
    post, path = "/v1/transfers", tag = "transfers", operation_id = "createTransfer",
    request_body = CreateTransfer,
    responses((status = 201, description = "Created", body = TransferDocument))
)]
async fn create(
    State(service): State<Service>,
    Asker(asker): Asker,
    key: IdempotencyKey,
    Body { fields, content }: Body<CreateTransfer>,
) -> Result<Response, Problem> {
    let request = checked(fields)?;
    let limits = service.limits;
    let mut reads = vec![Account::stream(request.from_account)];
    if let Beneficiary::Account { account_id } = request.to {
        reads.push(Account::stream(account_id));
    }
    let operation = Operation::new("POST /v1/transfers", key, content, reads)?;
    once(&service, operation, move |unit| {
        Box::pin(create_in(unit, request.clone(), limits, asker.customer()))
    })
    .await
}

async fn create_in(
    unit: &mut UnitOfWork,
    request: TransferRequest,
    limits: Limits,
    customer: Option<Uuid>,
) -> Result<Answer, Undecided> {
    if customer.is_some() {
        let from = unit.state::<Account>(request.from_account).await?;
        if from.is_none_or(|account| account.customer_id != customer) {
            return Ok(Answer::refusal(&refusal(&RequestError::UnknownFromAccount))?);
        }
    }
    let request = TransferRequest { transfer_id: unit.context().correlation_id, ..request };
    match transfer::request(unit, request, limits).await {
        Ok(transfer) => answer(transfer),
        Err(RequestError::Store(error)) => Err(error.into()),
        Err(error) => Ok(Answer::refusal(&refusal(&error))?),
    }
}

/// What can be seen to be wrong without looking at any account.
fn checked(fields: CreateTransfer) -> Result<TransferRequest, Problem> {
    let invalid = |pointer, detail: &str| Err(Problem::new(Code::InvalidField, detail).at(pointer));
    if !fields.amount.is_positive() {
        return Err(
            Problem::new(Code::AmountNotPositive, "the amount has to be positive").at("/amount/amount")
        );
    }
    let is_remittance =
        |text: &String| text.chars().count() <= REMITTANCE_CHARS_MAX && !text.chars().any(char::is_control);
    if !fields.remittance.as_ref().is_none_or(is_remittance) {
        return invalid("/remittance", "it has at most 140 characters, and no control characters");
    }
    let to = match fields.to {
        To { account_id: Some(account_id), iban: None, name: None } => Beneficiary::Account { account_id },
        To { account_id: None, iban: Some(iban), name: Some(name) } => {
            if !is_name(&name) {
                return invalid("/to/name", NAME_RULE);
            }
            if iban.is_of_this_bank() {
                return invalid("/to/iban", "it is an account here: pay it by its account_id");
            }
            Beneficiary::Bank { iban: iban.into(), name: name.trim().to_owned().into() }
        }
        _ => return invalid("/to", "it is either {\"account_id\"} or {\"iban\", \"name\"}"),
    };
    Ok(TransferRequest {
        transfer_id: Uuid::nil(),
        from_account: fields.from_account,
        to,
        amount: fields.amount,
        remittance: fields.remittance.map(Personal),
    })
}

/// A transfer that has failed at once is a refusal, and it can be read like any other.
fn answer(transfer: Transfer) -> Result<Answer, Undecided> {
    if let Status::Failed { reason: FailureReason::InsufficientFunds } = transfer.status {
        let problem =
            Problem::new(Code::InsufficientFunds, "the available balance is smaller than the amount")
                .recorded_in(transfer.request.transfer_id);
        return Ok(Answer::recorded_refusal(&problem)?);
    }
    Ok(Answer::new(StatusCode::CREATED, &document(transfer))?)
}

fn refusal(error: &RequestError) -> Problem {
    let detail = error.to_string();
    match error {
        RequestError::UnknownFromAccount => Problem::new(Code::AccountUnknown, detail).at("/from_account"),
        RequestError::UnknownToAccount => Problem::new(Code::AccountUnknown, detail).at("/to/account_id"),
        RequestError::SelfTransfer => Problem::new(Code::SelfTransfer, detail).at("/to/account_id"),
        RequestError::AccountsDiffer { .. } => {
            Problem::new(Code::CurrencyMismatch, detail).at("/to/account_id")
        }
        RequestError::FromAccount(refusal) | RequestError::ToAccount(refusal) => refused(refusal),
        RequestError::Store(_) => Problem::new(Code::Internal, "the fault has been logged"),
    }
}

/// Cancels a transfer that the rail does not have yet.
#[utoipa::path(
    post, path = "/v1/transfers/{id}/cancel", tag = "transfers", operation_id = "cancelTransfer",
    responses((status = 200, description = "Done", body = TransferDocument))
)]
async fn cancel(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    command(&service, "POST /v1/transfers/{id}/cancel", id, key, json!({}), TransferCommand::Cancel).await
}

/// Approves a transfer that waits for it.
#[utoipa::path(
    post, path = "/v1/transfers/{id}/approve", tag = "transfers", operation_id = "approveTransfer",
    responses((status = 200, description = "Done", body = TransferDocument))
)]
async fn approve(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    not_their_own(&service, id, &key).await?;
    let approve = TransferCommand::Approve { submission: service.limits.submission };
    command(&service, "POST /v1/transfers/{id}/approve", id, key, json!({}), approve).await
}

/// Who has asked for a transfer does not decide about it.
async fn not_their_own(service: &Service, id: Uuid, key: &IdempotencyKey) -> Result<(), Problem> {
    let requested = service.store.read(&Transfer::stream(id), Seq::ZERO, 1).await?;
    let actor = requested.first().map(|event| &event.metadata.actor);
    match actor.is_some_and(|actor| *actor == key.actor()) {
        true => Err(Problem::new(Code::OwnRequest, "somebody else has to approve or deny the transfer")),
        false => Ok(()),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DenyTransfer {
    reason: String,
}

/// Denies a transfer that waits for an approval.
///
/// It fails, and the money is free again.
#[utoipa::path(
    post, path = "/v1/transfers/{id}/deny", tag = "transfers", operation_id = "denyTransfer",
    request_body = DenyTransfer,
    responses((status = 200, description = "Done", body = TransferDocument))
)]
async fn deny(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<DenyTransfer>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let reason = fields.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::new(Code::InvalidField, "it has 1 to 500 characters").at("/reason"));
    }
    not_their_own(&service, id, &key).await?;
    command(&service, "POST /v1/transfers/{id}/deny", id, key, content, TransferCommand::Deny { reason })
        .await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RecallTransfer {
    reason_code: String,
}

/// Asks for the money back, once a payment to another bank has settled.
///
/// The creditor's side decides. The reason is an ISO 20022 code: DUPL, TECH, FRAD or CUST.
#[utoipa::path(
    post, path = "/v1/transfers/{id}/recall", tag = "transfers", operation_id = "recallTransfer",
    request_body = RecallTransfer,
    responses((status = 200, description = "Done", body = TransferDocument))
)]
async fn recall(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<RecallTransfer>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (reason_code, answer_within) = (fields.reason_code, service.limits.recall);
    if !RECALL_REASONS.contains(&reason_code.as_str()) {
        let rule = format!("it is one of {}", RECALL_REASONS.join(", "));
        return Err(Problem::new(Code::InvalidField, rule).at("/reason_code"));
    }
    let recall = TransferCommand::Recall { reason_code, answer_within };
    command(&service, "POST /v1/transfers/{id}/recall", id, key, content, recall).await
}

/// Puts a command to a transfer that exists, once per key.
async fn command(
    service: &Service,
    name: &'static str,
    id: Uuid,
    key: IdempotencyKey,
    content: Value,
    command: TransferCommand,
) -> Result<Response, Problem> {
    let content = json!({ "transfer_id": id, "content": content });
    let operation = Operation::on::<Transfer>(name, key, id, content);
    once(service, operation, move |unit| {
        let command = command.clone();
        Box::pin(async move {
            match transfer::apply(unit, id, command).await {
                Ok(_) => {
                    let transfer = unit.state::<Transfer>(id).await?.ok_or_else(unknown)?;
                    Ok(Answer::new(StatusCode::OK, &document(transfer))?)
                }
                Err(ApplyError::Store(error)) => Err(error.into()),
                Err(ApplyError::Account(refusal)) => Ok(Answer::refusal(&refused(&refusal))?),
                Err(ApplyError::Refused(refusal)) => Ok(Answer::refusal(&not_now(id, &refusal))?),
                Err(ApplyError::Other(reason)) => Ok(Answer::refusal(&Problem::new(Code::Internal, reason))?),
            }
        })
    })
    .await
}

fn not_now(id: Uuid, refusal: &TransferRefusal) -> Problem {
    let code = match refusal {
        TransferRefusal::NotRequested => return unknown(),
        TransferRefusal::TooLateToCancel => Code::TooLateToCancel,
        TransferRefusal::NoApprovalAwaited => Code::NoApprovalAwaited,
        TransferRefusal::NothingToRecall => Code::NothingToRecall,
        TransferRefusal::AlreadyRecalled => Code::AlreadyRecalled,
        TransferRefusal::AlreadyRequested
        | TransferRefusal::OtherPayment
        | TransferRefusal::OutcomeNotAwaited
        | TransferRefusal::RailNotDone
        | TransferRefusal::NotACorrection
        | TransferRefusal::NothingToReverse => Code::Internal,
    };
    Problem::new(code, refusal.to_string()).recorded_in(id)
}

/// A transfer, and where it stands.
#[utoipa::path(
    get, path = "/v1/transfers/{id}", tag = "transfers", operation_id = "readTransfer",
    responses((status = 200, description = "Found", body = TransferDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    wait: Wait,
) -> Result<(HeaderMap, Versioned<TransferDocument>), Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let mut waiting = wait.begin();
    loop {
        let (transfer, seq) = service.store.load::<Transfer>(id).await?;
        let document = document(transfer.ok_or_else(unknown)?);
        if !UNDER_WAY.contains(&document.status) || !waiting.again().await {
            return Ok((wait.applied(), Versioned(seq, document)));
        }
    }
}

/// Every event of a transfer.
#[utoipa::path(
    get, path = "/v1/transfers/{id}/events", tag = "transfers", operation_id = "transferEvents",
    responses((status = 200, description = "Found", body = Story))
)]
async fn events(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    story::<Transfer>(&service.store, id, unknown).await
}

fn document(transfer: Transfer) -> TransferDocument {
    let status = transfer.status_name();
    let status_reason = match transfer.status {
        Status::OutcomeUnknown => Some("outcome_unknown".to_owned()),
        Status::AttentionRequired { reason } => Some(reason),
        Status::Failed { reason } => Some(reason.code().to_owned()),
        _ => None,
    };
    let status_reason = transfer.attention.last().cloned().or(status_reason);
    TransferDocument {
        transfer_id: transfer.request.transfer_id,
        status,
        status_reason,
        from_account: transfer.request.from_account,
        to: transfer.request.to,
        amount: transfer.request.amount,
        remittance: transfer.request.remittance,
        uetr: transfer.request.uetr,
        end_to_end_id: transfer.request.end_to_end_id,
        recall: transfer.recall.map(recall_document),
        returned: transfer.returned.map(|ReturnedPayment { return_id, amount, reason_code }| {
            ReturnDocument { return_id, amount, reason_code }
        }),
    }
}

fn recall_document(recall: Recall) -> RecallDocument {
    let (status, answer_code) = match recall.status {
        RecallStatus::Requested => ("requested", None),
        RecallStatus::Unanswered => ("unanswered", None),
        RecallStatus::Undelivered => ("undelivered", None),
        RecallStatus::Accepted => ("accepted", None),
        RecallStatus::Rejected { reason_code } => ("rejected", Some(reason_code)),
    };
    RecallDocument { recall_id: recall.recall_id, reason_code: recall.reason_code, status, answer_code }
}

pub(crate) fn unknown() -> Problem {
    Problem::new(Code::TransferUnknown, "a transfer has the id that POST /v1/transfers has answered with")
}
