//! The event table, stream by stream, read while the events before are written. Events never change, so that nothing read is out of date.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event::{RecordedEvent, Seq, StreamName};
use event_store::{Error, Store};
use tokio::sync::mpsc;

use crate::run::Place;

const CHUNKS_AHEAD: usize = 2;
/// Events of the first chunk, and of any.
const EVENTS_FIRST: usize = 500;
const EVENTS_MIN: usize = 50;
const EVENTS_MAX: usize = 4_000;
pub(crate) struct Chunk {
    /// Where the load has to be for it: after this name, and within this stream.
    begins: (String, Option<StreamName>),
    /// Streams after this name,
    pub(crate) after: String,
    /// up to the place that is reached with it.
    pub(crate) reaches: Place,
    pub(crate) events: Vec<RecordedEvent>,
}

impl Chunk {
    pub(crate) fn follows(&self, place: &Place) -> bool {
        let (loaded_to, part) = &self.begins;
        *loaded_to == place.loaded_to && part.as_ref() == place.part.as_ref().map(|(stream, _)| stream)
    }
}

/// That every stream of these categories comes before.
pub(crate) fn last_name(categories: &[&str]) -> String {
    categories.iter().map(|category| format!("{category}.")).max().unwrap_or_default()
}

pub(crate) struct ReadAhead {
    chunks: mpsc::Receiver<Result<Chunk, Error>>,
    /// Events of a chunk that is to be read.
    size: Arc<AtomicUsize>,
}

impl ReadAhead {
    /// Reads on from a place, through these categories. Ends when it is dropped.
    pub(crate) fn start(store: Store, categories: &[&str], from: Place) -> Self {
        let mut categories: Vec<String> = categories.iter().map(|category| (*category).to_owned()).collect();
        // By the names of their streams, in which `-` follows: before anything that a longer name goes on with.
        categories.sort_by_key(|category| format!("{category}-"));
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let size = Arc::new(AtomicUsize::new(EVENTS_FIRST));
        let asked = Arc::clone(&size);
        tokio::spawn(async move {
            if let Err(error) = read(&store, &categories, from, &asked, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Self { chunks, size }
    }

    /// Says how long a chunk took to write, so that the next ones take between a half of the limit and the limit.
    pub(crate) fn took(&self, events: usize, time: Duration, limit: Duration) {
        let size = self.size.load(Ordering::Relaxed);
        let next = if time > limit { size / 2 } else { size * 2 };
        // A small one says nothing of larger ones.
        let is_fit = time > limit || time < limit / 2 && events >= size / 2;
        if is_fit {
            self.size.store(next.clamp(EVENTS_MIN, EVENTS_MAX), Ordering::Relaxed);
        }
    }

    /// None after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>, Error> {
        self.chunks.recv().await.transpose()
    }
}

async fn read(
    store: &Store,
    categories: &[String],
    from: Place,
    size: &AtomicUsize,
    sender: &mpsc::Sender<Result<Chunk, Error>>,
) -> Result<(), Error> {
    let mut place = from;
    for category in categories {
        // `.` follows `-` in the "C" collation, so this is the whole category and nothing else.
        let (first, end) = (format!("{category}-"), format!("{category}."));
        while place.loaded_to < end {
            let after = place.loaded_to.clone().max(first.clone());
            let (stream, seq) = match &place.part {
                Some((stream, seq)) => (stream.to_string(), *seq),
                None => (after.clone(), Seq::new(i64::MAX)),
            };
            let limit = size.load(Ordering::Relaxed);
            let events = store.read_range((&stream, seq), &end, limit).await?;
            let (events, reaches) =
                cut(events, limit, (&after, place.part.as_ref().map(|(stream, _)| stream)), &end);
            let before = std::mem::replace(&mut place, reaches.clone());
            let begins = (before.loaded_to, before.part.map(|(stream, _)| stream));
            if sender.send(Ok(Chunk { begins, after, reaches, events })).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whole streams, as far as there is more than one: the last of a full chunk may go on.
fn cut(
    mut events: Vec<RecordedEvent>,
    limit: usize,
    (after, part): (&str, Option<&StreamName>),
    end: &str,
) -> (Vec<RecordedEvent>, Place) {
    let last = events.last().filter(|_| events.len() >= limit);
    let Some((last, seq)) = last.map(|event| (event.stream.clone(), event.seq)) else {
        return (events, Place { loaded_to: end.to_owned(), part: None });
    };
    let whole = events.partition_point(|event| event.stream != last);
    if let Some(stream) = before(&events, whole) {
        let place = Place { loaded_to: stream.to_string(), part: None };
        events.truncate(whole);
        return (events, place);
    }
    // Nothing was left of the one that was begun.
    let whole = part.filter(|stream| **stream != last).map_or(after, StreamName::as_str);
    (events, Place { loaded_to: whole.to_owned(), part: Some((last, seq)) })
}

fn before(events: &[RecordedEvent], n: usize) -> Option<&StreamName> {
    n.checked_sub(1).and_then(|n| events.get(n)).map(|event| &event.stream)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn events(of: &[(&str, i64)]) -> Vec<RecordedEvent> {
        let event = |(stream, seq): &(&str, i64)| {
            let event = json!({
                "stream": stream, "seq": seq, "id": Uuid::nil(), "type": "Entered", "version": 1, "data": {}, "position": 1,
                "correlation_id": Uuid::nil(), "causation_id": Uuid::nil(), "recorded_at": "2026-01-31T12:00:00Z",
                "metadata": { "actor": "test", "causation_kind": "request" },
            });
            serde_json::from_str(&event.to_string()).unwrap()
        };
        of.iter().map(event).collect()
    }

    fn place(loaded_to: &str, part: Option<(&str, i64)>) -> Place {
        let part = part.map(|(stream, seq)| (stream.parse().unwrap(), Seq::new(seq)));
        Place { loaded_to: loaded_to.to_owned(), part }
    }

    #[test]
    fn a_chunk_ends_with_a_whole_stream_or_within_the_only_one() {
        let begun: StreamName = "note-a".parse().unwrap();
        let reached = |of: &[(&str, i64)], limit, part| {
            let (left, place) = cut(events(of), limit, ("note-", part), "note.");
            (left.len(), place)
        };
        assert_eq!(reached(&[("note-a", 1)], 2, None), (1, place("note.", None)));
        assert_eq!(reached(&[("note-a", 1), ("note-b", 1)], 2, None), (1, place("note-a", None)));
        assert_eq!(
            reached(&[("note-a", 1), ("note-a", 2)], 2, None),
            (2, place("note-", Some(("note-a", 2))))
        );
        assert_eq!(
            reached(&[("note-a", 3), ("note-a", 4)], 2, Some(&begun)),
            (2, place("note-", Some(("note-a", 4))))
        );
        // The one that was begun had ended just there.
        assert_eq!(
            reached(&[("note-b", 1), ("note-b", 2)], 2, Some(&begun)),
            (2, place("note-a", Some(("note-b", 2))))
        );
    }
}
