//! Asks a Kafka broker for the cluster's brokers, which lists it only from the moment when it serves clients.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Metadata request, version 1, of no topics: length, api key 3, version 1, correlation id 1, no client id, 0 topics.
/// <https://kafka.apache.org/protocol#The_Messages_Metadata>
const REQUEST: &[u8] = b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\0\0\0\0";

pub(crate) fn has_broker(port: u16) -> bool {
    broker_count(port).is_ok_and(|count| count > 0)
}

fn broker_count(port: u16) -> io::Result<u32> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(REQUEST)?;
    // Length, correlation id, then the array of brokers.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    let [.., a, b, c, d] = answer;
    Ok(u32::from_be_bytes([a, b, c, d]))
}
