//! The REST API: one file per URL noun.
//!
//! ```text
//! POST /v1/customers   /v1/customers/{id}/name                     GET /v1/customers   /v1/customers/{id}   …/{id}/accounts
//! POST /v1/accounts                       GET /v1/accounts/{id}   …/{id}/entries   …/{id}/statement
//! POST /v1/accounts/{id}/deposits
//! POST /v1/transfers                      GET /v1/transfers   /v1/transfers/{id}   /v1/transfers/{id}/events   …/{id}/timeline
//! GET  /v1/incoming-payments   /v1/incoming-payments/{id}   …/{id}/events
//! POST /v1/cards   /v1/cards/{id}/block   /v1/cards/{id}/unblock     GET /v1/cards/{id}
//! GET  /v1/card-authorisations   /v1/card-authorisations/{id}   …/{id}/events
//! POST /v1/credit-lines   /v1/credit-lines/{id}/limit             GET /v1/credit-lines/{id}
//! POST /v1/orders   /v1/orders/{id}/cancel                        GET /v1/orders   /v1/orders/{id}   /v1/orders/{id}/events
//! GET  /v1/cases   /v1/cases/{id}/events
//! GET  /v1/events   /v1/streams/{stream}/events   …/live   …/state   /v1/transfers/{id}/live
//! GET  /v1/sagas
//! POST /v1/keys   /v1/keys/{id}/revoke                            GET /v1/keys   /v1/keys/{id}
//! POST /v1/webhook-endpoints   …/{id}/pause   /resume   /replay   /rotate-secret   /remove    GET …   …/{id}   …/{id}/secret
//! GET  /v1/projections   POST /v1/projections/{name}/rebuild   …/{name}/verify
//! GET  /v1/operations/{id}   POST /v1/operations/{id}/cancel
//! GET  /v1/external/{contract}/{version}/streams               …/streams/{id}/events
//! GET  /openapi.json   /docs/   /errors   /livez   /readyz
//! ```
//!
//! Amounts are `{"amount":"12345","currency":"DKK"}`: a string of minor units with its ISO 4217 code. Errors are
//! `application/problem+json` (RFC 9457) with a stable `code`. Each POST needs an `Idempotency-Key`.

mod problem;
pub use problem::{Code, Problem};

mod access;
mod as_of;
mod body;
mod consistency;
mod headers;
mod idempotency;
mod issued_keys;
mod openapi;
mod ownership;
mod page;
mod prefer;
mod running;
mod schema;
mod story;
mod tokens;
mod version;

mod accounts;
mod bulk_corrections;
mod card_authorisations;
mod cards;
mod cases;
mod corrections;
mod credit_lines;
mod customers;
mod entries;
mod events;
mod incoming_payments;
mod keys;
mod live;
mod orders;
mod parked;
mod projections;
mod sagas;
mod states;
mod transfers;
mod webhooks;

mod external;
pub use external::router as external_router;

mod health;
pub use health::{Readiness, router as health_router};

mod service;
pub use service::{Corrections, Service, Webhooks};

pub use running::Running;

pub use tokens::Tokens;

mod router;
pub use router::router;

mod server;
pub use server::serve;
