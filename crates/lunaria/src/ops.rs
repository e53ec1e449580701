//! Each process's endpoint for those who run it: metrics, health, and the administration of the relays that it has.
//!
//! ```text
//! GET  /metrics     Prometheus text format
//! GET  /livez  /readyz
//! GET  /relays      /relays/{service}
//! POST /relays/{service}/pause  …/resume  …/refill      Authorization: Bearer <ops.token>
//! ```
//!
//! It is a listener of its own, so that a firewall can keep the public away from it.

mod metrics;
mod relays;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use event_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Ops as Settings;
use crate::process::Parts;
use metrics::Recorder;

const BODY_BYTES_MAX: usize = 16 * 1024;

/// The endpoint before anybody is told anything. From its making on, all that the process counts is kept.
pub(crate) struct Ops {
    listener: TcpListener,
    recorder: Recorder,
    token: String,
}

/// What one process has to tell.
pub(crate) struct Told {
    pub(crate) readiness: api::Readiness,
    pub(crate) relays: Vec<relay::Config>,
    /// None: a process without a database of its own.
    pub(crate) store: Option<Store>,
}

impl Ops {
    pub(crate) fn new(listener: TcpListener, settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self { listener, recorder: Recorder::install()?, token: settings.token.clone() })
    }

    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(crate) fn start(self, parts: &mut Parts, told: Told, shutdown: &CancellationToken) {
        let Self { listener, recorder, token } = self;
        for relay in &told.relays {
            let status = relay.status.clone();
            let fit = move || status.report().unfit().map_or(Ok(()), Err);
            told.readiness.watch(format!("relay {}", relay.service), fit);
        }
        let router = Router::new()
            .merge(metrics::router(recorder.clone()))
            .merge(api::health_router(told.store, told.readiness))
            .merge(relays::router(told.relays, &token))
            .fallback(async || api::Problem::new(api::Code::NotFound, "see `operations` in the README"))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
        let shutdown = shutdown.clone();
        parts.start("ops", async move {
            tokio::join!(api::serve(listener, router, shutdown.clone()), recorder.keep(shutdown));
            Ok(())
        });
    }
}
