//! `/v1/projections`, `/v1/operations/{id}`: read models, how they are built anew or compared, and how far that has come.

use std::sync::Arc;

use access::Role;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use event_store::{ExecuteError, UnitOfWork};
use jiff::Timestamp;
use projection::{
    Difference, Overview, Progress, Projection, Purpose, Rebuild, RebuildCommand, RebuildRefusal,
    RebuildRequested, Status, progress, under_way_in,
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Object;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Asker;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::service::{Id, Service};
use crate::version::Versioned;
use crate::{Code, Problem, schema};

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(rebuild))
        .routes(routes!(verify))
        .routes(routes!(operation))
        .routes(routes!(cancel))
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProjectionList)]
struct List {
    projections: Vec<Listed>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Projection)]
struct Listed {
    name: String,
    /// That its rows stand in.
    tables: Vec<String>,
    /// Of the rules that its rows follow.
    version: i32,
    /// Why it reads the history instead of what happens now; absent when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_reason: Option<String>,
    /// Streams that wait at an event which it could not take up.
    parked_streams: i64,
    /// That builds it anew or compares it, or did so the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_id: Option<Uuid>,
}

fn kinds() -> Object {
    schema::words(&["rebuild", "verify"])
}

fn statuses() -> Object {
    schema::words(&["running", "completed", "failed", "cancelled"])
}

/// Long work: it goes on when its process is killed, and shows how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Operation)]
pub(crate) struct OperationDocument {
    operation_id: Uuid,
    #[schema(schema_with = kinds)]
    kind: &'static str,
    projection: String,
    #[schema(schema_with = statuses)]
    status: &'static str,
    /// Why it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    events_done: i64,
    /// As many as there were when it began; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_total: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<i64>,
    /// Absent while it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// Of a verification that has completed: the tables that are not as the events say. None, and all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<Vec<TableDifference>>,
}

#[derive(Serialize, ToSchema)]
struct TableDifference {
    table: String,
    /// Rows in what serves that the events do not say.
    only_serving: i64,
    /// Rows that the events say, and what serves has not.
    only_rebuilt: i64,
    /// Ten of each, for operators and auditors; absent once a later operation of the same projection has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    examples: Option<Value>,
}

fn unknown_projection() -> Problem {
    Problem::new(Code::ProjectionUnknown, "GET /v1/projections lists those that there are")
}

fn unknown() -> Problem {
    Problem::new(Code::OperationUnknown, "no operation has this id")
}

/// The read models, and how they are.
#[utoipa::path(
    get, path = "/v1/projections", tag = "projections", operation_id = "readProjections",
    responses((status = 200, description = "Found", body = List))
)]
async fn list(State(service): State<Service>) -> Result<Json<List>, Problem> {
    let listed = |row: Overview| Listed {
        name: row.name,
        tables: row.tables,
        version: row.version,
        behind_reason: row.behind_reason,
        parked_streams: row.parked_streams,
        operation_id: row.rebuild_id,
    };
    let rows = projection::list(&service.store).await?;
    Ok(Json(List { projections: rows.into_iter().map(listed).collect() }))
}

/// Builds a read model anew out of the events while the old one serves, and puts it in its place.
#[utoipa::path(
    post, path = "/v1/projections/{name}/rebuild", tag = "projections", operation_id = "rebuildProjection",
    responses((status = 202, description = "Begun: see the operation", body = OperationDocument))
)]
async fn rebuild(
    State(service): State<Service>,
    name: Result<Path<String>, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    request(&service, "POST /v1/projections/{name}/rebuild", name, key, Purpose::Replace).await
}

/// Builds a read model anew out of the events, and compares it with the one that serves. Changes nothing.
#[utoipa::path(
    post, path = "/v1/projections/{name}/verify", tag = "projections", operation_id = "verifyProjection",
    responses((status = 202, description = "Begun: see the operation", body = OperationDocument))
)]
async fn verify(
    State(service): State<Service>,
    name: Result<Path<String>, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    request(&service, "POST /v1/projections/{name}/verify", name, key, Purpose::Compare).await
}

async fn request(
    service: &Service,
    operation: &'static str,
    name: Result<Path<String>, PathRejection>,
    key: IdempotencyKey,
    purpose: Purpose,
) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|_| unknown_projection())?;
    let of_name = |projection: &&Arc<dyn Projection>| projection.name() == name;
    let version = service.projections.iter().find(of_name).ok_or_else(unknown_projection)?.version();
    let operation = Operation::new(operation, key, json!({ "projection": name }), Vec::new())?;
    let requested = RebuildRequested { projection: name, purpose, version };
    once(service, operation, move |unit| Box::pin(request_in(unit, requested.clone()))).await
}

async fn request_in(unit: &mut UnitOfWork, requested: RebuildRequested) -> Result<Answer, Undecided> {
    // No answer for this key: it may be asked with again.
    if let Some(running) = under_way_in(unit.connection(), &requested.projection).await? {
        let detail = format!("operation {running} has not ended");
        return Err(Problem::new(Code::OperationRunning, detail).into());
    }
    let id = unit.context().correlation_id;
    unit.expect_new::<Rebuild>(id);
    match unit.execute::<Rebuild>(id, RebuildCommand::Request(requested)).await {
        Ok(_) | Err(ExecuteError::Refused(_)) => answer(unit, id, StatusCode::ACCEPTED).await,
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}

/// How far long work has come, and what came of it.
#[utoipa::path(
    get, path = "/v1/operations/{id}", tag = "projections", operation_id = "readOperation",
    responses((status = 200, description = "Found", body = OperationDocument))
)]
async fn operation(
    State(service): State<Service>,
    Asker(asker): Asker,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<OperationDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    // First how far it is: what has ended meanwhile is not shown as under way without progress.
    let mut progress = progress(&service.store, id).await?;
    // Whole rows: who keeps the platform need not know who its customers are.
    if let Some(progress) = progress.as_mut().filter(|_| !asker.has_one_of(&[Role::Operator, Role::Auditor]))
    {
        progress.examples = None;
    }
    let (rebuild, seq) = service.store.load::<Rebuild>(id).await?;
    Ok(Versioned(seq, document(id, rebuild.ok_or_else(unknown)?, progress)))
}

/// Ends long work that is under way. What serves stays as it is.
#[utoipa::path(
    post, path = "/v1/operations/{id}/cancel", tag = "projections", operation_id = "cancelOperation",
    responses((status = 200, description = "Done", body = OperationDocument))
)]
async fn cancel(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let content = json!({ "operation_id": id });
    let operation = Operation::on::<Rebuild>("POST /v1/operations/{id}/cancel", key, id, content);
    once(&service, operation, move |unit| Box::pin(cancel_in(unit, id))).await
}

async fn cancel_in(unit: &mut UnitOfWork, id: Uuid) -> Result<Answer, Undecided> {
    match unit.execute::<Rebuild>(id, RebuildCommand::Cancel).await {
        Ok(_) => answer(unit, id, StatusCode::OK).await,
        Err(ExecuteError::Refused(RebuildRefusal::NotRequested)) => Ok(Answer::refusal(&unknown())?),
        Err(ExecuteError::Refused(refusal @ RebuildRefusal::HasEnded)) => {
            Ok(Answer::refusal(&Problem::new(Code::TooLateToCancel, refusal.to_string()))?)
        }
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}

async fn answer(unit: &mut UnitOfWork, id: Uuid, status: StatusCode) -> Result<Answer, Undecided> {
    let rebuild = unit.state::<Rebuild>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(status, &document(id, rebuild, None))?)
}

fn document(id: Uuid, rebuild: Rebuild, progress: Option<Progress>) -> OperationDocument {
    let Rebuild { requested, status } = rebuild;
    let mut examples = progress.as_ref().and_then(|progress| progress.examples.clone()).map(|json| json.0);
    let is_verification = requested.purpose == Purpose::Compare;
    let (status, done, reason, differences) = match status {
        Status::UnderWay => ("running", None, None, None),
        Status::Completed { events, differences } => ("completed", Some(events), None, Some(differences)),
        Status::Failed { reason } => ("failed", None, Some(reason), None),
        Status::Cancelled => ("cancelled", None, None, None),
    };
    let shown = |difference: Difference| TableDifference {
        examples: examples.as_mut().and_then(|examples| Some(examples.get_mut(&difference.table)?.take())),
        table: difference.table,
        only_serving: difference.only_serving,
        only_rebuilt: difference.only_rebuilt,
    };
    let begun = progress.filter(|progress| progress.started_at().is_some());
    let begun = begun.as_ref();
    OperationDocument {
        operation_id: id,
        kind: if is_verification { "verify" } else { "rebuild" },
        projection: requested.projection,
        status,
        reason,
        events_done: done.or(begun.map(|progress| progress.events_done)).unwrap_or_default(),
        events_total: begun.map(|progress| progress.events_total),
        events_per_second: begun.map(Progress::events_per_second),
        seconds_left: begun.filter(|_| status == "running").and_then(Progress::seconds_left),
        started_at: begun.and_then(Progress::started_at),
        differences: differences
            .filter(|_| is_verification)
            .map(|differences| differences.into_iter().map(shown).collect()),
    }
}
