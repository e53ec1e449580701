//! What the routes stand on.

use std::sync::Arc;
use std::time::Duration;

use access::Keyring;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::request::Parts;
use cases::OpenCases;
use delivery::Handler;
use event_store::{Group, Store};
use order::PaymentPolicy;
use projection::{InMemory, Projection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use transfer::Limits;
use uuid::Uuid;
use webhook::{Reach, SigningKey};

use crate::{Code, Problem, Running, Tokens};

/// The store of core, and the policies that requests are decided by.
#[derive(Clone)]
pub struct Service {
    pub store: Store,
    /// What is asked at the same time is committed together.
    pub group: Group,
    pub running: Running,
    pub limits: Limits,
    /// Of orders.
    pub payments: PaymentPolicy,
    /// The read models.
    pub projections: Vec<Arc<dyn Projection>>,
    /// By what has caused them.
    pub open_cases: Arc<InMemory<OpenCases>>,
    pub corrections: Corrections,
    /// That each principal may make; 0 for as many as they like.
    pub requests_per_second: u32,
    /// Ends what would be watched for ever.
    pub shutdown: CancellationToken,
    /// Who is known by which key.
    pub keys: Keyring,
    /// None: there are none.
    pub webhooks: Option<Webhooks>,
    /// Whether `event.words` is kept.
    pub searches_events: bool,
    /// And whose tokens are taken, too.
    pub tokens: Option<Arc<Tokens>>,
}

/// Under what corrections are made, and what a preview tries out.
#[derive(Clone)]
pub struct Corrections {
    pub policy: correction::Policy,
    /// Core's handlers, its read models among them.
    pub handlers: Vec<Arc<dyn Handler>>,
    /// Of previews at once: each holds a connection, and one beside it where it is recorded.
    pub permits: Arc<Semaphore>,
}

const PERMIT_WITHIN: Duration = Duration::from_secs(2);

impl Corrections {
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = tokio::time::timeout(PERMIT_WITHIN, Arc::clone(&self.permits).acquire_owned()).await;
        let busy = || Problem::new(Code::Unavailable, "too many previews are asked for at once");
        permit.ok().and_then(Result::ok).ok_or_else(busy)
    }
}

/// What webhooks there may be.
#[derive(Clone)]
pub struct Webhooks {
    pub key: SigningKey,
    pub reach: Reach,
    /// That endpoints may ask for.
    pub contracts: &'static [&'static str],
}

impl FromRef<Service> for Store {
    fn from_ref(service: &Service) -> Self {
        service.store.clone()
    }
}

/// The `{id}` of a path.
pub(crate) struct Id(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = PathRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PathRejection> {
        Path::from_request_parts(parts, state).await.map(|Path(id)| Self(id))
    }
}
