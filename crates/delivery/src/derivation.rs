//! External streams: each derived from exactly one internal stream, by a function that can be run again and compared.
//!
//! ```text
//! transfer-{id} ──► Derivation::derive ──► payment.v1-{id}      several contracts, or versions of one, may derive from a stream
//!                        ▲
//!              verify ───┘ runs it over the whole history and compares
//! ```

use std::collections::HashMap;
use std::marker::PhantomData;

use async_trait::async_trait;
use event::{Aggregate, DomainEvent, RecordedEvent, Seq, StreamName, derived_id};
use event_store::{Store, UnitOfWork};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::to_value;
use uuid::Uuid;

use crate::cursor;
use crate::identity::Identity;
use crate::{HandleError, Handler, Subscription};

const STREAMS_A_PAGE: u32 = 500;
const EVENTS_A_PAGE: u32 = 1_000;
/// More of them say nothing new.
const DIFFERENCES_MAX: usize = 100;

/// A contract's events, as they follow from an aggregate's.
pub trait Derivation: Send + Sync + 'static {
    /// The service whose aggregate it is, and in whose database the external stream stands.
    const SERVICE: &'static str;
    /// The external streams' category, such as `payment.v1`. It is the handler's name as well.
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

/// The handler that derives, and the check of what it has derived.
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

/// What has been derived, compared with what would be derived now.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub contract: &'static str,
    pub streams: u64,
    /// That are there and as they have to be.
    pub events: u64,
    /// Internal events that the handler has not come to yet.
    pub waiting: u64,
    pub differences: Vec<Difference>,
    /// Beyond those that are listed.
    pub more_differences: u64,
}

/// An external event that is not as it has to be, by its own place.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub stream: StreamName,
    pub seq: Seq,
    pub what: String,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Store(#[from] event_store::Error),
    /// The internal stream itself does not make sense.
    #[error("{0}")]
    Handle(#[from] HandleError),
}

/// One contract's check, whatever it derives from.
#[async_trait]
pub trait Verify: Send + Sync {
    fn contract(&self) -> &'static str;

    /// Runs the derivation over all of the service's streams, and changes nothing.
    async fn verify(&self, store: &Store) -> Result<Verified, VerifyError>;
}

#[async_trait]
impl<D: Derivation> Verify for Deriving<D> {
    fn contract(&self) -> &'static str {
        D::CONTRACT
    }

    async fn verify(&self, store: &Store) -> Result<Verified, VerifyError> {
        let mut verified = Verified { contract: D::CONTRACT, ..Verified::default() };
        let mut after = None;
        loop {
            let page = store.streams(D::From::CATEGORY, after.as_ref(), STREAMS_A_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.stream.clone());
            let reached = reached::<D>(store, page.iter().map(|at| (at.stream.as_str(), at.seq))).await?;
            for at in &page {
                let reached = reached.get(at.stream.as_str()).copied().unwrap_or_default();
                verified.waiting += at.seq.get().saturating_sub(reached.get()).unsigned_abs();
                verified.streams += 1;
                compare_stream::<D>(store, &at.stream, reached, &mut verified).await?;
            }
        }
        find_strays::<D>(store, &mut verified).await?;
        Ok(verified)
    }
}

/// How far the handler has come in each of these streams.
async fn reached<D: Derivation>(
    store: &Store,
    streams: impl Iterator<Item = (&str, Seq)>,
) -> Result<HashMap<String, Seq>, VerifyError> {
    let identity = Identity { handler: D::CONTRACT, source: D::SERVICE };
    let asked: Vec<(&str, Seq)> = streams.collect();
    let mut connection = store.pool().acquire().await.map_err(event_store::Error::from)?;
    let places = cursor::places(&mut connection, identity, &asked).await.map_err(event_store::Error::from)?;
    Ok(places.into_iter().map(|(stream, place)| (stream, place.seq)).collect())
}

async fn compare_stream<D: Derivation>(
    store: &Store,
    stream: &StreamName,
    reached: Seq,
    verified: &mut Verified,
) -> Result<(), VerifyError> {
    let id = stream.uuid().ok_or_else(|| HandleError::Failed(format!("{stream}: its id is no UUID")))?;
    let external = StreamName::of(D::CONTRACT, id);
    let events = read_all(store, stream).await?;
    let decoded: Vec<_> =
        events.iter().map(RecordedEvent::decode).collect::<Result<_, _>>().map_err(HandleError::from)?;
    let about = D::From::fold(None, &decoded);
    let mut stored = read_all(store, &external).await?.into_iter();
    let mut seq = Seq::ZERO;
    for (source, event) in events.iter().zip(decoded) {
        if source.seq > reached {
            break;
        }
        let derived = match (D::derive(id, event), &about) {
            (Ok(Derived::Nothing), _) => continue,
            (Ok(Derived::Event(derived)), _) => Ok(derived),
            (Ok(Derived::With(derive)), Some(about)) => derive(about),
            (Ok(Derived::With(_)), None) => Err("the stream makes no aggregate".to_owned()),
            (Err(reason), _) => Err(reason),
        };
        seq = seq.next();
        match difference::<D>(source, &derived, stored.next()) {
            None => verified.events += 1,
            Some(what) => verified.note(&external, seq, what),
        }
    }
    for extra in stored {
        verified.note(&external, extra.seq, "nothing derives it".to_owned());
    }
    Ok(())
}

fn difference<D: Derivation>(
    source: &RecordedEvent,
    derived: &Result<D::To, String>,
    stored: Option<RecordedEvent>,
) -> Option<String> {
    let at = format!("{}@{}", source.stream, source.seq);
    let derived = match derived {
        Ok(derived) => derived,
        Err(reason) => return Some(format!("{at} cannot be derived from: {reason}")),
    };
    let Some(stored) = stored else { return Some(format!("missing; {at} derives it")) };
    let is_linked = stored.metadata.source.as_ref().is_some_and(|link| {
        (link.service.as_str(), &link.stream, link.seq, link.id)
            == (D::SERVICE, &source.stream, source.seq, source.id)
    });
    if !is_linked {
        return Some(format!("its source is not {at}"));
    }
    if stored.id != derived_id(source.id, D::CONTRACT, 0) {
        return Some(format!("its id is not the one that follows from {at}"));
    }
    let (kind, version) = (derived.event_type(), derived.version());
    if (stored.event_type.as_str(), stored.version) != (kind, version) {
        let (stored, of) = (stored.event_type, stored.version);
        return Some(format!("it is {stored} version {of}, {at} derives {kind} version {version}"));
    }
    let is_same = to_value(derived).ok() == serde_json::from_str::<Value>(stored.data.get()).ok();
    (!is_same).then(|| format!("its data is not what {at} derives"))
}

/// External streams whose internal one does not exist.
async fn find_strays<D: Derivation>(store: &Store, verified: &mut Verified) -> Result<(), VerifyError> {
    let mut after = None;
    loop {
        let page = store.streams(D::CONTRACT, after.as_ref(), STREAMS_A_PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.stream.clone());
        for at in &page {
            let internal = format!("{}-{}", D::From::CATEGORY, at.stream.id());
            let Ok(internal) = internal.parse() else { continue };
            if store.last(&internal).await?.is_none() {
                verified.note(&at.stream, Seq::FIRST, format!("{internal} does not exist"));
            }
        }
    }
}

async fn read_all(store: &Store, stream: &StreamName) -> Result<Vec<RecordedEvent>, VerifyError> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Seq::ZERO, |event| event.seq);
        let page = store.read(stream, after, EVENTS_A_PAGE).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
    }
}

impl Verified {
    fn note(&mut self, stream: &StreamName, seq: Seq, what: String) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(Difference { stream: stream.clone(), seq, what });
        } else {
            self.more_differences += 1;
        }
    }
}
