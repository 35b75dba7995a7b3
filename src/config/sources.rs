//! Where settings come from, gathered before any of them is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

use super::egress::{BYPASS_VARIABLES, PROXY_VARIABLES};
use super::settings::VARIABLE_PREFIX;
use super::trust;

/// The file that is read when none is named, if it exists.
const DEFAULT_FILE: &str = "fal-gateway.toml";

/// Variables that are read although they lack our prefix.
pub(super) const PLAIN_VARIABLES: &[&str] = &[
    "FAL_KEY",
    "FAL_KEY_ID",
    "FAL_KEY_SECRET",
    "FAL_GATEWAY_KEYS",
    "PORT",
];

/// Everything settings are read from. Build one by hand to try settings out;
/// only [`Sources::from_process`] looks at the process it runs in.
#[derive(Clone, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<ConfigFile>,
    /// Environment variables by name; those that are not ours are skipped.
    pub env: BTreeMap<String, String>,
    /// What the command line says.
    pub flags: Vec<Override>,
}

/// A configuration file as it was found.
#[derive(Clone)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// Its text, or why it could not be read.
    pub contents: Result<String, String>,
    /// Whether it is read only because it lies in the working directory; nobody named it.
    pub by_chance: bool,
}

/// A setting given by a flag of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The flag as the table of settings names it: `--listen`.
    pub flag: &'static str,
    pub value: String,
}

impl Sources {
    /// The settings of this process: the named file, or `fal-gateway.toml` in
    /// the working directory if it exists, and the environment. A file that
    /// nobody named is read only if nobody else can have written it.
    pub fn from_process(file: Option<&Path>, flags: Vec<Override>) -> Self {
        let found = || {
            let path = Path::new(DEFAULT_FILE);
            path.symlink_metadata()
                .is_ok()
                .then(|| ConfigFile::read_found(path))
        };
        let env = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| is_ours(name))
            // Bytes that are not UTF-8 become U+FFFD, which no setting takes.
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
        Self {
            file: file.map(ConfigFile::read).or_else(found),
            env,
            flags,
        }
    }

    /// The same sources, with the file as it is now.
    #[must_use]
    pub fn again(&self) -> Self {
        let again = |file: &ConfigFile| match file.by_chance {
            true => ConfigFile::read_found(&file.path),
            false => ConfigFile::read(&file.path),
        };
        Self {
            file: self.file.as_ref().map(again),
            ..self.clone()
        }
    }

    /// Adds a file's text.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.file = Some(ConfigFile {
            path: path.into(),
            contents: Ok(text.into()),
            by_chance: false,
        });
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Adds a flag of the command line.
    #[must_use]
    pub fn with_flag(mut self, flag: &'static str, value: impl Into<String>) -> Self {
        self.flags.push(Override {
            flag,
            value: value.into(),
        });
        self
    }
}

impl ConfigFile {
    fn read(path: &Path) -> Self {
        let contents = fs::read(path)
            .map_err(|error| format!("the file cannot be read: {}", reason(path, &error)))
            .and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())
            });
        Self {
            path: path.to_owned(),
            contents,
            by_chance: false,
        }
    }

    /// Reads a file of the working directory that nobody named.
    fn read_found(path: &Path) -> Self {
        let objection = path
            .metadata()
            .and_then(|file| Ok(trust::objection(&file, &fs::metadata(".")?)));
        let contents = match objection {
            Ok(Some(why)) => Err(format!(
                "this file of the working directory is not read, because {why}; if you trust it, \
                 name it: `--config ./{}`",
                path.display()
            )),
            // One that cannot be looked at cannot be read either, which says why.
            Ok(None) | Err(_) => Self::read(path).contents,
        };
        Self {
            path: path.to_owned(),
            contents,
            by_chance: true,
        }
    }

    /// Its place in the file system, in full.
    pub fn full_path(&self) -> PathBuf {
        self.path
            .canonicalize()
            .unwrap_or_else(|_| self.path.clone())
    }
}

/// Says what is the matter in words; the system's text for a folder differs
/// between platforms and names neither.
pub(super) fn reason(path: &Path, error: &io::Error) -> String {
    if path.is_dir() {
        return "it is a folder".to_owned();
    }
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(VARIABLE_PREFIX)
        || PLAIN_VARIABLES.contains(&name)
        || PROXY_VARIABLES.contains(&name)
        || BYPASS_VARIABLES.contains(&name)
}

/// Shows names only: both the file and the environment hold secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("env", &self.env.keys())
            .field("flags", &self.flags)
            .finish()
    }
}

/// Shows the path only.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConfigFile").field(&self.path).finish()
    }
}
