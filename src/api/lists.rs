//! The public lists of models on disk: read at the start, and written when they have changed.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::translate::model::PublicLists;

/// Larger than the lists can get.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Why lists are not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("models.cache names a file that holds something else, which is left alone")]
    NotOurs,
    #[error("models.cache cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// The lists that were kept; none where there are none, or the file cannot be read.
pub fn load(path: &Path) -> PublicLists {
    match read(path) {
        Ok(Some(lists)) => lists,
        Ok(None) => {
            tracing::warn!(
                "models.cache names a file that holds no lists of models; it is ignored"
            );
            PublicLists::default()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => PublicLists::default(),
        Err(error) => {
            tracing::warn!("models.cache cannot be read and is ignored: {error}");
            PublicLists::default()
        }
    }
}

/// The same, without a word of what is wrong.
pub fn kept(path: &Path) -> Option<PublicLists> {
    read(path).ok().flatten()
}

/// The lists in a file; `None` if it holds something else.
fn read(path: &Path) -> io::Result<Option<PublicLists>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Keeps lists in a file that nobody else may read: whoever reads it finds the old ones or the new
/// ones, whole.
///
/// # Errors
/// When the file cannot be written, and when it is there and none of ours.
pub fn store(path: &Path, lists: &PublicLists) -> Result<(), KeepError> {
    match read(path) {
        Ok(None) => return Err(KeepError::NotOurs),
        Ok(Some(_)) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = write(&beside, lists).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    Ok(written?)
}

fn write(path: &Path, lists: &PublicLists) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(&serde_json::to_vec(lists)?)?;
    file.sync_all()
}
