//! All routes of core's API, and the limits around them.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use tower_http::timeout::TimeoutLayer;

use crate::{
    Code, Problem, Readiness, Service, accounts, card_authorisations, cards, cases, credit_lines, external,
    health, incoming_payments, orders, transfers,
};

const BODY_BYTES_MAX: usize = 64 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Core's API.
pub fn router(service: Service, readiness: Readiness) -> Router {
    let store = service.store.clone();
    Router::new()
        .merge(accounts::router())
        .merge(transfers::router())
        .merge(incoming_payments::router())
        .merge(cards::router())
        .merge(card_authorisations::router())
        .merge(credit_lines::router())
        .merge(orders::router())
        .merge(cases::router())
        .with_state(service)
        .merge(external::router(store.clone()))
        .merge(health::router(Some(store), readiness))
        .fallback(async || Problem::new(Code::NotFound, "the routes are listed in the README"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "the routes are listed in the README")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
}
