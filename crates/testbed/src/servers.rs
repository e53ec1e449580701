//! The servers that `make test` has started; a missing one fails the test with a hint.

use sqlx::postgres::PgConnectOptions;

const HINT: &str = "is not set: run `make test`, which starts private servers \
    (one test: `make test ARGS=name`)";

/// How to connect to the test cluster as its superuser.
pub fn postgres() -> PgConnectOptions {
    let url =
        std::env::var("LUNARIA_TEST_POSTGRES").unwrap_or_else(|_| panic!("LUNARIA_TEST_POSTGRES {HINT}"));
    url.parse().unwrap()
}

/// The bootstrap address of the test broker.
pub fn kafka() -> String {
    std::env::var("LUNARIA_TEST_KAFKA").unwrap_or_else(|_| panic!("LUNARIA_TEST_KAFKA {HINT}"))
}

/// `name` with a suffix that no other test has: for databases, slots, topic prefixes.
pub fn unique(name: &str) -> String {
    format!("{name}_{:08x}", rand::random::<u32>())
}
