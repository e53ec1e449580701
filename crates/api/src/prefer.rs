//! `Prefer: wait=N` (RFC 7240): the answer may come later, once there is more to say.

use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Below the time that a process gives its requests when it ends.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// At the same time. Whoever comes then is answered at once.
static PLACES: Semaphore = Semaphore::const_new(128);
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long a reader waits. A preference that is not understood is none.
pub(crate) struct Wait(Option<(Duration, SemaphorePermit<'static>)>);

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(preferred_wait(&parts.headers).zip(PLACES.try_acquire().ok())))
    }
}

/// How long the asker would wait, within our limit.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(',')).filter_map(seconds);
    // The first one counts.
    preferences.next().flatten().map(|seconds| WAIT_MAX.min(Duration::from_secs(seconds)))
}

/// Of `wait=N` with its parameters. Some(None): a wait of no number.
fn seconds(preference: &str) -> Option<Option<u64>> {
    let (name, value) = preference.split(';').next()?.split_once('=')?;
    name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse().ok())
}

impl Wait {
    /// For the first look; whoever has not seen what they look for asks for [`Waiting::again`].
    pub(crate) fn begin(&self) -> Waiting {
        Waiting {
            deadline: Instant::now() + self.0.as_ref().map_or(Duration::ZERO, |(wait, _)| *wait),
            pause: PAUSE_MIN,
        }
    }

    pub(crate) fn applied(&self) -> HeaderMap {
        let applied = self
            .0
            .as_ref()
            .and_then(|(wait, _)| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok());
        applied.into_iter().map(|value| (APPLIED, value)).collect()
    }
}

pub(crate) struct Waiting {
    deadline: Instant,
    pause: Duration,
}

impl Waiting {
    /// Pauses before another look. No: the time is up.
    pub(crate) async fn again(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = PAUSE_MAX.min(self.pause * 2);
        true
    }
}
