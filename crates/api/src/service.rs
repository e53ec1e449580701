//! The whole router, and what its handlers stand on.

use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use event_store::Store;
use tower_http::timeout::TimeoutLayer;
use transfer::Limits;
use uuid::Uuid;

use crate::{Code, Problem, Readiness, accounts, external, health, transfers};

const BODY_BYTES_MAX: usize = 64 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The store of core, and the policies that requests are decided by.
#[derive(Clone)]
pub struct Service {
    pub store: Store,
    pub limits: Limits,
}

/// Core's API.
pub fn router(service: Service, readiness: Readiness) -> Router {
    let store = service.store.clone();
    Router::new()
        .merge(accounts::router())
        .merge(transfers::router())
        .with_state(service)
        .merge(external::router(store.clone()))
        .merge(health::router(store, readiness))
        .fallback(async || Problem::new(Code::NotFound, "the routes are listed in the README"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "the routes are listed in the README")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
}

/// The `{id}` of a path.
pub(crate) struct Id(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = PathRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PathRejection> {
        Path::from_request_parts(parts, state).await.map(|Path(id)| Self(id))
    }
}
