//! Who opens the connections: how they are encrypted, and as whom to log in, is the owner's affair.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Bytes both ways.
pub trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// A connection that the broker takes requests on.
pub struct Dialed {
    pub socket: Box<dyn Socket>,
    /// When the broker would hang up on whoever has not logged in again. The producer dials anew before.
    pub lasts: Option<Duration>,
}

/// Must be cancel-safe: the producer gives up after its time-out.
#[async_trait]
pub trait Dial: Debug + Send + Sync {
    /// `broker` is `host:port`, of the bootstrap list or as a broker has named it. The error does not name it.
    async fn dial(&self, broker: &str) -> Result<Dialed, Box<dyn Error + Send + Sync>>;
}

/// In plain text, as nobody in particular.
#[derive(Debug, Clone, Copy)]
pub struct DialPlain;

#[async_trait]
impl Dial for DialPlain {
    async fn dial(&self, broker: &str) -> Result<Dialed, Box<dyn Error + Send + Sync>> {
        let socket = TcpStream::connect(broker).await?;
        socket.set_nodelay(true)?;
        Ok(Dialed { socket: Box::new(socket), lasts: None })
    }
}
