//! Ports on 127.0.0.1: a free one, or the one that a directory used last.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::Error;

/// A port that was free when it was chosen may be taken when the server binds it.
const ATTEMPTS: usize = 3;

/// A port that nothing listens on at the moment. Another process may take it before its user does.
pub fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| Error::Run { program: "a listener on 127.0.0.1".to_owned(), source })
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
