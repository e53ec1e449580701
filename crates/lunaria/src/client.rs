//! A client of the REST API that asks again while the deployment says that it may, within a limit.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::body::Bytes;
use axum::http::StatusCode;
use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

/// One request; the deployment may be far away and busy.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// Far more than any event has.
const LIVE_BYTES_MAX: usize = 16 << 20;
/// Longer than the API lets anybody watch before they ask again.
const LIVE_MAX: Duration = Duration::from_secs(600);
/// Of an answer, in a message.
const SHOWN_CHARS: usize = 400;

pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    /// How long anything may take.
    limit: Duration,
}

/// Events as they come.
pub(crate) struct Live {
    response: reqwest::Response,
    /// And not taken yet.
    read: Vec<u8>,
}

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// It is the answer to an earlier request with the same key.
    pub(crate) replayed: bool,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(url: &Url, token: Option<&str>, limit: Duration) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT.min(limit)).build()?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, token: token.map(str::to_owned), limit })
    }

    /// Waits until `/readyz` says so.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.limit;
        loop {
            let refused = match self.send(self.http.get(self.url("/readyz"))).await {
                Ok(answer) if answer.status == StatusCode::OK => return Ok(()),
                Ok(answer) => answer.to_string(),
                Err(error) => format!("{error:#}"),
            };
            self.pause(deadline).await.with_context(|| format!("GET /readyz: {refused}"))?;
        }
    }

    /// The first answer that is not a passing "try again": the key makes it safe to ask as often as it takes.
    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        let request = || self.http.post(self.url(path)).header("Idempotency-Key", key).json(body);
        self.answered(request).await.with_context(|| format!("POST {path}"))
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.answered(|| self.http.get(self.url(path))).await.with_context(|| format!("GET {path}"))
    }

    /// What happens on a stream, from the event after this one.
    pub(crate) async fn live(&self, path: &str, after: Option<i64>) -> anyhow::Result<Live> {
        let mut request = self.http.get(self.url(path)).timeout(LIVE_MAX);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(seq) = after {
            request = request.header("Last-Event-ID", seq);
        }
        let response = request.send().await.with_context(|| format!("GET {path}"))?;
        if response.status().is_success() {
            return Ok(Live { response, read: Vec::new() });
        }
        let answer = Answer { status: response.status(), replayed: false, body: response.bytes().await? };
        bail!("GET {path}: the answer is {answer}")
    }

    /// Reads until the document is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + self.limit;
        loop {
            let answer = self.get(path).await?;
            let document = answer.document().with_context(|| format!("GET {path}"))?;
            if wanted(&document) {
                return Ok(document);
            }
            self.pause(deadline).await.with_context(|| format!("GET {path} still answers {answer}"))?;
        }
    }

    async fn answered(&self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + self.limit;
        loop {
            let passing = match self.send(request()).await {
                Ok(answer) if answer.is_retryable() => anyhow::anyhow!("{answer}"),
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let Err(late) = self.pause(deadline).await {
                return Err(passing.context(late));
            }
        }
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers());
        let replayed = headers.get("idempotency-replayed").is_some_and(|value| value == "true");
        Ok(Answer { status, replayed, body: response.bytes().await? })
    }

    /// Before the next look; an error once the limit is over.
    async fn pause(&self, deadline: Instant) -> anyhow::Result<()> {
        if Instant::now() + PAUSE > deadline {
            bail!("not within {} s", self.limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl Live {
    /// None: it has ended or broken off, and may be asked for again. <https://html.spec.whatwg.org/multipage/server-sent-events.html>
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            while let Some(end) = self.read.windows(2).position(|bytes| bytes == b"\n\n") {
                let message: Vec<u8> = self.read.drain(..end + 2).collect();
                let message = String::from_utf8_lossy(&message);
                // A comment keeps the connection alive.
                if let Some(data) = message.lines().find_map(|line| line.strip_prefix("data:")) {
                    return Ok(Some(
                        serde_json::from_str(data).with_context(|| format!("not JSON: {data}"))?,
                    ));
                }
            }
            ensure!(self.read.len() <= LIVE_BYTES_MAX, "an event of the live stream has no end");
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.read.extend_from_slice(&bytes),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

impl Answer {
    /// The body of a success.
    pub(crate) fn document(&self) -> anyhow::Result<Value> {
        ensure!(self.status.is_success(), "the answer is {self}");
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {self}"))
    }

    pub(crate) fn id(&self, field: &str) -> anyhow::Result<Uuid> {
        let document = self.document()?;
        let id = document[field].as_str().and_then(|text| text.parse().ok());
        id.with_context(|| format!("no {field} in {self}"))
    }

    /// The stable code of a problem.
    pub(crate) fn code(&self) -> String {
        self.problem()["code"].as_str().unwrap_or_default().to_owned()
    }

    fn is_retryable(&self) -> bool {
        self.status.is_server_error() && self.problem()["retryable"] != false
    }

    fn problem(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, problem) = (self.status.as_u16(), self.problem());
        let said = |name: &str| problem[name].as_str();
        let (Some(code), Some(title)) = (said("code"), said("title")) else {
            let body: String = String::from_utf8_lossy(&self.body).chars().take(SHOWN_CHARS).collect();
            return write!(formatter, "{status} {}", body.trim_end());
        };
        write!(formatter, "{status} {code}: {title}")?;
        for more in [said("detail"), said("pointer")].into_iter().flatten() {
            write!(formatter, ": {more}")?;
        }
        Ok(())
    }
}
