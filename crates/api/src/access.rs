//! Who may do what: one table for all routes, which the served OpenAPI document repeats. What is not in it, nobody may.

use std::sync::Arc;
use std::time::Instant;

use access::Role::{self, Admin, Approver, Auditor, Operator, Service};
use access::{Keyring, Principal, RateLimit};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::{Code, Problem};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Without a key.
    Anybody,
    /// With one of these roles.
    Only(&'static [Role]),
}
use Access::{Anybody, Only};

const READERS: Access = Only(&[Service, Operator, Approver, Auditor]);
const CUSTOMERS: Access = Only(&[Service]);
/// What customers do, and the support desk for them.
const DESK: Access = Only(&[Service, Operator]);

/// Who looks after the platform.
const OVERSEERS: Access = Only(&[Operator, Auditor, Admin]);

/// Method, path, and who may.
pub(crate) const RULES: [(&str, &str, Access); 55] = [
    ("POST", "/v1/accounts", CUSTOMERS),
    ("GET", "/v1/accounts/{id}", READERS),
    ("POST", "/v1/accounts/{id}/deposits", CUSTOMERS),
    ("GET", "/v1/accounts/{id}/entries", READERS),
    ("GET", "/v1/accounts/{id}/statement", READERS),
    ("POST", "/v1/transfers", CUSTOMERS),
    ("GET", "/v1/transfers", READERS),
    ("GET", "/v1/transfers/{id}", READERS),
    ("GET", "/v1/transfers/{id}/events", READERS),
    ("GET", "/v1/transfers/{id}/timeline", READERS),
    ("GET", "/v1/transfers/{id}/live", READERS),
    ("POST", "/v1/transfers/{id}/cancel", DESK),
    ("POST", "/v1/transfers/{id}/approve", Only(&[Approver])),
    ("POST", "/v1/transfers/{id}/deny", Only(&[Approver])),
    ("POST", "/v1/transfers/{id}/recall", DESK),
    ("GET", "/v1/incoming-payments", READERS),
    ("GET", "/v1/incoming-payments/{id}", READERS),
    ("GET", "/v1/incoming-payments/{id}/events", READERS),
    ("POST", "/v1/cards", CUSTOMERS),
    ("GET", "/v1/cards/{id}", READERS),
    ("POST", "/v1/cards/{id}/block", DESK),
    ("POST", "/v1/cards/{id}/unblock", DESK),
    ("GET", "/v1/card-authorisations", READERS),
    ("GET", "/v1/card-authorisations/{id}", READERS),
    ("GET", "/v1/card-authorisations/{id}/events", READERS),
    ("POST", "/v1/credit-lines", CUSTOMERS),
    ("GET", "/v1/credit-lines/{id}", READERS),
    ("POST", "/v1/credit-lines/{id}/limit", DESK),
    ("POST", "/v1/orders", CUSTOMERS),
    ("GET", "/v1/orders", READERS),
    ("GET", "/v1/orders/{id}", READERS),
    ("POST", "/v1/orders/{id}/cancel", DESK),
    ("GET", "/v1/orders/{id}/events", READERS),
    ("GET", "/v1/cases", READERS),
    ("GET", "/v1/cases/{id}/events", READERS),
    ("GET", "/v1/events", Only(&[Operator, Auditor])),
    ("GET", "/v1/streams/{stream}/events", Only(&[Operator, Auditor])),
    ("GET", "/v1/streams/{stream}/live", Only(&[Operator, Auditor])),
    ("GET", "/v1/sagas", OVERSEERS),
    ("GET", "/v1/projections", OVERSEERS),
    ("POST", "/v1/projections/{name}/rebuild", Only(&[Admin])),
    ("POST", "/v1/projections/{name}/verify", Only(&[Operator, Admin])),
    ("GET", "/v1/operations/{id}", OVERSEERS),
    ("POST", "/v1/operations/{id}/cancel", Only(&[Operator, Admin])),
    ("GET", "/v1/external/asyncapi.json", Anybody),
    ("GET", "/v1/external/{contract}/{version}/streams", Only(&[Service, Auditor])),
    ("GET", "/v1/external/{contract}/{version}/streams/{id}/events", Only(&[Service, Auditor])),
    ("GET", "/openapi.json", Anybody),
    ("GET", "/docs", Anybody),
    ("GET", "/docs/", Anybody),
    ("GET", "/docs/{*rest}", Anybody),
    ("GET", "/errors", Anybody),
    ("GET", "/errors/{code}", Anybody),
    ("GET", "/livez", Anybody),
    ("GET", "/readyz", Anybody),
];

/// Who may do this. None: the path does not take the method.
pub(crate) fn access(method: &str, path: &str) -> Option<Access> {
    // What answers GET answers HEAD.
    let method = if method == Method::HEAD.as_str() { Method::GET.as_str() } else { method };
    RULES.iter().find(|rule| (rule.0, rule.1) == (method, path)).map(|rule| rule.2)
}

/// What stands before every route.
pub(crate) struct Gate {
    pub(crate) keys: Keyring,
    pub(crate) rate_limit: RateLimit,
}

/// Lets through who may do what they ask for, and remembers who they are.
pub(crate) async fn authorise(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    // Without one there is nothing at this address, which anybody may hear.
    let Some(path) = request.extensions().get::<MatchedPath>().cloned() else {
        return next.run(request).await;
    };
    let path = path.as_str();
    let roles = match access(request.method().as_str(), path) {
        Some(Anybody) => return next.run(request).await,
        Some(Only(roles)) => Some(roles),
        None => None,
    };
    let principal = match authenticate(&gate.keys, request.headers()) {
        Ok(principal) => principal,
        Err(problem) => return problem.into_response(),
    };
    if let Err(pause) = gate.rate_limit.take(&principal.name, Instant::now()) {
        let detail = format!("wait {} ms", pause.as_millis().max(1));
        return Problem::new(Code::TooManyRequests, detail).into_response();
    }
    // Whatever the router has there: it is not in the table.
    let Some(roles) = roles else { return no_such_method(path) };
    if !principal.has_one_of(roles) {
        tracing::warn!(principal = principal.name, method = %request.method(), path, "refused: not in its roles");
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let detail = format!("it takes one of the roles {}", names.join(", "));
        return Problem::new(Code::Forbidden, detail).into_response();
    }
    request.extensions_mut().insert(principal);
    next.run(request).await
}

fn no_such_method(path: &str) -> Response {
    let of_path = RULES.iter().filter(|rule| rule.1 == path).map(|rule| rule.0);
    let allowed: Vec<&str> = of_path.collect();
    let problem = Problem::new(Code::MethodNotAllowed, "/docs/ shows what there is").into_response();
    ([(header::ALLOW, allowed.join(", "))], problem).into_response()
}

fn authenticate(keys: &Keyring, headers: &HeaderMap) -> Result<Arc<Principal>, Problem> {
    let unauthorized = |detail| Problem::new(Code::Unauthorized, detail);
    let sent = headers.get(header::AUTHORIZATION);
    let sent = sent.ok_or_else(|| unauthorized("send `Authorization: Bearer` with your API key"))?;
    let secret = sent.to_str().ok().and_then(bearer);
    let secret = secret.ok_or_else(|| unauthorized("the header has the form `Authorization: Bearer KEY`"))?;
    keys.find(secret).ok_or_else(|| {
        tracing::warn!("a request with an unknown key is refused");
        unauthorized("the key is not known here")
    })
}

/// The scheme's name is written as one likes (RFC 9110).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Who asks, for a handler. A route that the table gives to anybody has none.
pub(crate) struct Asker(pub(crate) Arc<Principal>);

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Arc<Principal>>().cloned();
        principal.map(Self).ok_or_else(|| Problem::new(Code::Unauthorized, "it is not known who asks"))
    }
}
