//! All routes of core's API, and the limits around them.

use std::sync::Arc;
use std::time::Duration;

use ::access::RateLimit;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{Gate, authorise};
use crate::issued_keys::IssuedKeys;
use crate::openapi::{self, Described};
use crate::{
    Code, Problem, Readiness, Service, accounts, bulk_corrections, card_authorisations, cards, cases,
    corrections, credit_lines, customers, entries, events, external, headers, health, incoming_payments,
    keys, live, orders, parked, projections, sagas, states, transfers, webhooks,
};

const BODY_BYTES_MAX: usize = 64 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Core's API.
pub fn router(service: Service, readiness: Readiness) -> Router {
    let store = service.store.clone();
    let gate = Arc::new(Gate {
        keys: service.keys.clone(),
        issued_keys: IssuedKeys::default(),
        tokens: service.tokens.clone(),
        store: store.clone(),
        rate_limit: RateLimit::new(service.requests_per_second),
    });
    external::count_from_zero(&store);
    let (routes, described) = described().split_for_parts();
    routes
        .with_state(service)
        .merge(health::router(Some(store), readiness))
        .merge(openapi::router(openapi::complete(&described)))
        .fallback(async || Problem::new(Code::NotFound, "/docs/ shows what there is"))
        .layer(middleware::from_fn_with_state(gate, authorise))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(middleware::from_fn(headers::protect))
}

/// What this API is in the words of its OpenAPI document.
fn described() -> OpenApiRouter<Service> {
    OpenApiRouter::with_openapi(Described::openapi())
        .merge(customers::router())
        .merge(accounts::router())
        .merge(entries::router())
        .merge(transfers::router())
        .merge(events::router())
        .merge(live::router())
        .merge(incoming_payments::router())
        .merge(cards::router())
        .merge(card_authorisations::router())
        .merge(credit_lines::router())
        .merge(orders::router())
        .merge(cases::router())
        .merge(corrections::router())
        .merge(bulk_corrections::router())
        .merge(parked::router())
        .merge(projections::router())
        .merge(states::router())
        .merge(sagas::router())
        .merge(keys::router())
        .merge(webhooks::router())
        .merge(external::routes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::access::RULES;

    fn document() -> Value {
        openapi::complete(&described().into_openapi())
    }

    /// Method and path of all that is described.
    fn operations(document: &Value) -> BTreeSet<(String, String)> {
        let paths = document["paths"].as_object().unwrap();
        let of = |(path, item): (&String, &Value)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of).collect()
    }

    #[test]
    fn every_operation_has_its_line_in_the_table_of_rights_and_the_other_way_round() {
        let described = operations(&document());
        let ruled: BTreeSet<(String, String)> =
            RULES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(ruled.len(), RULES.len(), "a rule stands twice");
        let without_rule: Vec<_> = described.difference(&ruled).collect();
        assert!(without_rule.is_empty(), "nobody may: {without_rule:?}");
        // What is for people and probes is not described.
        let rest: Vec<_> =
            ruled.difference(&described).filter(|(_, path)| path.starts_with("/v1/")).collect();
        assert!(rest.is_empty(), "there is no {rest:?}");
    }

    #[test]
    fn operations_have_ids_of_their_own_and_every_reference_leads_somewhere() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (method, path) in operations(&document) {
            let operation = &document["paths"][&path][method.to_lowercase()];
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{method} {path} has another one's id");
            assert!(operation["summary"].is_string(), "{method} {path} does not say what it is");
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
        }
    }
}
