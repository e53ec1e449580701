//! `/v1/sagas`: which processes there are, and how many of each stand where.

use authorisation::Followed;
use axum::Json;
use axum::extract::State;
use incoming::IncomingRow;
use jiff::Timestamp;
use order::OrderRow;
use projection::{StatusCount, count_by_status};
use serde::Serialize;
use transfer::TransferRow;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Problem;
use crate::service::Service;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Serialize, ToSchema)]
#[schema(as = SagaList)]
struct List {
    sagas: Vec<Saga>,
}

#[derive(Serialize, ToSchema)]
struct Saga {
    /// The category of its streams.
    name: &'static str,
    /// Where its instances are listed; `?status=` finds those of one.
    instances: &'static str,
    /// Those that any instance has.
    statuses: Vec<SagaStatus>,
}

#[derive(Serialize, ToSchema)]
struct SagaStatus {
    status: String,
    count: i64,
    /// Of all that have it, the one that has not changed for the longest time.
    unchanged_since: Timestamp,
}

/// Which processes there are, and how many of each have which status, as far as the lists have come.
#[utoipa::path(
    get, path = "/v1/sagas", tag = "sagas", operation_id = "readSagas",
    responses((status = 200, description = "Found", body = List))
)]
async fn list(State(service): State<Service>) -> Result<Json<List>, Problem> {
    let store = &service.store;
    let saga = |name, instances, counts: Vec<StatusCount>| {
        let shown =
            |StatusCount { status, count, unchanged_since }| SagaStatus { status, count, unchanged_since };
        Saga { name, instances, statuses: counts.into_iter().map(shown).collect() }
    };
    let sagas = vec![
        saga("transfer", "/v1/transfers", count_by_status::<TransferRow>(store).await?),
        saga("incoming", "/v1/incoming-payments", count_by_status::<IncomingRow>(store).await?),
        saga("authorisation", "/v1/card-authorisations", count_by_status::<Followed>(store).await?),
        saga("order", "/v1/orders", count_by_status::<OrderRow>(store).await?),
    ];
    Ok(Json(List { sagas }))
}
