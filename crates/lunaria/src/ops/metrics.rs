//! `/metrics`: what all parts of the process count.

use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Samples of a histogram are kept one by one until they are sorted into its buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(2);
/// Of a millisecond's worth, up to a broker that was away for minutes.
const SECONDS: [f64; 19] = [
    0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5,
    2.0, 10.0, 60.0,
];
const EVENTS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder(PrometheusHandle);

impl Recorder {
    /// Takes in what the whole process counts from now on; once per process.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), &EVENTS)?
            .install_recorder()?;
        Ok(Self(handle))
    }

    pub(crate) async fn keep(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            self.0.run_upkeep();
            tokio::select! {
                () = tokio::time::sleep(UPKEEP_EVERY) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }
}

pub(super) fn router(recorder: Recorder) -> Router {
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    Router::new().route("/metrics", get(async move || ([content_type], recorder.0.render())))
}
