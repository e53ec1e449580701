//! Versions of contracts that will not be published for ever.

/// A version that has a successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deprecation {
    pub contract: &'static str,
    pub instead: &'static str,
    /// The day on which it got it.
    pub since: &'static str,
    /// The last day on which it can be published, as `2027-06-30`.
    pub until: &'static str,
}

pub const DEPRECATIONS: [Deprecation; 2] = [
    Deprecation { contract: "payment.v1", instead: "payment.v2", since: "2026-11-22", until: "2027-06-30" },
    Deprecation { contract: "clearing.v1", instead: "clearing.v2", since: "2026-11-22", until: "2027-06-30" },
];

pub fn deprecation_of(contract: &str) -> Option<Deprecation> {
    DEPRECATIONS.into_iter().find(|deprecation| deprecation.contract == contract)
}
