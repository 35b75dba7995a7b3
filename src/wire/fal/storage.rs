//! The two objects of an upload to fal's storage (source: fal's Python and JavaScript clients).

use serde::{Deserialize, Serialize};

/// What is going to be uploaded.
#[derive(Clone, Debug, Serialize)]
pub struct InitiateUpload<'a> {
    pub content_type: &'a str,
    pub file_name: &'a str,
}

/// Where to put it, and by which address it is known afterwards.
#[derive(Debug, Deserialize)]
pub struct InitiatedUpload {
    pub upload_url: String,
    pub file_url: String,
}
