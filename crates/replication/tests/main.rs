//! The crate against a real server: `LUNARIA_TEST_POSTGRES` and `LUNARIA_TEST_SOCKET_DIR` say where it is.

mod copy;
mod login;
mod middle;
mod server;
mod slot;
mod stream;
mod tls;
