//! Keeps the identity provider's keys as they are just now: looked up at its published address, every few minutes, and when a token shows a
//! new one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use api::Tokens;
use reqwest::redirect::Policy;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::{Oidc, is_safe};
use crate::process::Parts;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const REFRESH: Duration = Duration::from_secs(300);
/// More keys than anybody has.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// After a failure, and between two looks that are asked for.
const PAUSE: Duration = Duration::from_secs(5);

/// As far as we need it (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: Url,
}

/// None: there is no identity provider.
pub(crate) fn start(
    parts: &mut Parts,
    oidc: &Oidc,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Arc<Tokens>>> {
    let Some(issuer) = oidc.issuer()? else { return Ok(None) };
    let tokens = Arc::new(Tokens::new(issuer));
    parts.start("identity provider", keep(Arc::clone(&tokens), oidc.clone(), shutdown.clone()));
    Ok(Some(tokens))
}

async fn keep(tokens: Arc<Tokens>, oidc: Oidc, shutdown: CancellationToken) -> anyhow::Result<()> {
    // What it publishes stands where it says, and nowhere else.
    let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).redirect(Policy::none()).build()?;
    loop {
        let learnt = async {
            let jwks = published(&http, &oidc).await?;
            tokens.learn(&jwks).context("the keys of the identity provider are no JWK set")
        };
        let next = match learnt.await {
            Ok(()) => REFRESH,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the identity provider's keys are not looked up"
                );
                PAUSE
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(next) => {}
            () = wanted_again(&tokens) => {}
        }
    }
}

/// However often it is wanted: not at once.
async fn wanted_again(tokens: &Tokens) {
    tokio::time::sleep(PAUSE).await;
    tokens.wanted().await;
}

async fn published(http: &reqwest::Client, oidc: &Oidc) -> anyhow::Result<Vec<u8>> {
    let url = match &oidc.jwks_url {
        Some(url) => url.clone(),
        None => discovered(http, oidc).await?,
    };
    fetch(http, &url).await
}

async fn discovered(http: &reqwest::Client, oidc: &Oidc) -> anyhow::Result<Url> {
    let url = format!("{}/.well-known/openid-configuration", oidc.issuer.trim_end_matches('/'));
    let document = fetch(http, &url.parse()?).await?;
    let found: Discovered =
        serde_json::from_slice(&document).with_context(|| format!("{url} is no discovery document"))?;
    ensure!(found.issuer == oidc.issuer, "{url} is about the issuer {}", found.issuer);
    ensure!(is_safe(&found.jwks_uri), "{url} has its keys at {}, which is not https", found.jwks_uri);
    Ok(found.jwks_uri)
}

async fn fetch(http: &reqwest::Client, url: &Url) -> anyhow::Result<Vec<u8>> {
    let answer = http.get(url.clone()).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.with_context(|| format!("GET {url}"))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        ensure!(
            body.len() + chunk.len() <= BODY_BYTES_MAX,
            "GET {url}: it is longer than {BODY_BYTES_MAX} bytes"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
