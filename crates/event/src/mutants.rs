//! Seeded faults, so that the crash checker can be shown to see them.
//!
//! Only the build with the feature `mutants` has them, and there the variable `LUNARIA_MUTANT` picks one.

/// Whether the seeded fault `name` is switched on; always false in a build without the feature.
#[cfg(not(feature = "mutants"))]
pub fn active(_name: &str) -> bool {
    false
}

/// Whether the seeded fault `name` is switched on.
#[cfg(feature = "mutants")]
pub fn active(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("LUNARIA_MUTANT").ok()).as_deref() == Some(name)
}
