//! External streams: each derived from exactly one internal stream, by a function that can be run again (`verification.rs`).
//!
//! ```text
//! transfer-{id} ──► Derivation::derive ──► payment.v2-{id}      several contracts, or versions of one, may derive from a stream
//!                        ▲
//!              verify ───┘ runs it over the whole history and compares
//! ```

use std::marker::PhantomData;

use async_trait::async_trait;
use event::{Aggregate, DomainEvent, RecordedEvent, StreamName};
use event_store::UnitOfWork;
use uuid::Uuid;

use crate::handler::one_by_one;
use crate::{HandleError, Handler, Subscription};

/// A contract's events, as they follow from an aggregate's.
pub trait Derivation: Send + Sync + 'static {
    /// The service whose aggregate it is, and in whose database the external stream stands.
    const SERVICE: &'static str;
    /// The external streams' category, such as `payment.v2`. It is the handler's name as well.
    const CONTRACT: &'static str;
    type From: Aggregate;
    type To: DomainEvent;

    /// What the outside is told of an event of the aggregate of this id.
    fn derive(
        id: Uuid,
        event: <Self::From as Aggregate>::Event,
    ) -> Result<Derived<Self::From, Self::To>, String>;
}

pub type Derive<From, To> = Box<dyn FnOnce(&From) -> Result<To, String> + Send>;

/// What an event is to the outside.
pub enum Derived<From, To> {
    Nothing,
    Event(To),
    /// What else it needs is in the aggregate: what its first event has fixed, since the aggregate may have moved on.
    With(Derive<From, To>),
}

/// The handler that derives, and that can be verified.
pub struct Deriving<D>(PhantomData<fn() -> D>);

impl<D: Derivation> Deriving<D> {
    const CATEGORIES: &'static [&'static str] = &[D::From::CATEGORY];

    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D: Derivation> Default for Deriving<D> {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl<D: Derivation> Handler for Deriving<D> {
    fn name(&self) -> &'static str {
        D::CONTRACT
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: D::SERVICE, categories: Self::CATEGORIES }
    }

    async fn handle_all(&self, events: &[&RecordedEvent], unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let ids = events.iter().filter_map(|event| event.stream.uuid());
        unit.look_ahead(ids.map(|id| StreamName::of(D::CONTRACT, id))).await?;
        one_by_one(self, events, unit).await
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let failed = |what: String| HandleError::Failed(format!("{}: {what}", event.stream));
        let id = event.stream.uuid().ok_or_else(|| failed("its id is no UUID".to_owned()))?;
        let derived = match D::derive(id, event.decode()?).map_err(failed)? {
            Derived::Nothing => return Ok(()),
            Derived::Event(derived) => derived,
            Derived::With(derive) => {
                let about = unit.state::<D::From>(id).await?;
                derive(&about.ok_or_else(|| failed("it is empty".to_owned()))?).map_err(failed)?
            }
        };
        unit.append_external(StreamName::of(D::CONTRACT, id), &derived, event).await?;
        Ok(())
    }
}
