//! The written promises against what is served: `openapi/`, the pages, the container files.
//!
//! A gateway and an emulated fal run in this process; everything is asked over HTTP. Where a test
//! fails because the code has moved on, the documents are what has to follow. Some parts of the
//! pages are generated: `UPDATE_README=1 cargo test --test http up_to_date` writes them.

mod answers;
mod container;
pub(crate) mod description;
mod eval;
mod fates;
mod naming;
mod readme;
mod recipes;
mod routes;

use std::path::Path;

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn yaml(path: &str) -> serde_json::Value {
    serde_saphyr::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
