//! Who asks, and what they may do: roles, principals, and the keys and tokens by which a principal is known.

mod issuer;
pub use issuer::{Issuer, IssuerError, IssuerKeys, TokenError};

mod issued_key;
pub use issued_key::{
    IssuedKey, KeyCommand, KeyEvent, KeyIssued, KeyRefusal, KeyRevoked, digest_of, key_id_of,
};

mod keyring;
pub use keyring::{Keyring, KeyringError};

mod principal;
pub use principal::{Principal, PrincipalError};

mod rate_limit;
pub use rate_limit::RateLimit;

mod role;
pub use role::{Role, UnknownRole};
