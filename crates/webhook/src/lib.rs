//! Webhooks: external events, told to whoever has asked for them, over HTTP (https://www.standardwebhooks.com, 1.0.0).
//!
//! ```text
//!  external events ─► fan-out ─► webhook_queue: endpoint, stream, next seq, last seq ─► courier ─► POST, signed
//!                        ▲             ▲  the events themselves stay where they are        │
//!  webhook streams ─► view, desk ──────┘ replay                                             └─► 2xx: the next one; else later
//! ```
//!
//! Each stream's events come in order, each at least once, and one that an endpoint does not take holds back its own stream alone, for that
//! endpoint. Nothing is dropped: an endpoint that fails for days is paused, which is an event, and goes on where it was.

mod endpoint;
pub use endpoint::{
    Endpoint, EndpointCommand, EndpointEvent, EndpointPaused, EndpointRefusal, EndpointRegistered,
    EndpointRemoved, EndpointResumed, ReplayRequested, SecretRotated, Status,
};

mod endpoint_view;
pub use endpoint_view::{EndpointRow, EndpointView, Pending, list, pending};

mod desk;
pub use desk::WebhookDesk;

mod fan_out;
pub use fan_out::FanOut;

mod signature;
pub use signature::SigningKey;

mod target;
pub use target::{Reach, TargetError, check};

mod courier;
pub use courier::{Courier, Policy};
