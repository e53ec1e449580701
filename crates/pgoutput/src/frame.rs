//! The payloads of CopyData messages while a slot is streamed.
//!
//! ```text
//! server ── w  XLogData          ──►
//! server ── k  keepalive         ──►  client
//!        ◄── r  standby status   ──   client
//! ```
//!
//! Clocks are microseconds since 2000-01-01 00:00 UTC.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::Error;
use crate::lsn::Lsn;
use crate::reader::Reader;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    XLogData {
        wal_start: Lsn,
        /// The end of the log on the server, as far as it knew when it sent this.
        wal_end: Lsn,
        server_time_micros: i64,
        /// One pgoutput message.
        body: Bytes,
    },
    KeepAlive {
        wal_end: Lsn,
        server_time_micros: i64,
        /// The server closes the connection unless it gets a status update soon.
        reply_requested: bool,
    },
}

/// The standby status update: how far the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandbyStatus {
    pub written: Lsn,
    /// What a logical slot's `confirmed_flush_lsn` becomes; [`Lsn::ZERO`] leaves the slot alone.
    pub flushed: Lsn,
    pub applied: Lsn,
    pub client_time_micros: i64,
    pub reply_requested: bool,
}

impl ServerFrame {
    /// Decodes the payload of one CopyData message; the body is a slice of it.
    pub fn decode(payload: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(payload);
        match reader.u8()? {
            b'w' => Ok(Self::XLogData {
                wal_start: reader.lsn()?,
                wal_end: reader.lsn()?,
                server_time_micros: reader.i64()?,
                body: reader.rest(),
            }),
            b'k' => {
                let frame = Self::KeepAlive {
                    wal_end: reader.lsn()?,
                    server_time_micros: reader.i64()?,
                    reply_requested: reader.u8()? != 0,
                };
                reader.finish()?;
                Ok(frame)
            }
            tag => Err(reader.unknown("frame tag", tag)),
        }
    }

    pub fn encode(&self, into: &mut BytesMut) {
        match self {
            Self::XLogData { wal_start, wal_end, server_time_micros, body } => {
                into.put_u8(b'w');
                into.put_u64(wal_start.as_u64());
                into.put_u64(wal_end.as_u64());
                into.put_i64(*server_time_micros);
                into.put_slice(body);
            }
            Self::KeepAlive { wal_end, server_time_micros, reply_requested } => {
                into.put_u8(b'k');
                into.put_u64(wal_end.as_u64());
                into.put_i64(*server_time_micros);
                into.put_u8(u8::from(*reply_requested));
            }
        }
    }
}

impl StandbyStatus {
    pub const BYTES: usize = 1 + 8 + 8 + 8 + 8 + 1;

    pub fn decode(payload: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(payload);
        match reader.u8()? {
            b'r' => {}
            tag => return Err(reader.unknown("frame tag", tag)),
        }
        let status = Self {
            written: reader.lsn()?,
            flushed: reader.lsn()?,
            applied: reader.lsn()?,
            client_time_micros: reader.i64()?,
            reply_requested: reader.u8()? != 0,
        };
        reader.finish()?;
        Ok(status)
    }

    pub fn encode(&self, into: &mut BytesMut) {
        into.reserve(Self::BYTES);
        into.put_u8(b'r');
        into.put_u64(self.written.as_u64());
        into.put_u64(self.flushed.as_u64());
        into.put_u64(self.applied.as_u64());
        into.put_i64(self.client_time_micros);
        into.put_u8(u8::from(self.reply_requested));
    }
}
