//! One key, one effect, one answer.
//!
//! The key, the content and the answer commit with the events that follow, in one transaction. A repeated request gets the
//! first one's answer, byte for byte; one that comes while the first is under way waits for it a moment, or as long as it prefers, and hears
//! then that it is. A refusal is an answer. What fails before the commit leaves nothing and may be tried again with the same key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use event::{Actor, Aggregate, Context, Seq, StreamName};
use event_store::{Ahead, Claim, Error, Request, RequestKey, Store, StreamSeq, UnitOfWork};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::Account;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::access::Asker;
use crate::prefer::preferred_wait;
use crate::service::Service;
use crate::story::EVENTS_MAX;
use crate::version::{Precondition, if_match};
use crate::{Code, Problem, consistency};

const KEY_BYTES_MAX: usize = 255;
/// Conflicts on a hot account, each after a short pause.
const TRIES_MAX: u32 = 64;
const PAUSE_MAX: Duration = Duration::from_millis(20);
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Without `Prefer: wait=N`: how long a request waits for one with the same key that is under way.
const PATIENCE: Duration = Duration::from_millis(250);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The `Idempotency-Key` header: 1 to 255 visible ASCII characters, bare or as a quoted string. Each principal has its own keys. And what else a
/// request says about itself.
pub(crate) struct IdempotencyKey {
    principal: String,
    key: String,
    /// Whose it is sees what is theirs, and nothing else.
    is_customer: bool,
    if_match: Option<Seq>,
    patience: Duration,
}

impl IdempotencyKey {
    /// Whose it is.
    pub(crate) fn actor(&self) -> Actor {
        Actor(self.principal.clone())
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Asker(principal) = Asker::from_request_parts(parts, state).await?;
        let missing =
            || Problem::new(Code::IdempotencyKeyMissing, "send a new UUID, and the same one with each retry");
        let invalid = |what| Problem::new(Code::IdempotencyKeyInvalid, what);
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let value = values.next().ok_or_else(missing)?;
        if values.next().is_some() {
            return Err(invalid("the header stands twice"));
        }
        let text = value.to_str().map_err(|_| invalid("the key has to be visible ASCII"))?.trim();
        let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        if !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(invalid("the key has to be visible ASCII"));
        }
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(invalid("the key has 1 to 255 characters"));
        }
        Ok(Self {
            principal: principal.actor().to_owned(),
            key: key.to_owned(),
            is_customer: principal.customer().is_some(),
            if_match: if_match(&parts.headers)?,
            patience: preferred_wait(&parts.headers).unwrap_or(PATIENCE),
        })
    }
}

/// What a request comes to: a status and a body, a refusal included. Both are kept for ever.
pub(crate) struct Answer {
    status: StatusCode,
    body: String,
    /// Nothing is left of what was decided before the refusal was found.
    is_without_effect: bool,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, body: &impl serde::Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_string(body)
            .map_err(|_| Problem::new(Code::Internal, "the answer cannot be written"))?;
        Ok(Self { status, body, is_without_effect: false })
    }

    pub(crate) fn refusal(problem: &Problem) -> Result<Self, Problem> {
        Ok(Self { is_without_effect: true, ..Self::new(problem.status(), problem)? })
    }

    /// A refusal that the domain remembers: its events stay.
    pub(crate) fn recorded_refusal(problem: &Problem) -> Result<Self, Problem> {
        Self::new(problem.status(), problem)
    }
}

/// What a decision could not be taken for: the store's error, or a problem that is not the request's answer.
pub(crate) enum Undecided {
    Store(Error),
    Problem(Problem),
}

impl From<Error> for Undecided {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Problem> for Undecided {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Decides a request within a unit of work, as often as conflicts make it necessary.
pub(crate) trait Decide:
    for<'a> Fn(&'a mut UnitOfWork) -> BoxFuture<'a, Result<Answer, Undecided>> + Send + Sync + 'static
{
}

impl<F> Decide for F where
    F: for<'a> Fn(&'a mut UnitOfWork) -> BoxFuture<'a, Result<Answer, Undecided>> + Send + Sync + 'static
{
}

/// A request as it is decided: once in a group with others, and again, alone, after a conflict.
struct Asked<D> {
    key: RequestKey,
    is_customer: bool,
    id: Uuid,
    at: Timestamp,
    content: Value,
    precondition: Option<Precondition>,
    decide: D,
}

/// What is asked for.
pub(crate) struct Operation {
    name: &'static str,
    key: IdempotencyKey,
    content: Value,
    /// The aggregates that it is going to look at.
    reads: Vec<StreamName>,
    precondition: Option<Precondition>,
    is_alone: bool,
}

impl Operation {
    /// Of what makes something new.
    pub(crate) fn new(
        name: &'static str,
        key: IdempotencyKey,
        content: Value,
        reads: Vec<StreamName>,
    ) -> Result<Self, Problem> {
        if key.if_match.is_some() {
            let detail = "there is nothing yet that could have a version";
            return Err(Problem::new(Code::IfMatchInvalid, detail));
        }
        Ok(Self { name, key, content, reads, precondition: None, is_alone: false })
    }

    /// Of what changes something that is there. `content` says what, too: the same key for another is another request.
    pub(crate) fn on<A: Aggregate>(
        name: &'static str,
        key: IdempotencyKey,
        id: Uuid,
        content: Value,
    ) -> Self {
        let precondition = key.if_match.map(|wanted| Precondition::of::<A>(id, wanted));
        let content = match key.if_match {
            Some(version) => json!({ "if_match": version, "content": content }),
            None => content,
        };
        Self { name, key, content, reads: vec![A::stream(id)], precondition, is_alone: false }
    }

    /// Decided in a transaction of its own, since it looks at more than aggregates.
    pub(crate) fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }
}

/// Decides once per key. `decide` is rerun after a conflict and must leave its traces in the unit of work alone.
pub(crate) async fn once(
    service: &Service,
    operation: Operation,
    decide: impl Decide,
) -> Result<Response, Problem> {
    let Operation { name: operation, key, content, reads, precondition, is_alone } = operation;
    let is_customer = key.is_customer;
    let until = Instant::now() + key.patience;
    let key = RequestKey { principal: key.principal, operation, key: key.key };
    let Some(_turn) = service.running.turn(&key, until).await else { return Err(still_running()) };
    let ahead = Ahead { key: Some(key.clone()), reads };
    let (id, at) = (Uuid::now_v7(), Timestamp::now());
    let asked = Arc::new(Asked { key, is_customer, id, at, content, precondition, decide });
    if is_alone {
        return alone(service.group.store(), &asked, until).await;
    }
    let (context, together) = (Arc::clone(&asked), Arc::clone(&asked));
    let done = service.group.try_run(
        move || context.context(),
        ahead,
        move |unit| {
            let asked = Arc::clone(&together);
            Box::pin(async move { asked.answer(unit).await })
        },
    );
    let done = done.await;
    match done {
        // A fault of the database may be another one's.
        None | Some(Err(Undecided::Store(_))) => alone(service.group.store(), &asked, until).await,
        Some(done) => asked.finish(done),
    }
}

async fn alone(store: &Store, asked: &Asked<impl Decide>, until: Instant) -> Result<Response, Problem> {
    let mut tried = 0;
    while tried < TRIES_MAX {
        let mut unit = store.begin(asked.context()).await?;
        match unit.claim_request(&asked.key).await? {
            Claim::Ours => {}
            Claim::Answered(earlier) => {
                // Its connection is free for what the replay reads.
                drop(unit);
                return asked.replay(store, &earlier).await;
            }
            // In another process.
            Claim::Theirs if Instant::now() >= until => return Err(still_running()),
            Claim::Theirs => {
                drop(unit);
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
        }
        unit.begin_part();
        let done = match asked.answer(&mut unit).await {
            Ok(answer) => unit.commit().await.map(|written| (answer, written)).map_err(Undecided::Store),
            Err(undecided) => {
                // The key is free for the next try.
                unit.roll_back().await;
                Err(undecided)
            }
        };
        // The streams have moved on; or a rival with the same key was first, and its answer is ours.
        if !matches!(done, Err(Undecided::Store(Error::Conflict))) {
            return asked.finish(done);
        }
        tried += 1;
        let pause = PAUSE_MAX.min(Duration::from_micros(500) * tried);
        tokio::time::sleep(rand::random_range(Duration::ZERO..=pause)).await;
    }
    Err(Error::Conflict.into())
}

fn still_running() -> Problem {
    let detail = "a request with the same key is being answered: ask again, or send `Prefer: wait=N`";
    Problem::new(Code::RequestRunning, detail)
}

impl<D: Decide> Asked<D> {
    fn context(&self) -> Context {
        Context::for_request(self.id, Actor(self.key.principal.clone()), self.at)
    }

    fn finish(&self, done: Result<(Answer, Vec<StreamSeq>), Undecided>) -> Result<Response, Problem> {
        match done {
            Ok((answer, written)) => Ok(self.respond(answer.status, answer.body, written)),
            Err(Undecided::Store(error)) => Err(error.into()),
            Err(Undecided::Problem(problem)) => Err(problem),
        }
    }

    /// A customer does not hear how often something has happened to whom they pay; and no list of theirs asks for accounts.
    fn shown(&self, mut written: Vec<StreamSeq>) -> Vec<StreamSeq> {
        written.retain(|at| !self.is_customer || at.stream.category() != Account::CATEGORY);
        written
    }

    async fn replay(&self, store: &Store, earlier: &Request) -> Result<Response, Problem> {
        if let Some(pointer) = first_difference(&earlier.content, &self.content, "") {
            let detail = "the same key was sent with other content; a new request needs a new key";
            return Err(Problem::new(Code::IdempotencyKeyReused, detail).at(&pointer));
        }
        let status = StatusCode::from_u16(earlier.status).unwrap_or(StatusCode::OK);
        // Whoever has lost the answer has lost its token too.
        let mut written: BTreeMap<StreamName, Seq> = BTreeMap::new();
        let events = store.correlated(&[earlier.id], EVENTS_MAX).await?;
        for event in events.into_iter().filter(|event| event.causation_id == earlier.id) {
            written.insert(event.stream, event.seq);
        }
        let written: Vec<_> = written.into_iter().map(|(stream, seq)| StreamSeq { stream, seq }).collect();
        let mut response = self.respond(status, earlier.answer.clone(), written);
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    fn respond(&self, status: StatusCode, body: String, written: Vec<StreamSeq>) -> Response {
        let is_problem = status.is_client_error() || status.is_server_error();
        let content_type = if is_problem { "application/problem+json" } else { "application/json" };
        let location = location(self.key.operation, status, &body);
        let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        if let Some(token) = consistency::token(&self.shown(written)) {
            response.headers_mut().insert(consistency::HEADER, token);
        }
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// Decides, and records the answer.
    async fn answer(&self, unit: &mut UnitOfWork) -> Result<Answer, Undecided> {
        let refused = match &self.precondition {
            Some(precondition) => precondition.refuse(unit).await?,
            None => None,
        };
        let answer = match refused {
            Some(refusal) => Answer::refusal(&refusal)?,
            None => (self.decide)(unit).await?,
        };
        if answer.is_without_effect {
            unit.take_back();
        }
        let request = Request {
            id: self.id,
            content: self.content.clone(),
            status: answer.status.as_u16(),
            answer: answer.body.clone(),
            accepted_at: self.at,
        };
        let is_first =
            event::mutants::active("forget_requests") || unit.record_request(self.key.clone(), request);
        if is_first { Ok(answer) } else { Err(Undecided::Store(Error::Conflict)) }
    }
}

/// Where what was made is read. An answer begins with its id.
fn location(operation: &str, status: StatusCode, body: &str) -> Option<HeaderValue> {
    let path = match status {
        StatusCode::CREATED => operation.strip_prefix("POST ").filter(|path| !path.contains('{'))?,
        StatusCode::ACCEPTED => "/v1/operations",
        _ => return None,
    };
    let (_, id) = body.split_once("_id\":\"")?;
    let id: Uuid = id.split_once('"')?.0.parse().ok()?;
    format!("{path}/{id}").parse().ok()
}

/// The JSON pointer of the first field in which two requests differ.
fn first_difference(a: &Value, b: &Value, at: &str) -> Option<String> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort_unstable();
            keys.into_iter().find_map(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => first_difference(a, b, &format!("{at}/{key}")),
                _ => Some(format!("{at}/{key}")),
            })
        }
        _ => (a != b).then(|| at.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{StatusCode, first_difference, location};

    #[test]
    fn what_was_made_says_where_it_is() {
        let id = "0198c1f2-0000-7000-8000-000000000001";
        let body = format!(r#"{{"transfer_id":"{id}","from_account":"x"}}"#);
        let at =
            |operation, status| location(operation, status, &body).map(|at| at.to_str().unwrap().to_owned());
        assert_eq!(at("POST /v1/transfers", StatusCode::CREATED), Some(format!("/v1/transfers/{id}")));
        assert_eq!(
            at("POST /v1/projections/{name}/verify", StatusCode::ACCEPTED),
            Some(format!("/v1/operations/{id}"))
        );
        assert_eq!(at("POST /v1/accounts/{id}/deposits", StatusCode::CREATED), None);
        assert_eq!(at("POST /v1/transfers", StatusCode::UNPROCESSABLE_ENTITY), None);
    }

    #[test]
    fn the_first_differing_field_is_named() {
        let a = json!({"amount": {"amount": "1", "currency": "DKK"}, "to": {"iban": "x"}});
        let b = json!({"to": {"iban": "x"}, "amount": {"amount": "2", "currency": "DKK"}});
        assert_eq!(first_difference(&a, &a, ""), None);
        assert_eq!(first_difference(&a, &b, "").as_deref(), Some("/amount/amount"));
        assert_eq!(first_difference(&a, &json!({}), "").as_deref(), Some("/amount"));
    }
}
