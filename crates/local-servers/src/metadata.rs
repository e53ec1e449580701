//! Asks a Kafka broker what it knows of its cluster: the brokers that serve clients, and the replicas in sync.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Metadata request, version 1, of every topic: length, api key 3, version 1, correlation id 1, no client id, no array
/// of topics. <https://kafka.apache.org/protocol#The_Messages_Metadata>
const REQUEST: &[u8] = b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\xff\xff\xff\xff";

/// A broker that is paused accepts and is silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Far above any test's cluster; a stranger on the port may send anything.
const ANSWER_BYTES_MAX: u32 = 16 << 20;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Those of the brokers that serve clients.
    pub(crate) ports: Vec<u16>,
    /// Over all partitions of all topics.
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
}

impl Metadata {
    pub(crate) fn ask(port: u16) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(REQUEST)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > ANSWER_BYTES_MAX {
            return Err(malformed());
        }
        let mut answer = Vec::new();
        stream.take(length.into()).read_to_end(&mut answer)?;
        Self::decode(&answer).ok_or_else(malformed)
    }

    fn decode(answer: &[u8]) -> Option<Self> {
        let mut reader = Reader(answer);
        let mut metadata = Self::default();
        let _correlation_id = reader.int32()?;
        for _ in 0..reader.int32()? {
            let _node_id = reader.int32()?;
            reader.skip_string()?;
            metadata.ports.push(u16::try_from(reader.int32()?).ok()?);
            reader.skip_string()?;
        }
        let _controller_id = reader.int32()?;
        for _ in 0..reader.int32()? {
            let _error_code = reader.int16()?;
            reader.skip_string()?;
            let _is_internal = reader.take(1)?;
            for _ in 0..reader.int32()? {
                let (_error_code, _partition, _leader) = (reader.int16()?, reader.int32()?, reader.int32()?);
                metadata.replicas += reader.skip_int32s()?;
                metadata.in_sync += reader.skip_int32s()?;
            }
        }
        Some(metadata)
    }
}

/// What is left of an answer; `None` where it ends too early.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn int16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn int32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A length of -1 is a missing one.
    fn skip_string(&mut self) -> Option<()> {
        let length = self.int16()?.max(0);
        self.take(usize::try_from(length).ok()?).map(drop)
    }

    /// Returns how many there are.
    fn skip_int32s(&mut self) -> Option<usize> {
        let count = usize::try_from(self.int32()?).ok()?;
        self.take(count.checked_mul(4)?)?;
        Some(count)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no metadata of a Kafka broker")
}

#[cfg(test)]
mod tests {
    use super::Metadata;

    /// Correlation id; one broker: id 1, `h`, port 9092, no rack; controller 1; one topic: no error, `t`, not internal;
    /// one partition: no error, number 0, leader 1, replicas 1 and 2, in sync 1.
    const ANSWER: &[u8] = b"\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x01h\0\0\x23\x84\xff\xff\0\0\0\x01\
        \0\0\0\x01\0\0\0\x01t\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\x01\
        \0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\x01";

    #[test]
    fn brokers_and_replicas_are_counted() {
        let expected = Metadata { ports: vec![9092], replicas: 2, in_sync: 1 };
        assert_eq!(Metadata::decode(ANSWER), Some(expected));
    }

    #[test]
    fn answer_that_ends_early_is_none() {
        for length in 0..ANSWER.len() {
            assert_eq!(Metadata::decode(&ANSWER[..length]), None, "{length} bytes");
        }
    }
}
