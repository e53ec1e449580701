//! `/v1/streams/{stream}/state`: what the events of a stream come to, now or then.

use authorisation::{Authorisation, Card};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use cases::Case;
use correction::{Bulk, Correction};
use customer::Customer;
use delivery::Retry;
use event::{Aggregate, Seq, StreamName};
use event_store::Store;
use futures::future::BoxFuture;
use incoming::Incoming;
use ledger::Account;
use order::{Credit, Order};
use projection::Rebuild;
use serde::Serialize;
use serde_json::Value;
use transfer::Transfer;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use webhook::Endpoint;

use crate::as_of::{AsOf, Moment};
use crate::page::invalid;
use crate::service::Service;
use crate::version::Versioned;
use crate::{Code, Problem};

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(state))
}

#[derive(Serialize, ToSchema)]
#[schema(as = StreamState)]
struct StateDocument {
    stream: String,
    /// Of the last event that is in it.
    seq: i64,
    /// As the program that answers understands the events; its shape is the aggregate's own, and may be another one tomorrow.
    #[schema(value_type = Object)]
    state: Value,
}

/// Folds a stream, to its end or to an event.
type Fold = for<'a> fn(&'a Store, Uuid, Option<Seq>) -> BoxFuture<'a, Result<Option<(Value, Seq)>, Problem>>;

/// By category. Keys are left out: what proves one is nobody's but its holder's.
const FOLDS: [(&str, Fold); 14] = [
    of::<Account>(),
    of::<Transfer>(),
    of::<Incoming>(),
    of::<Card>(),
    of::<Authorisation>(),
    of::<Credit>(),
    of::<Order>(),
    of::<Case>(),
    of::<Correction>(),
    of::<Bulk>(),
    of::<Retry>(),
    of::<Rebuild>(),
    of::<Customer>(),
    of::<Endpoint>(),
];

const fn of<A: Aggregate + Serialize>() -> (&'static str, Fold) {
    (A::CATEGORY, |store, id, to| {
        Box::pin(async move {
            let (state, seq) = match to {
                None => store.load::<A>(id).await?,
                Some(to) => store.load_at::<A>(id, to).await?,
            };
            let written = |state: A| serde_json::to_value(state);
            let state = state.map(written).transpose();
            let state = state.map_err(|_| Problem::new(Code::Internal, "the state cannot be shown"))?;
            Ok(state.map(|state| (state, seq)))
        })
    })
}

/// What the events of a stream come to: now, at a time, or after one of them.
#[utoipa::path(
    get, path = "/v1/streams/{stream}/state", tag = "events", operation_id = "streamState",
    params(AsOf),
    responses((status = 200, description = "Found", body = StateDocument))
)]
async fn state(
    State(service): State<Service>,
    stream: Result<Path<String>, PathRejection>,
    query: Result<Query<AsOf>, QueryRejection>,
) -> Result<Versioned<StateDocument>, Problem> {
    let Path(name) = stream.map_err(|_| unknown())?;
    let stream: StreamName = name.parse().map_err(|_| unknown())?;
    let Query(as_of) = query.map_err(|error| invalid(error.body_text()))?;
    let fold = FOLDS.iter().find(|(category, _)| *category == stream.category()).map(|(_, fold)| fold);
    let (Some(fold), Some(id)) = (fold, stream.uuid()) else { return Err(unknown()) };
    let to = match as_of.moment(&service.store, &stream).await? {
        Moment::Now => None,
        Moment::After(seq) => Some(seq),
        Moment::Before(at) if service.store.last(&stream).await?.is_some() => {
            return Err(Problem::new(Code::SeqUnknown, format!("the stream had not begun yet at {at}")));
        }
        Moment::Before(_) => return Err(unknown()),
    };
    let (state, seq) = fold(&service.store, id, to).await?.ok_or_else(unknown)?;
    if to.is_some_and(|to| seq < to) {
        return Err(Problem::new(Code::SeqUnknown, format!("the stream's last event is {seq}")));
    }
    Ok(Versioned(seq, StateDocument { stream: stream.to_string(), seq: seq.get(), state }))
}

fn unknown() -> Problem {
    let categories = FOLDS.map(|(category, _)| category).join(", ");
    Problem::new(
        Code::StreamUnknown,
        format!("a stream with a state is named `category-id`, of the categories {categories}"),
    )
}
