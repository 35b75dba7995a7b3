//! The checks of `tests/fuzz`, by name.

#[path = "../tests/fuzz/checks/mod.rs"]
mod checks;

/// Runs the check of this name, which panics when a promise is broken.
///
/// # Panics
/// Also when there is no such check.
pub fn check(name: &str, data: &[u8]) {
    let found = checks::TARGETS.iter().find(|(known, _)| *known == name);
    let (_, check) = found.expect("a check has the name of its target");
    check(data);
}
