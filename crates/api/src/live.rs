//! What happens on a stream, as it happens: Server-Sent Events, whose ids are seqs, so that a browser that was cut off goes on where it was
//! (https://html.spec.whatwg.org/multipage/server-sent-events.html).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use event::{Aggregate, RecordedEvent, Seq, StreamName};
use event_store::Store;
use futures::Stream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use transfer::Transfer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::{Id, Service};
use crate::{Code, Problem, schema};

/// Each holds a connection, and asks the database now and then.
const WATCHERS_MAX: usize = 128;
static PLACES: Semaphore = Semaphore::const_new(WATCHERS_MAX);
const EVENTS_A_PAGE: u32 = 100;
/// Between two looks: the shorter, the less time has passed since something happened.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Whoever watches longer has to show that they still may.
const WATCH_MAX: Duration = Duration::from_secs(300);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(of_transfer)).routes(routes!(of_stream))
}

/// `Last-Event-ID`: the seq after which to go on.
pub(crate) struct After(Seq);

impl<S: Sync> FromRequestParts<S> for After {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(last) = parts.headers.get("last-event-id") else { return Ok(Self(Seq::ZERO)) };
        let seq = last.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|seq: &i64| *seq >= 0);
        let detail = "Last-Event-ID is the seq of the last event that was seen";
        seq.map(|seq| Self(Seq::new(seq))).ok_or_else(|| Problem::new(Code::InvalidQuery, detail))
    }
}

/// The events of a transfer, those that there are and then each as it happens.
#[utoipa::path(
    get, path = "/v1/transfers/{id}/live", tag = "transfers", operation_id = "followTransfer",
    responses((status = 200, description = "Server-Sent Events: `id` is the seq, `event` the type, `data` the event. After five minutes it ends: ask again.",
        content_type = "text/event-stream", body = schema::LiveEvent))
)]
async fn of_transfer(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    After(after): After,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let unknown = || Problem::new(Code::TransferUnknown, "no transfer has this id");
    let Id(id) = id.map_err(|_| unknown())?;
    watch(&service, Transfer::stream(id), after, unknown).await
}

/// The events of any stream, those that there are and then each as it happens.
#[utoipa::path(
    get, path = "/v1/streams/{stream}/live", tag = "events", operation_id = "followStream",
    responses((status = 200, description = "Server-Sent Events: `id` is the seq, `event` the type, `data` the event. After five minutes it ends: ask again.",
        content_type = "text/event-stream", body = schema::LiveEvent))
)]
async fn of_stream(
    State(service): State<Service>,
    stream: Result<Path<String>, PathRejection>,
    After(after): After,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let unknown = || Problem::new(Code::StreamUnknown, "no stream has this name");
    let Path(stream) = stream.map_err(|_| unknown())?;
    watch(&service, stream.parse().map_err(|_| unknown())?, after, unknown).await
}

async fn watch(
    service: &Service,
    stream: StreamName,
    after: Seq,
    unknown: fn() -> Problem,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let place = PLACES.try_acquire();
    let place = place.map_err(|_| Problem::new(Code::Unavailable, "too many are watching already"))?;
    if service.store.last(&stream).await?.is_none() {
        return Err(unknown());
    }
    let (store, shutdown) = (service.store.clone(), service.shutdown.clone());
    let (read, pause, until) = (VecDeque::new(), PAUSE_MIN, Instant::now() + WATCH_MAX);
    let watcher = Watcher { store, stream, after, read, pause, until, shutdown, _place: place };
    let events = futures::stream::unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Some((Ok(shown(&event)), watcher))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Watcher {
    store: Store,
    stream: StreamName,
    after: Seq,
    /// And not shown yet.
    read: VecDeque<RecordedEvent>,
    pause: Duration,
    until: Instant,
    shutdown: CancellationToken,
    _place: SemaphorePermit<'static>,
}

impl Watcher {
    /// The next event, whenever it happens. None: the time is up, the process is being stopped, or the database is away; a browser asks again, and
    /// shows its key again.
    async fn next(&mut self) -> Option<RecordedEvent> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.after = event.seq;
                self.pause = PAUSE_MIN;
                return Some(event);
            }
            if Instant::now() >= self.until {
                return None;
            }
            match self.store.read(&self.stream, self.after, EVENTS_A_PAGE).await {
                Ok(events) => self.read.extend(events),
                Err(error) => {
                    tracing::warn!(stream = %self.stream, %error, "a watcher is sent away");
                    return None;
                }
            }
            if self.read.is_empty() {
                tokio::select! {
                    () = tokio::time::sleep(self.pause) => self.pause = PAUSE_MAX.min(self.pause * 2),
                    () = self.shutdown.cancelled() => return None,
                }
            }
        }
    }
}

fn shown(event: &RecordedEvent) -> Event {
    // A line of its own: whatever a type is called, it stays one.
    let event_type: String = event.event_type.chars().filter(|letter| !letter.is_control()).collect();
    let shown = Event::default().id(event.seq.to_string()).event(event_type);
    // An event is read out of JSON, so that it can be written as such.
    shown.json_data(event).unwrap_or_default()
}
