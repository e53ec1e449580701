//! The messages of one slot, and the way out.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pgoutput::{Lsn, ServerFrame};
use postgres_protocol::message::backend::{COMMAND_COMPLETE_TAG, COPY_DONE_TAG, READY_FOR_QUERY_TAG};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::connection::{Outbound, is_aside, parse};
use crate::error::Error;
use crate::inbound::Inbound;
use crate::progress::Progress;
use crate::status::StatusTask;

/// Enough for a healthy server to finish the message it is sending; with another it is not worth waiting.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Dropping it ends the connection; what was confirmed in the last 100 ms may then not have been sent.
pub struct WalStream {
    inbound: Inbound,
    status: StatusTask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalMessage {
    /// One pgoutput message, a slice of the buffer that it was read into.
    Data { wal_start: Lsn, wal_end: Lsn, body: Bytes },
    /// The server has sent all there is before `wal_end`. A requested reply is already on its way.
    ///
    /// Confirm `wal_end` when nothing received is still under way: else an idle slot holds back the log that other
    /// databases write, and a server that shuts down waits for this stream without end.
    KeepAlive { wal_end: Lsn, reply_requested: bool },
}

impl WalStream {
    pub(crate) fn new(inbound: Inbound, outbound: Outbound, floor: Lsn, status_interval: Duration) -> Self {
        let status = StatusTask::spawn(outbound, Progress::new(floor), status_interval);
        Self { inbound, status }
    }

    /// Waits until at least one message has arrived, and appends it and all that came with it to `batch`.
    ///
    /// Cancel-safe: a message is either in `batch` or comes with the next call. After an error the stream is
    /// over; what is in `batch` by then was received whole, and unless it is confirmed it comes again.
    pub async fn read(&mut self, batch: &mut Vec<WalMessage>) -> Result<(), Error> {
        let before = batch.len();
        loop {
            self.take_buffered(batch)?;
            if batch.len() > before {
                return Ok(());
            }
            if let Some((tag, bytes)) = self.inbound.next()? {
                end_of_stream(tag, bytes)?;
                continue;
            }
            tokio::select! {
                // When the server goes away both halves fail, and only this one can read the reason.
                biased;
                filled = self.inbound.fill() => filled?,
                error = self.status.failed() => return Err(error),
            }
        }
    }

    /// The handle to confirm with, from any task.
    pub fn progress(&self) -> Progress {
        self.status.progress().clone()
    }

    /// Reports what is confirmed, ends the stream and the connection, all within 5 s.
    ///
    /// `Ok` means that the server has taken in the last status update. Messages that arrive meanwhile are
    /// dropped; the slot sends them again.
    pub async fn stop(mut self) -> Result<(), Error> {
        let limit_ms = STOP_TIMEOUT.as_millis();
        let stopped = timeout(STOP_TIMEOUT, self.leave()).await;
        stopped.unwrap_or(Err(Error::Timeout { what: "ending the stream", limit_ms }))
    }

    fn take_buffered(&mut self, batch: &mut Vec<WalMessage>) -> Result<(), Error> {
        for payload in self.inbound.copy_data() {
            let message = match ServerFrame::decode(payload)? {
                ServerFrame::XLogData { wal_start, wal_end, body, .. } => {
                    WalMessage::Data { wal_start, wal_end, body }
                }
                ServerFrame::KeepAlive { wal_end, reply_requested, .. } => {
                    if reply_requested {
                        self.status.progress().ask();
                    }
                    WalMessage::KeepAlive { wal_end, reply_requested }
                }
            };
            batch.push(message);
        }
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), Error> {
        let mut outbound = self.status.finish().await?;
        // Closing with unread data would reset the connection, and the server might never see the last status.
        while !self.drained()? {
            self.inbound.fill().await?;
        }
        let mut out = BytesMut::new();
        frontend::terminate(&mut out);
        outbound.write_all(&out).await?;
        Ok(outbound.shutdown().await?)
    }

    /// Drops what is buffered; true once the server is through with the stream.
    fn drained(&mut self) -> Result<bool, Error> {
        loop {
            drop(self.inbound.copy_data());
            match self.inbound.next()? {
                None => return Ok(false),
                Some((READY_FOR_QUERY_TAG, _)) => return Ok(true),
                Some((COPY_DONE_TAG | COMMAND_COMPLETE_TAG, _)) => {}
                Some((tag, bytes)) => end_of_stream(tag, bytes)?,
            }
        }
    }
}

impl Debug for WalStream {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WalStream").field("progress", self.status.progress()).finish_non_exhaustive()
    }
}

/// What a message other than CopyData means in mid-stream.
fn end_of_stream(tag: u8, mut bytes: BytesMut) -> Result<(), Error> {
    match tag {
        _ if is_aside(tag) => Ok(()),
        // A server that shuts down says only "COPY 0".
        COPY_DONE_TAG | COMMAND_COMPLETE_TAG => Err(Error::Closed),
        _ => {
            parse(&mut bytes)?;
            Err(Error::protocol(format!("unexpected message {tag:#04x} in the stream")))
        }
    }
}
