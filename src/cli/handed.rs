//! A secret on its way to whoever makes it: into a file, or alone on standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::accounts::Failure;
use super::args::SecretArgs;
use super::terminal::tell;
use crate::store::StoreError;

/// A secret that is handed over once the store knows it.
pub(super) struct Handed {
    plain: SecretString,
    /// The file that it is in already, so that it cannot be lost any more.
    file: Option<PathBuf>,
}

impl Handed {
    /// Writes a secret into the file that is asked for, which only its owner may read and which was not
    /// there before.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn new(args: &SecretArgs, plain: SecretString) -> Result<Self, Failure> {
        let file = args.output.clone();
        let handed = Self { plain, file };
        if let Some(path) = &handed.file {
            let mut file = open(path).map_err(|error| refused(path, &error))?;
            let text = handed.plain.expose_secret();
            let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
            if let Err(error) = written {
                let _ = std::fs::remove_file(path);
                return Err(refused(path, &error));
            }
        }
        Ok(handed)
    }

    /// Hands it over if the store has taken it. A file with a secret that opens nothing goes; one whose
    /// secret may open something stays.
    ///
    /// # Errors
    /// What the store says, and those of writing.
    pub(super) fn over<T>(
        self,
        done: Result<T, Failure>,
        out: &mut impl Write,
    ) -> Result<T, Failure> {
        match (&done, &self.file) {
            (Ok(_), None) => writeln!(out, "{}", self.plain.expose_secret())?,
            (Ok(_), Some(_)) | (Err(_), None) => {}
            (Err(Failure::Store(StoreError::Busy | StoreError::Gone(_))), Some(path)) => {
                tell(format_args!(
                    "the store has not confirmed the change, which may have been made all the same: \
                     the secret is in {}; look with `fal-gateway keys show`",
                    path.display()
                ));
            }
            (Err(_), Some(path)) => std::fs::remove_file(path)?,
        }
        done
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused(format!("{}: {error}", path.display()))
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
