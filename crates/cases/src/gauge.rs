//! How many cases are open: what an alarm is raised on.

use std::time::Duration;

use event_store::Store;
use metrics::gauge;
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(5);
const OPEN: &str = "lunaria_open_cases";

/// Keeps the gauge until shutdown. As long as the database cannot be asked, it stays as it was.
pub async fn keep_gauge(store: &Store, shutdown: &CancellationToken) {
    let open = gauge!(OPEN, "service" => store.service().to_owned());
    loop {
        match count(store).await {
            Ok(cases) => open.set(cases as f64),
            Err(error) => tracing::debug!(%error, "how many cases are open is not known"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn count(store: &Store) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from case_view where is_open")
        .persistent(false)
        .fetch_one(store.pool())
        .await
}
