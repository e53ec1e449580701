//! `/livez`: the process answers. `/readyz`: it can do its work, part by part.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use event_store::Store;
use serde::Serialize;

const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether each part of this process is up. Cheap to clone.
#[derive(Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<String, Arc<AtomicBool>>>>,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// A part that is down until its flag is set.
    pub fn part(&self, name: impl Into<String>) -> Arc<AtomicBool> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(parts.entry(name.into()).or_default())
    }

    /// From now on `/readyz` fails, so that no new work is sent here.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn states(&self) -> BTreeMap<String, bool> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(name, up)| (name.clone(), up.load(Ordering::Acquire))).collect()
    }
}

#[derive(Serialize)]
struct Report {
    ready: bool,
    parts: BTreeMap<String, bool>,
}

pub fn router(store: Store, readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(readyz))
        .with_state((store, readiness))
}

async fn readyz(State((store, readiness)): State<(Store, Readiness)>) -> (StatusCode, Json<Report>) {
    let ask = sqlx::query_scalar::<_, i32>("select 1").fetch_one(store.pool());
    let database = matches!(tokio::time::timeout(DATABASE_TIMEOUT, ask).await, Ok(Ok(_)));
    let mut parts = readiness.states();
    parts.insert("database".to_owned(), database);
    let ready = parts.values().all(|up| *up) && !readiness.stopping.load(Ordering::Acquire);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Report { ready, parts }))
}
