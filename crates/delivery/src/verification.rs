//! What has been derived, compared with what would be derived now.

use std::collections::HashMap;

use async_trait::async_trait;
use event::{Aggregate, DomainEvent, RecordedEvent, Seq, StreamName, derived_id};
use event_store::{Error, Store};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::to_value;

use crate::cursor::{self, Place};
use crate::identity::Identity;
use crate::{Derivation, Derived, Deriving};

const STREAMS_A_PAGE: u32 = 500;
const EVENTS_A_PAGE: u32 = 1_000;
/// More of them say nothing new.
const DIFFERENCES_MAX: usize = 100;

/// One contract's check, whatever it derives from.
#[async_trait]
pub trait Verify: Send + Sync {
    fn contract(&self) -> &'static str;

    /// Runs the derivation over all of the service's streams, and changes nothing. The handler may go on meanwhile.
    async fn verify(&self, store: &Store) -> Result<Verified, Error>;
}

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

/// Something that is not as it has to be, and where: in an external stream, or in what it derives from.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub stream: StreamName,
    pub seq: Seq,
    pub what: String,
}

#[async_trait]
impl<D: Derivation> Verify for Deriving<D> {
    fn contract(&self) -> &'static str {
        D::CONTRACT
    }

    async fn verify(&self, store: &Store) -> Result<Verified, Error> {
        let mut verified = Verified { contract: D::CONTRACT, ..Verified::default() };
        let mut after = None;
        loop {
            let page = store.streams(D::From::CATEGORY, after.as_ref(), STREAMS_A_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.stream.clone());
            let asked: Vec<(&StreamName, Seq)> = page.iter().map(|at| (&at.stream, at.seq)).collect();
            let places = places::<D>(store, &asked).await?;
            for at in &page {
                let place = places.get(at.stream.as_str()).copied().unwrap_or_default();
                verified.streams += 1;
                verified.waiting += at.seq.get().saturating_sub(place.seq.get()).unsigned_abs();
                if place.parked {
                    verified.note(&at.stream, place.seq.next(), "it is parked: the handler has failed on it");
                }
                compare_stream::<D>(store, &at.stream, place.seq, &mut verified).await?;
            }
        }
        find_strays::<D>(store, &mut verified).await?;
        Ok(verified)
    }
}

/// Where the handler stands in each of these streams.
async fn places<D: Derivation>(
    store: &Store,
    asked: &[(&StreamName, Seq)],
) -> Result<HashMap<String, Place>, Error> {
    let identity = Identity { handler: D::CONTRACT, source: D::SERVICE };
    let mut connection = store.pool().acquire().await?;
    Ok(cursor::places(&mut connection, identity, asked).await?)
}

/// Up to where the handler had come before this was read; what is derived beyond that is not looked at.
async fn compare_stream<D: Derivation>(
    store: &Store,
    stream: &StreamName,
    reached: Seq,
    verified: &mut Verified,
) -> Result<(), Error> {
    let Some(id) = stream.uuid() else {
        verified.note(stream, Seq::FIRST, "its id is no UUID, so that nothing can be derived from it");
        return Ok(());
    };
    let external = StreamName::of(D::CONTRACT, id);
    let sources = read_all(store, stream, Some(reached)).await?;
    let mut events = Vec::with_capacity(sources.len());
    for source in &sources {
        match source.decode::<<D::From as Aggregate>::Event>() {
            Ok(event) => events.push(event),
            Err(error) => {
                verified.note(stream, source.seq, error.to_string());
                return Ok(());
            }
        }
    }
    let about = D::From::fold(None, &events);
    let mut stored = read_all(store, &external, None).await?.into_iter();
    let mut seq = Seq::ZERO;
    for (source, event) in sources.iter().zip(events) {
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
        let link = extra.metadata.source.as_ref();
        if !link.is_some_and(|link| link.stream == *stream && link.seq > reached) {
            verified.note(&external, extra.seq, "nothing derives it");
        }
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
async fn find_strays<D: Derivation>(store: &Store, verified: &mut Verified) -> Result<(), Error> {
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

async fn read_all(store: &Store, stream: &StreamName, to: Option<Seq>) -> Result<Vec<RecordedEvent>, Error> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Seq::ZERO, |event| event.seq);
        let page = store.read(stream, after, EVENTS_A_PAGE).await?;
        let is_last = page.is_empty() || to.is_some_and(|to| page.iter().any(|event| event.seq >= to));
        events.extend(page.into_iter().filter(|event| to.is_none_or(|to| event.seq <= to)));
        if is_last {
            return Ok(events);
        }
    }
}

impl Verified {
    fn note(&mut self, stream: &StreamName, seq: Seq, what: impl Into<String>) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(Difference { stream: stream.clone(), seq, what: what.into() });
        } else {
            self.more_differences += 1;
        }
    }
}
