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

/// Why a part is not up, if it is not.
type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Whether each part of this process is up. Cheap to clone.
#[derive(Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<String, Check>>>,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// Asks `check` whenever somebody asks: it must not wait.
    pub fn watch(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.insert(name.into(), Box::new(check));
    }

    /// From now on `/readyz` fails, so that no new work is sent here.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn states(&self) -> BTreeMap<String, Result<(), String>> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(name, check)| (name.clone(), check())).collect()
    }
}

#[derive(Serialize)]
struct Report {
    ready: bool,
    parts: BTreeMap<String, bool>,
    /// Of the parts that are not ready.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<String, String>,
}

/// Without a store there is no database to ask.
pub fn router(store: Option<Store>, readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(readyz))
        .with_state((store, readiness))
}

async fn readyz(State((store, readiness)): State<(Option<Store>, Readiness)>) -> (StatusCode, Json<Report>) {
    let mut states = readiness.states();
    if let Some(store) = store {
        let ask = sqlx::query_scalar::<_, i32>("select 1").fetch_one(store.pool());
        let answered = matches!(tokio::time::timeout(DATABASE_TIMEOUT, ask).await, Ok(Ok(_)));
        let database = if answered { Ok(()) } else { Err("it does not answer".to_owned()) };
        states.insert("database".to_owned(), database);
    }
    if readiness.stopping.load(Ordering::Acquire) {
        states.insert("process".to_owned(), Err("it is stopping".to_owned()));
    }
    let ready = states.values().all(Result::is_ok);
    let parts = states.iter().map(|(name, state)| (name.clone(), state.is_ok())).collect();
    let reasons = states.into_iter().filter_map(|(name, state)| Some((name, state.err()?))).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Report { ready, parts, reasons }))
}
