//! Who is taken for the outside world: whoever shows the token that was agreed.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// Its routes answer 401 without `Authorization: Bearer` and the token. None: whoever gets here is let in.
pub fn behind_token<S: Clone + Send + Sync + 'static>(router: Router<S>, token: Option<&str>) -> Router<S> {
    let token: Option<[u8; 32]> = token.map(|token| Sha256::digest(token).into());
    router.route_layer(middleware::from_fn(move |request, next| authorized(token, request, next)))
}

/// Digests are compared, so that the time it takes says nothing about the token.
async fn authorized(token: Option<[u8; 32]>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sent = sent.and_then(|value| value.strip_prefix("Bearer "));
    let is_known =
        token.is_none_or(|token| sent.is_some_and(|sent| <[u8; 32]>::from(Sha256::digest(sent)) == token));
    if is_known {
        return next.run(request).await;
    }
    tracing::warn!("a message without the agreed token is refused");
    (StatusCode::UNAUTHORIZED, "show the token that was agreed (Authorization: Bearer)\n").into_response()
}
