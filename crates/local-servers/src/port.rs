//! Ports on 127.0.0.1: a free one, the one that a directory used last, and one that stays ours while no server is on it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use tokio::net::TcpSocket;

use crate::Error;

/// A port that was free when it was chosen may be taken when the server binds it.
const ATTEMPTS: usize = 3;

/// A port that is kept for one server, also between its kill and its restart: without it, a client that dials a dead
/// server can be given the very port as its own end, and the server cannot come back.
///
/// It is a socket that is bound and never listens. The kernel gives a bound port to nobody who asks for any port, refuses
/// those who dial it, and lets a server listen on it beside us, as both allow the address to be used again
/// (`SO_REUSEADDR` in socket(7); PostgreSQL, Java and std set it).
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _socket: TcpSocket,
}

impl ReservedPort {
    /// Any free port.
    pub fn any() -> Result<Self, Error> {
        Self::bind(0).map_err(no_port)
    }

    /// A port that is free or that the caller's own server has.
    pub fn of(number: u16) -> Result<Self, Error> {
        Self::bind(number).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => Error::PortTaken { port: number },
            _ => no_port(source),
        })
    }

    fn bind(number: u16) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, number).into())?;
        Ok(Self { number: socket.local_addr()?.port(), _socket: socket })
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

/// A port that nothing listens on at the moment. Another process may take it before its user does.
pub fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(no_port)
}

fn no_port(source: io::Error) -> Error {
    Error::Run { program: "a listener on 127.0.0.1".to_owned(), source }
}

/// The asked port; else the one that `file` remembers, while free, so that URLs stay valid; else any free one.
pub(crate) fn choose(asked: Option<u16>, file: &Path) -> Result<u16, Error> {
    if let Some(port) = asked {
        return if is_free(port) { Ok(port) } else { Err(Error::PortTaken { port }) };
    }
    let last = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    last.filter(|port| is_free(*port)).map_or_else(free_port, Ok)
}

pub(crate) fn remember(port: u16, file: &Path) -> Result<(), Error> {
    fs::write(file, format!("{port}\n")).map_err(Error::file("write", file))
}

/// Launches again, on another port, while others take the chosen ones; an asked port is tried once.
pub(crate) fn retry<T>(asked: Option<u16>, mut launch: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let attempts_max = if asked.is_some() { 1 } else { ATTEMPTS };
    let mut attempts = 1;
    loop {
        match launch() {
            Err(error) if attempts < attempts_max && error.is_port_race() => attempts += 1,
            result => return result,
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::ReservedPort;

    #[test]
    fn reserved_port_refuses_clients_until_a_server_listens_beside() {
        let reserved = ReservedPort::any().unwrap();
        let address = (Ipv4Addr::LOCALHOST, reserved.number());
        assert!(TcpStream::connect(address).is_err());
        let server = TcpListener::bind(address).unwrap();
        TcpStream::connect(address).unwrap();
        drop(server);
        // As after a kill: the same port, at once, although the last connection is not forgotten yet.
        TcpListener::bind(address).unwrap();
    }
}
