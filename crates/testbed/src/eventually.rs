//! Waiting for a condition, with a deadline and never by a fixed sleep.

use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// How long a condition may take here: `LUNARIA_TEST_PATIENCE_S`, 30 s unless it is set.
pub fn patience() -> Duration {
    let seconds = std::env::var("LUNARIA_TEST_PATIENCE_S").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

/// Asks again until there is an answer.
#[track_caller]
pub fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    ask: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    wait(what.to_owned(), caller, ask)
}

async fn wait<T, F: Future<Output = Option<T>>>(
    what: String,
    caller: &'static std::panic::Location<'static>,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{caller}: never happened: {what}");
        tokio::time::sleep(POLL).await;
    }
}
