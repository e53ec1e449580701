//! Who may do what: one table for all routes, which the served OpenAPI document repeats. What is not in it, nobody may.

use std::sync::Arc;
use std::time::Instant;

use access::Role::{self, Admin, Approver, Auditor, Customer, Operator, Service};
use access::{Keyring, Principal, RateLimit};
use axum::RequestExt;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use event_store::Store;
use uuid::Uuid;

use crate::issued_keys::{IssuedKeys, Shown};
use crate::ownership::Thing;
use crate::tokens::Unverified;
use crate::{Code, Problem, Tokens};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Without a key.
    Anybody,
    /// With one of these roles.
    Only(&'static [Role]),
    /// With one of these roles; and customers, where it is theirs.
    OrOwner(&'static [Role], Thing),
}
use Access::{Anybody, Only, OrOwner};

impl Access {
    /// The roles of which one is needed. Empty: none is.
    pub(crate) fn roles(self) -> Vec<Role> {
        match self {
            Anybody => Vec::new(),
            Only(roles) => roles.to_vec(),
            OrOwner(roles, _) => [&[Customer], roles].concat(),
        }
    }
}

const READS: &[Role] = &[Service, Operator, Approver, Auditor];
const READERS: Access = Only(READS);
/// The systems of the bank.
const SYSTEMS: Access = Only(&[Service]);
/// Those, and the support desk.
const ASSISTS: &[Role] = &[Service, Operator];
const DESK: Access = Only(ASSISTS);

/// Who has other systems told what happens.
const INTEGRATORS: Access = Only(&[Service, Admin]);
/// Who looks after the platform.
const OVERSEERS: Access = Only(&[Operator, Auditor, Admin]);

/// Who mends what has gone wrong, and who looks at that.
const MENDERS: Access = Only(&[Operator]);
const WITNESSES: Access = Only(&[Operator, Approver, Auditor]);

/// Method, path, and who may.
pub(crate) const RULES: [(&str, &str, Access); 103] = [
    ("POST", "/v1/customers", SYSTEMS),
    ("GET", "/v1/customers", READERS),
    ("GET", "/v1/customers/{id}", OrOwner(READS, Thing::Customer)),
    ("POST", "/v1/customers/{id}/name", DESK),
    ("GET", "/v1/customers/{id}/accounts", OrOwner(READS, Thing::Customer)),
    ("POST", "/v1/accounts", SYSTEMS),
    ("GET", "/v1/accounts/{id}", OrOwner(READS, Thing::Account)),
    ("POST", "/v1/accounts/{id}/deposits", SYSTEMS),
    ("GET", "/v1/accounts/{id}/entries", OrOwner(READS, Thing::Account)),
    ("GET", "/v1/accounts/{id}/statement", OrOwner(READS, Thing::Account)),
    ("POST", "/v1/transfers", OrOwner(&[Service], Thing::Asked)),
    ("GET", "/v1/transfers", OrOwner(READS, Thing::Asked)),
    ("GET", "/v1/transfers/{id}", OrOwner(READS, Thing::Transfer)),
    ("GET", "/v1/transfers/{id}/events", READERS),
    ("GET", "/v1/transfers/{id}/timeline", READERS),
    ("GET", "/v1/transfers/{id}/live", READERS),
    ("POST", "/v1/transfers/{id}/cancel", OrOwner(ASSISTS, Thing::Transfer)),
    ("POST", "/v1/transfers/{id}/approve", Only(&[Approver])),
    ("POST", "/v1/transfers/{id}/deny", Only(&[Approver])),
    ("POST", "/v1/transfers/{id}/recall", OrOwner(ASSISTS, Thing::Transfer)),
    ("GET", "/v1/incoming-payments", OrOwner(READS, Thing::Asked)),
    ("GET", "/v1/incoming-payments/{id}", OrOwner(READS, Thing::IncomingPayment)),
    ("GET", "/v1/incoming-payments/{id}/events", READERS),
    ("POST", "/v1/cards", SYSTEMS),
    ("GET", "/v1/cards/{id}", OrOwner(READS, Thing::Card)),
    ("POST", "/v1/cards/{id}/block", OrOwner(ASSISTS, Thing::Card)),
    ("POST", "/v1/cards/{id}/unblock", DESK),
    ("GET", "/v1/card-authorisations", OrOwner(READS, Thing::Asked)),
    ("GET", "/v1/card-authorisations/{id}", OrOwner(READS, Thing::CardAuthorisation)),
    ("GET", "/v1/card-authorisations/{id}/events", READERS),
    ("POST", "/v1/credit-lines", SYSTEMS),
    ("GET", "/v1/credit-lines/{id}", READERS),
    ("POST", "/v1/credit-lines/{id}/limit", DESK),
    ("POST", "/v1/orders", SYSTEMS),
    ("GET", "/v1/orders", READERS),
    ("GET", "/v1/orders/{id}", READERS),
    ("POST", "/v1/orders/{id}/cancel", DESK),
    ("GET", "/v1/orders/{id}/events", READERS),
    ("GET", "/v1/cases", READERS),
    ("GET", "/v1/cases/groups", READERS),
    ("GET", "/v1/cases/{id}", READERS),
    ("GET", "/v1/cases/{id}/events", READERS),
    ("POST", "/v1/cases/{id}/assign", MENDERS),
    ("POST", "/v1/cases/{id}/note", MENDERS),
    ("POST", "/v1/cases/{id}/resolve", MENDERS),
    ("POST", "/v1/cases/{id}/reopen", MENDERS),
    ("POST", "/v1/corrections/preview", MENDERS),
    ("POST", "/v1/corrections", MENDERS),
    ("GET", "/v1/corrections", WITNESSES),
    ("GET", "/v1/corrections/{id}", WITNESSES),
    ("GET", "/v1/corrections/{id}/events", WITNESSES),
    ("POST", "/v1/corrections/{id}/preview", MENDERS),
    ("POST", "/v1/corrections/{id}/approve", Only(&[Approver])),
    ("POST", "/v1/corrections/{id}/reject", Only(&[Operator, Approver])),
    ("POST", "/v1/corrections/{id}/execute", MENDERS),
    ("POST", "/v1/bulk-corrections", MENDERS),
    ("GET", "/v1/bulk-corrections", WITNESSES),
    ("GET", "/v1/bulk-corrections/{id}", WITNESSES),
    ("GET", "/v1/bulk-corrections/{id}/items", WITNESSES),
    ("GET", "/v1/bulk-corrections/{id}/events", WITNESSES),
    ("POST", "/v1/bulk-corrections/{id}/approve", Only(&[Approver])),
    ("POST", "/v1/bulk-corrections/{id}/reject", Only(&[Operator, Approver])),
    ("POST", "/v1/bulk-corrections/{id}/start", MENDERS),
    ("POST", "/v1/bulk-corrections/{id}/pause", Only(&[Operator, Approver])),
    ("POST", "/v1/bulk-corrections/{id}/resume", MENDERS),
    ("POST", "/v1/bulk-corrections/{id}/abort", Only(&[Operator, Approver])),
    ("GET", "/v1/parked", WITNESSES),
    ("GET", "/v1/parked/{group}/streams", WITNESSES),
    ("POST", "/v1/parked/{group}/retry", MENDERS),
    ("GET", "/v1/events", Only(&[Operator, Auditor])),
    ("GET", "/v1/streams/{stream}/events", Only(&[Operator, Auditor])),
    ("GET", "/v1/streams/{stream}/live", Only(&[Operator, Auditor])),
    ("GET", "/v1/streams/{stream}/state", Only(&[Operator, Auditor])),
    ("GET", "/v1/sagas", OVERSEERS),
    ("POST", "/v1/webhook-endpoints", INTEGRATORS),
    ("GET", "/v1/webhook-endpoints", Only(&[Service, Operator, Auditor, Admin])),
    ("GET", "/v1/webhook-endpoints/{id}", Only(&[Service, Operator, Auditor, Admin])),
    ("GET", "/v1/webhook-endpoints/{id}/secret", INTEGRATORS),
    ("POST", "/v1/webhook-endpoints/{id}/rotate-secret", INTEGRATORS),
    ("POST", "/v1/webhook-endpoints/{id}/pause", Only(&[Service, Operator, Admin])),
    ("POST", "/v1/webhook-endpoints/{id}/resume", Only(&[Service, Operator, Admin])),
    ("POST", "/v1/webhook-endpoints/{id}/replay", Only(&[Service, Operator, Admin])),
    ("POST", "/v1/webhook-endpoints/{id}/remove", INTEGRATORS),
    ("POST", "/v1/keys", Only(&[Admin])),
    ("GET", "/v1/keys", Only(&[Admin, Auditor])),
    ("GET", "/v1/keys/{id}", Only(&[Admin, Auditor])),
    ("POST", "/v1/keys/{id}/revoke", Only(&[Admin])),
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
    pub(crate) issued_keys: IssuedKeys,
    pub(crate) tokens: Option<Arc<Tokens>>,
    pub(crate) store: Store,
    pub(crate) rate_limit: RateLimit,
}

/// Lets through who may do what they ask for, and remembers who they are.
pub(crate) async fn authorise(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    // Without one there is nothing at this address, which anybody may hear.
    let Some(path) = request.extensions().get::<MatchedPath>().cloned() else {
        return next.run(request).await;
    };
    let path = path.as_str();
    let access = access(request.method().as_str(), path);
    if access == Some(Anybody) {
        return next.run(request).await;
    }
    match admit(&gate, access, path, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(refused) => refused,
    }
}

/// `access`: what the table says. None: it does not have the method.
async fn admit(
    gate: &Gate,
    access: Option<Access>,
    path: &str,
    request: &mut Request,
) -> Result<(), Response> {
    let principal = authenticate(gate, request.headers()).await.map_err(Problem::into_response)?;
    if let Err(pause) = gate.rate_limit.take(principal.actor(), Instant::now()) {
        let detail = format!("wait {} ms", pause.as_millis().max(1));
        return Err(Problem::new(Code::TooManyRequests, detail).into_response());
    }
    // Whatever the router has there: it is not in the table.
    let access = access.ok_or_else(|| no_such_method(path))?;
    let roles = access.roles();
    if !principal.has_one_of(&roles) {
        tracing::warn!(principal = principal.actor(), method = %request.method(), path, "refused: not in its roles");
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let detail = format!("it takes one of the roles {}", names.join(", "));
        return Err(Problem::new(Code::Forbidden, detail).into_response());
    }
    if let (Some(customer), OrOwner(_, thing)) = (principal.customer(), access) {
        let id = path_id(request).await;
        thing.check(id, customer, &gate.store).await.map_err(Problem::into_response)?;
    }
    request.extensions_mut().insert(principal);
    Ok(())
}

/// The `{id}` of the request's path.
async fn path_id(request: &mut Request) -> Option<Uuid> {
    let parameters = request.extract_parts::<RawPathParams>().await.ok()?;
    parameters.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| id.parse().ok())
}

fn no_such_method(path: &str) -> Response {
    let of_path = RULES.iter().filter(|rule| rule.1 == path).map(|rule| rule.0);
    let allowed: Vec<&str> = of_path.collect();
    let problem = Problem::new(Code::MethodNotAllowed, "/docs/ shows what there is").into_response();
    ([(header::ALLOW, allowed.join(", "))], problem).into_response()
}

async fn authenticate(gate: &Gate, headers: &HeaderMap) -> Result<Arc<Principal>, Problem> {
    let unauthorized = |detail: String| Problem::new(Code::Unauthorized, detail);
    let sent = headers.get(header::AUTHORIZATION);
    let sent = sent
        .ok_or_else(|| unauthorized("send `Authorization: Bearer` with your API key or token".to_owned()))?;
    let secret = sent.to_str().ok().and_then(bearer);
    let secret = secret
        .ok_or_else(|| unauthorized("the header has the form `Authorization: Bearer KEY`".to_owned()))?;
    if let Some(principal) = gate.keys.find(secret) {
        return Ok(principal);
    }
    // Three parts with dots between them: no key that we make looks like that.
    if let Some(tokens) = gate.tokens.as_ref().filter(|_| secret.split('.').count() == 3) {
        return match tokens.verify(secret).await {
            Ok(principal) => Ok(Arc::new(principal)),
            Err(Unverified::Refused(error)) => {
                tracing::warn!(%error, "a request with a token is refused");
                Err(unauthorized(format!("the token is not taken: {error}")))
            }
            Err(Unverified::NoKeys) => {
                Err(Problem::new(Code::Unavailable, "the identity provider cannot be reached"))
            }
        };
    }
    match gate.issued_keys.find(secret, &gate.store).await? {
        Shown::Known(principal) => return Ok(principal),
        Shown::Busy => return Err(Problem::new(Code::Unavailable, "too many keys are looked up just now")),
        Shown::Unknown => {}
    }
    tracing::warn!("a request with an unknown key is refused");
    Err(unauthorized("the key is not known here".to_owned()))
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
