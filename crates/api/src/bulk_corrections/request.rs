//! What is asked for: a list, or what makes one.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use correction::{BulkRequest, Kind, ReasonCode, list_hash, request_bulk};
use event_store::{ExecuteError, UnitOfWork};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use transfer::TransferView;
use utoipa::ToSchema;
use uuid::Uuid;

use super::document::BulkDocument;
use super::{answer, refused};
use crate::body::{Body, text};
use crate::consistency::Seen;
use crate::corrections::{EVIDENCE_CHARS_MAX, Wanted, reason_codes};
use crate::idempotency::{Answer, IdempotencyKey, Operation, once};
use crate::page::time;
use crate::service::Service;
use crate::{Code, Problem};

const ITEMS_MAX: usize = 10_000;
const CANARY: u32 = 10;
const PER_SECOND: u32 = 100;
const PER_SECOND_MAX: u32 = 1_000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestBulkCorrection {
    /// The list. One of this and `reverse_transfers`.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 10_000)]
    items: Option<Vec<Wanted>>,
    /// The list is what is found now.
    #[serde(default)]
    reverse_transfers: Option<TransfersOf>,
    #[schema(schema_with = reason_codes)]
    reason_code: ReasonCode,
    /// Where it can be read up: a ticket, a statement.
    #[schema(min_length = 1, max_length = 1000)]
    evidence: String,
    /// So many of the first that can be done are done before a person looks once more; never all, where there is more than one. 10 without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10_000)]
    canary: Option<u32>,
    /// No more than so many are done in a second. 100 without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000)]
    per_second: Option<u32>,
}

/// Transfers that have succeeded, the oldest first.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransfersOf {
    from_account: Uuid,
    requested_from: Timestamp,
    /// Not those of this moment.
    requested_until: Timestamp,
}

enum List {
    Given(Vec<Kind>),
    Found(TransfersOf),
}

/// Asks for many corrections at once, which somebody else has to approve. What they would do is found out then.
#[utoipa::path(
    post, path = "/v1/bulk-corrections", tag = "corrections", operation_id = "requestBulkCorrection",
    request_body = RequestBulkCorrection,
    responses((status = 201, description = "Created", body = BulkDocument))
)]
pub(super) async fn request(
    State(service): State<Service>,
    seen: Seen,
    key: IdempotencyKey,
    Body { fields, content }: Body<RequestBulkCorrection>,
) -> Result<Response, Problem> {
    let asked = BulkRequest {
        reason_code: fields.reason_code,
        evidence: text(&fields.evidence, EVIDENCE_CHARS_MAX, "/evidence")?,
        canary: within(fields.canary, CANARY, 10_000, "/canary")?,
        per_second: within(fields.per_second, PER_SECOND, PER_SECOND_MAX, "/per_second")?,
        person_within: service.corrections.policy.execute_within,
    };
    let mut content = content;
    let list = match (fields.items, fields.reverse_transfers) {
        (Some(items), None) => {
            let list = checked(items)?;
            // As long as the list is, it is compared by its hash.
            let hash = list_hash(&list).map_err(|_| Problem::new(Code::Internal, "the list has no hash"))?;
            content["items"] = json!(hash);
            List::Given(list)
        }
        (None, Some(transfers)) => List::Found(transfers),
        _ => {
            let detail = "one of `items` and `reverse_transfers` says what is to be corrected";
            return Err(Problem::new(Code::InvalidField, detail).at("/items"));
        }
    };
    // What is found is what there is by then.
    seen.by(&service.store, &TransferView::default()).await?;
    let operation = Operation::new("POST /v1/bulk-corrections", key, content, Vec::new())?.alone();
    let asked = Arc::new((asked, list));
    once(&service, operation, move |unit| {
        let asked = Arc::clone(&asked);
        Box::pin(async move {
            let (request, list) = &*asked;
            let found;
            let list = match list {
                List::Given(list) => list,
                List::Found(transfers) => match transfers.find(unit).await? {
                    Ok(list) => {
                        found = list;
                        &found
                    }
                    Err(refusal) => return Ok(Answer::refusal(&refusal)?),
                },
            };
            let id = unit.context().correlation_id;
            match request_bulk(unit, id, request.clone(), list).await {
                Ok(()) => answer(unit, id, StatusCode::CREATED).await,
                Err(ExecuteError::Refused(refusal)) => Ok(Answer::refusal(&refused(&refusal))?),
                Err(ExecuteError::Store(error)) => Err(error.into()),
            }
        })
    })
    .await
}

fn within(asked: Option<u32>, default: u32, max: u32, at: &'static str) -> Result<u32, Problem> {
    match asked.unwrap_or(default) {
        number if (1..=max).contains(&number) => Ok(number),
        _ => Err(Problem::new(Code::InvalidField, format!("it is 1 to {max}")).at(at)),
    }
}

fn checked(items: Vec<Wanted>) -> Result<Vec<Kind>, Problem> {
    let invalid = |detail: String, at: &str| Err(Problem::new(Code::InvalidField, detail).at(at));
    if items.is_empty() || items.len() > ITEMS_MAX {
        return invalid(format!("there are 1 to {ITEMS_MAX} items"), "/items");
    }
    let (mut list, mut first_of) = (Vec::with_capacity(items.len()), HashMap::new());
    for (n, item) in items.into_iter().enumerate() {
        let kind = item.checked(&format!("/items/{n}"))?;
        // An account may be adjusted more than once, a transfer has one end.
        let is_alone = matches!(kind, Kind::ResolveTransfer { .. } | Kind::ReverseTransfer { .. });
        if is_alone && let Some(first) = first_of.insert(kind.subject(), n) {
            return invalid(format!("it is about the same as item {first}"), &format!("/items/{n}"));
        }
        list.push(kind);
    }
    Ok(list)
}

impl TransfersOf {
    /// What there is now.
    async fn find(&self, unit: &mut UnitOfWork) -> Result<Result<Vec<Kind>, Problem>, event_store::Error> {
        let between = (time(self.requested_from), time(self.requested_until));
        let found =
            transfer::succeeded_of(unit.connection(), self.from_account, between, ITEMS_MAX + 1).await?;
        let refused =
            |detail: String| Ok(Err(Problem::new(Code::InvalidField, detail).at("/reverse_transfers")));
        match found.len() {
            0 => refused("there are none".to_owned()),
            1..=ITEMS_MAX => {
                Ok(Ok(found.into_iter().map(|transfer_id| Kind::ReverseTransfer { transfer_id }).collect()))
            }
            _ => refused(format!("there are more than {ITEMS_MAX}: ask for less time at once")),
        }
    }
}
