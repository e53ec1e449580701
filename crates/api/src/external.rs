//! `/v1/external`: what a consumer in another service refills a gap from. External streams and nothing else.
//!
//! Who reads a version that has a successor is told so: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and a `Link` to the successor.
//! The operator is too: `lunaria_deprecated_contract_reads_total`, and a line in the log with the reader's `User-Agent`.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::{Json, Router};
use contract::{DEPRECATIONS, deprecation_of};
use delivery::{EventPage, StreamPage, StreamPosition};
use event::{Category, Seq, StreamName};
use event_store::Store;
use jiff::civil::Date;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use metrics::counter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::story::Story;
use crate::{Code, Problem};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
/// The last day is one on which it is still published.
const LAST_DAY: SignedDuration = SignedDuration::from_hours(24);
const READS: &str = "lunaria_deprecated_contract_reads_total";

/// The external streams of the service whose store this is.
pub fn router(store: Store) -> Router {
    count_from_zero(&store);
    routes::<Store>().with_state(store).split_for_parts().0
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S>
where
    Store: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(asyncapi)).routes(routes!(streams)).routes(routes!(events))
}

/// So that the first read is a step, and not the beginning of a series.
pub(crate) fn count_from_zero(store: &Store) {
    for deprecated in DEPRECATIONS {
        counter!(READS, "service" => store.service().to_owned(), "contract" => deprecated.contract)
            .increment(0);
    }
}

/// The published language: AsyncAPI 3, with a JSON Schema for each event.
#[utoipa::path(
    get, path = "/v1/external/asyncapi.json", tag = "external streams", operation_id = "asyncapi",
    responses((status = 200, description = "Found", body = serde_json::Value))
)]
async fn asyncapi() -> Json<serde_json::Value> {
    Json(contract::asyncapi())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StreamsQuery {
    /// The id of the last stream of the page before.
    #[param(pattern = "^[A-Za-z0-9_.:@-]{1,100}$")]
    after: Option<String>,
    /// 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// The seq of the last event that you have.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// How `StreamPage` is described.
#[derive(Serialize, ToSchema)]
#[schema(as = ExternalStreams)]
struct Streams {
    streams: Vec<Position>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StreamPosition)]
struct Position {
    /// `contract.version-id`.
    stream: String,
    last_seq: i64,
}

/// A contract's external streams, by name, each with its last seq.
#[utoipa::path(
    get, path = "/v1/external/{contract}/{version}/streams", tag = "external streams", operation_id = "externalStreams",
    params(StreamsQuery),
    responses((status = 200, description = "Found", body = Streams))
)]
async fn streams(
    State(store): State<Store>,
    Path((contract, version)): Path<(String, String)>,
    reader: HeaderMap,
    query: Result<Query<StreamsQuery>, QueryRejection>,
) -> Result<(HeaderMap, Json<StreamPage>), Problem> {
    let Query(query) = query.map_err(|error| Problem::new(Code::InvalidQuery, error.body_text()))?;
    let category = external(&contract, &version)?;
    let after = query.after.map(|id| category.stream(id)).transpose();
    let after = after.map_err(|error| Problem::new(Code::InvalidQuery, error.to_string()))?;
    let found = store.streams(category.as_str(), after.as_ref(), limit(query.limit)?).await?;
    let position = |at: event_store::StreamSeq| StreamPosition { stream: at.stream, last_seq: at.seq };
    let page = StreamPage { streams: found.into_iter().map(position).collect() };
    Ok((deprecation(&store, category.as_str(), &reader), Json(page)))
}

/// Events of an external stream, in order: what a consumer refills a gap from.
#[utoipa::path(
    get, path = "/v1/external/{contract}/{version}/streams/{id}/events", tag = "external streams", operation_id = "externalEvents",
    params(EventsQuery),
    responses((status = 200, description = "Found", body = Story))
)]
async fn events(
    State(store): State<Store>,
    Path((contract, version, id)): Path<(String, String, String)>,
    reader: HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<(HeaderMap, Json<EventPage>), Problem> {
    let Query(query) = query.map_err(|error| Problem::new(Code::InvalidQuery, error.body_text()))?;
    let category = external(&contract, &version)?;
    let stream: StreamName = category.stream(id).map_err(|_| unknown())?;
    let after = query.after.unwrap_or_default();
    if after < 0 {
        return Err(Problem::new(
            Code::InvalidQuery,
            "after is the seq of the last event that you have, or 0",
        ));
    }
    let events = store.read(&stream, Seq::new(after), limit(query.limit)?).await?;
    // Nothing more, or nothing at all: a typo must not look as if there were no gap.
    if events.is_empty() && store.last(&stream).await?.is_none() {
        return Err(Problem::new(
            Code::StreamUnknown,
            "the path takes the stream's id, without its category",
        ));
    }
    Ok((deprecation(&store, category.as_str(), &reader), Json(EventPage { events })))
}

/// What a reader of an old version is told; nothing for a current one.
fn deprecation(store: &Store, contract: &str, reader: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(deprecated) = deprecation_of(contract) else { return headers };
    let name = reader.get(header::USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or("unnamed");
    tracing::warn!(contract, reader = name, until = deprecated.until, "a deprecated contract is read");
    counter!(READS, "service" => store.service().to_owned(), "contract" => deprecated.contract).increment(1);
    let path = deprecated.instead.replace('.', "/");
    let values = [
        ("deprecation", start_of(deprecated.since).map(|since| format!("@{}", since.as_second()))),
        ("sunset", start_of(deprecated.until).and_then(|last| http_date(last + LAST_DAY))),
        ("link", Some(format!("</v1/external/{path}/streams>; rel=\"successor-version\""))),
    ];
    for (name, value) in values {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

fn start_of(day: &str) -> Option<Timestamp> {
    let zoned = day.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

fn http_date(at: Timestamp) -> Option<String> {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

fn external(contract: &str, version: &str) -> Result<Category, Problem> {
    let category: Category = format!("{contract}.{version}").parse().map_err(|_| unknown())?;
    if category.is_external() { Ok(category) } else { Err(unknown()) }
}

fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::new(Code::InvalidQuery, format!("limit is 1 to {LIMIT_MAX}"))),
    }
}

fn unknown() -> Problem {
    Problem::new(Code::StreamUnknown, "a contract has a name and a version, such as payment/v2")
}
