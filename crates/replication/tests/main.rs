//! The crate against a real server: `LUNARIA_TEST_POSTGRES` and `LUNARIA_TEST_SOCKET_DIR` say where it is.

mod login;
mod server;
mod slot;
mod stream;
