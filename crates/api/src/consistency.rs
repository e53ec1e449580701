//! `Consistency-Token`: the `stream@seq` pairs that a write has appended. A list that is asked for with it shows what the write has done.

use std::time::Duration;

use access::Principal;
use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use delivery::{Reached, wait_until_handled};
use event::{Seq, StreamName};
use event_store::{Store, StreamSeq};
use projection::Projection;

use crate::ownership::is_owned;
use crate::{Code, Problem};

pub(crate) const HEADER: &str = "consistency-token";
const PAIRS_MAX: usize = 64;
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What a read has to have seen. Empty without the header.
pub(crate) struct Seen(Vec<StreamSeq>);

impl<S: Sync> FromRequestParts<S> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let invalid = || {
            let detail = "send the Consistency-Token of a write as it came: `stream@seq` pairs with commas between them";
            Problem::new(Code::ConsistencyTokenInvalid, detail)
        };
        let mut seen = Vec::new();
        for value in parts.headers.get_all(HEADER) {
            // What has appended nothing has an empty one.
            let text = value.to_str().map_err(|_| invalid())?.trim();
            for pair in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
                let (stream, seq) = pair.rsplit_once('@').ok_or_else(invalid)?;
                let (stream, seq): (StreamName, i64) =
                    (stream.parse().map_err(|_| invalid())?, seq.parse().map_err(|_| invalid())?);
                if seq < 1 || seen.len() == PAIRS_MAX {
                    return Err(invalid());
                }
                seen.push(StreamSeq { stream, seq: Seq::new(seq) });
            }
        }
        Ok(Self(seen))
    }
}

impl Seen {
    /// What this view shows of what is theirs: of everything else a customer does not even hear whether it is there.
    pub(crate) async fn of(
        mut self,
        asker: &Principal,
        view: &dyn Projection,
        store: &Store,
    ) -> Result<Self, Problem> {
        let Some(customer) = asker.customer() else { return Ok(self) };
        let mut theirs = Vec::new();
        for at in std::mem::take(&mut self.0) {
            let is_shown = view.subscription().categories.contains(&at.stream.category());
            if is_shown && is_owned(&at.stream, customer, store).await? {
                theirs.push(at);
            }
        }
        Ok(Self(theirs))
    }

    /// Waits until the projection shows it.
    pub(crate) async fn by(&self, store: &Store, view: &dyn Projection) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        let lasts = store.last_seqs(self.0.iter().map(|at| at.stream.clone())).await?;
        for (at, last) in self.0.iter().zip(lasts) {
            if last.seq < at.seq {
                let detail =
                    format!("there is no {}@{}: the token is another deployment's", at.stream, at.seq);
                return Err(Problem::new(Code::ConsistencyTokenUnknown, detail));
            }
        }
        let handled = wait_until_handled(store, view.name(), view.subscription(), &self.0, WAIT_MAX).await;
        match handled.map_err(event_store::Error::from)? {
            Reached::Yes => Ok(()),
            Reached::NotYet => {
                Err(Problem::new(Code::ProjectionBehind, "what the write has done is not in the list yet"))
            }
            Reached::Parked => {
                Err(Problem::new(Code::ProjectionParked, "what the write has done waits for a person"))
            }
        }
    }
}

/// The header of a write. Of one that has written to very many streams it names the first and the last: what is between them
/// may be seen a moment later.
pub(crate) fn token(written: &[StreamSeq]) -> Option<HeaderValue> {
    let first = written.len().min(1);
    let last = written.len().saturating_sub(PAIRS_MAX - 1).max(first);
    let named = written[..first].iter().chain(&written[last..]);
    let pairs: Vec<String> = named.map(|at| format!("{}@{}", at.stream, at.seq)).collect();
    HeaderValue::from_str(&pairs.join(",")).ok().filter(|_| !pairs.is_empty())
}
