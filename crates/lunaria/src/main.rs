//! The `lunaria` binary.
fn main() {}
