//! A migration that is new, or still changes, is in the next build.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
