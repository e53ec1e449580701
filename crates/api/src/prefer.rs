//! `Prefer: wait=N` (RFC 7240): the answer may come later, once there is more to say.

use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Below the limit of a request.
const WAIT_MAX: Duration = Duration::from_secs(20);
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long a reader is willing to wait. A preference that is not understood is none.
pub(crate) struct Wait(Option<Duration>);

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let values = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = values.flat_map(|value| value.split(',')).map(str::trim);
        let seconds = preferences.find_map(|preference| preference.strip_prefix("wait=")?.parse().ok());
        Ok(Self(seconds.map(|seconds| WAIT_MAX.min(Duration::from_secs(seconds)))))
    }
}

impl Wait {
    /// For the first look; whoever has not seen what they look for asks for [`Waiting::again`].
    pub(crate) fn begin(&self) -> Waiting {
        Waiting { deadline: Instant::now() + self.0.unwrap_or_default(), pause: PAUSE_MIN }
    }

    pub(crate) fn applied(&self) -> HeaderMap {
        let applied = self.0.and_then(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok());
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
