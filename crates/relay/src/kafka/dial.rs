//! The producer's connections, as this installation reaches Kafka.

use std::error::Error;

use async_trait::async_trait;
use kafka_client::{Access, Opened};
use kafka_producer::{Dial, Dialed};

#[derive(Debug)]
pub(super) struct DialAccess {
    pub(super) access: Access,
    pub(super) client_id: String,
}

#[async_trait]
impl Dial for DialAccess {
    async fn dial(&self, broker: &str) -> Result<Dialed, Box<dyn Error + Send + Sync>> {
        let opened = self.access.open(broker, &self.client_id).await;
        let Opened { socket, lasts } = opened.map_err(|error| error.cause())?;
        Ok(Dialed { socket: Box::new(socket), lasts })
    }
}
