//! The table of settings, and the macro in which its rows are written.
//!
//! A row becomes a struct field and a [`Setting`] at the same time; the doc
//! comment of the field is the meaning that the operator reads.

use std::sync::LazyLock;

use super::kinds::Kind;

/// One setting as the loader, `check` and the reference see it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Section and name: `server.listen`.
    pub key: &'static str,
    /// The default as an environment variable would spell it; empty for none.
    pub default: &'static str,
    /// What it does, with its unit.
    pub meaning: String,
    /// What it takes, to be read after "takes".
    pub takes: String,
    /// The same in a word or two, or the smallest and the largest value.
    pub takes_in_short: String,
    /// The command-line flag that sets it, if there is one.
    pub flag: Option<&'static str>,
    /// When a change of it in the file is taken up.
    pub reload: Reload,
    pub secrecy: Secrecy,
}

/// When a changed value is taken up by a gateway that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// By a reload, for the requests that begin after it.
    Live,
    /// When the process starts again; a reload names the setting and keeps the old value.
    Restart,
}

/// How much of a value may be shown in `check` and in problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// All of it.
    Open,
    /// All of it, unless it carries user information or a query.
    Address,
    /// The names before client keys, but neither hashes nor anything else: an
    /// operator may have put a plain key here by mistake.
    KeyHashes,
    /// Whether there is one.
    Secret,
}

/// A section of the file: one struct of settings that belong together.
#[derive(Clone, Debug)]
pub struct Section {
    pub name: &'static str,
    pub about: String,
    pub settings: Vec<Setting>,
}

impl Setting {
    pub(super) fn new(
        key: &'static str,
        meaning: &str,
        kind: &impl Kind,
        default: &'static str,
        flag: Option<&'static str>,
        reload: Reload,
    ) -> Self {
        Self {
            key,
            default,
            meaning: meaning.trim().to_owned(),
            takes: kind.takes(),
            takes_in_short: kind.short(),
            flag,
            reload,
            secrecy: kind.secrecy(),
        }
    }

    /// The environment variable: `FAL_GATEWAY__SERVER__LISTEN`.
    pub fn variable(&self) -> String {
        format!(
            "{VARIABLE_PREFIX}{}",
            self.key.to_uppercase().replace('.', "__")
        )
    }

    /// The name within its section: `listen`.
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }
}

/// Variables that begin like this are ours, and unknown ones are refused.
///
/// Two underscores, because Kubernetes sets `FAL_GATEWAY_PORT` and the like in
/// every container beside a service called `fal-gateway`.
pub(super) const VARIABLE_PREFIX: &str = "FAL_GATEWAY__";

/// All settings, in the order of the reference.
pub fn sections() -> &'static [Section] {
    static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
        vec![
            super::Server::section(),
            super::Fal::section(),
            super::Limits::section(),
            super::Auth::section(),
            super::Models::section(),
            super::Compat::section(),
            super::Fold::section(),
            super::Tools::section(),
            super::Usage::section(),
            super::Images::section(),
            super::Log::section(),
            super::Metrics::section(),
            super::Console::section(),
            super::Admin::section(),
            super::Store::section(),
            super::Responses::section(),
            super::Ledger::section(),
        ]
    });
    &SECTIONS
}

pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    sections().iter().flat_map(|section| &section.settings)
}

pub(super) fn find(key: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.key == key)
}

/// Writes one section: a struct whose fields are settings.
///
/// Each row reads `name: Type, kind, default "text", flag "--name", reload live;`
/// where the kind (see `kinds`) says how text becomes the type, the default is
/// spelled as in an environment variable and may be missing (none, empty), and
/// the flag is optional. The last word is `live` if every request reads the
/// setting out of its snapshot, and `restart` if anything keeps a copy.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident in $section:literal {
            $(
                $(#[doc = $meaning:literal])+
                $field:ident: $type:ty, $kind:expr $(, default $default:literal)? $(, flag $flag:literal)?, reload $reload:ident;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub struct $name {
            $(
                $(#[doc = $meaning])+
                $(#[doc = ""] #[doc = concat!("Default: `", $default, "`.")])?
                pub $field: $type,
            )+
        }

        impl $name {
            pub(super) fn section() -> $crate::config::Section {
                $crate::config::Section {
                    name: $section,
                    about: concat!($($about),+).trim().to_owned(),
                    settings: vec![$(
                        $crate::config::Setting::new(
                            concat!($section, ".", stringify!($field)),
                            concat!($($meaning),+),
                            &$kind,
                            concat!($($default)?),
                            None$(.or(Some($flag)))?,
                            $crate::config::settings::reload_word!($reload),
                        ),
                    )+],
                }
            }

            /// Reads every field before giving up, so that all problems are found.
            pub(super) fn read(reader: &mut $crate::config::reader::Reader) -> Option<Self> {
                $(let $field = reader.value(concat!($section, ".", stringify!($field)), &$kind);)+
                Some(Self { $($field: $field?,)+ })
            }

            /// Takes the running value of whatever needs a restart, and names what was to change.
            pub(super) fn keep(&mut self, running: &Self, kept: &mut Vec<&'static str>) {
                $($crate::config::settings::keep!(
                    $reload, self, running, kept, $field, concat!($section, ".", stringify!($field))
                );)+
                let _ = (running, kept);
            }
        }
    };
}
pub(super) use settings;

macro_rules! reload_word {
    (live) => {
        $crate::config::Reload::Live
    };
    (restart) => {
        $crate::config::Reload::Restart
    };
}
pub(super) use reload_word;

macro_rules! keep {
    (live, $($rest:tt)*) => {};
    (restart, $new:ident, $running:ident, $kept:ident, $field:ident, $key:expr) => {
        if $new.$field != $running.$field {
            $new.$field = $running.$field.clone();
            $kept.push($key);
        }
    };
}
pub(super) use keep;
