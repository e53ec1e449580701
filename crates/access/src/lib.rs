//! Who asks, and what they may do: roles, principals, and the keys by which a principal is known.

mod keyring;
pub use keyring::{Keyring, KeyringError};

mod principal;
pub use principal::Principal;

mod rate_limit;
pub use rate_limit::RateLimit;

mod role;
pub use role::{Role, UnknownRole};
