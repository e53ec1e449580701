//! The past: what something was at a time, or after one of its events.

use event::{Seq, StreamName};
use event_store::Store;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::page::{invalid, time};
use crate::{Code, Problem};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AsOf {
    /// As it was then, such as `2026-01-31T12:00:00Z`.
    at: Option<Timestamp>,
    /// As it was after this event of its stream.
    #[param(minimum = 1)]
    seq: Option<i64>,
}

/// What a stream says of a time.
pub(crate) enum Moment {
    Now,
    After(Seq),
    /// It had not begun yet, or never will.
    Before(Timestamp),
}

impl AsOf {
    pub(crate) async fn moment(&self, store: &Store, stream: &StreamName) -> Result<Moment, Problem> {
        match *self {
            Self { at: None, seq: None } => Ok(Moment::Now),
            Self { at: None, seq: Some(seq) } if seq > 0 => Ok(Moment::After(Seq::new(seq))),
            Self { at: None, seq: Some(_) } => Err(invalid("seq begins with 1".to_owned())),
            Self { at: Some(_), seq: Some(_) } => {
                Err(Problem::new(Code::ConflictingQuery, "either at, or seq"))
            }
            Self { at: Some(at), seq: None } => {
                let at = time(at);
                // What was recorded at that very microsecond belongs to it.
                let after = at.saturating_add(SignedDuration::from_micros(1)).unwrap_or(at);
                let last = store.last_before(stream, after).await?;
                Ok(last.map_or(Moment::Before(at), |event| Moment::After(event.seq)))
            }
        }
    }
}
