//! Whose files settings are read from: who may change them, and who may read what is secret in
//! them. Only systems with owners and modes can tell.

use std::fs::Metadata;
use std::path::Path;

/// Why a file that nobody named, found in the working directory, must not be read: somebody else
/// could have put it there, or could change it. Settings say where the fal key is sent.
pub(super) fn objection(file: &Metadata, folder: &Metadata) -> Option<&'static str> {
    let (file, folder) = (Rights::of(file)?, Rights::of(folder)?);
    let objections = [
        (file.is_foreign, "it belongs to another user"),
        (folder.is_foreign, "its folder belongs to another user"),
        (
            file.others_write,
            "every user of this machine can change it",
        ),
        (file.group_writes, "its group can change it"),
        (
            folder.others_write,
            "every user of this machine can put files into its folder",
        ),
        (
            folder.group_writes,
            "the folder's group can put files into it",
        ),
    ];
    let found = objections.into_iter().find(|(holds, _)| *holds);
    found.map(|(_, why)| why)
}

/// What lets somebody besides this process's user and root change a file, if anything does.
pub(super) fn changeable(path: &Path) -> Option<&'static str> {
    let rights = Rights::of(&path.metadata().ok()?)?;
    let ways = [
        (rights.is_foreign, "it belongs to another user"),
        (
            rights.others_write,
            "every user of this machine can change it",
        ),
        (rights.group_writes, "its group can change it"),
    ];
    let found = ways.into_iter().find(|(holds, _)| *holds);
    found.map(|(_, why)| why)
}

/// What the rights of a file that was read deserve to be said of, with the cure.
pub(super) fn exposures(path: &Path, holds_secret: bool) -> Vec<&'static str> {
    let Some(rights) = path.metadata().ok().and_then(|file| Rights::of(&file)) else {
        return Vec::new();
    };
    let exposures = [
        (
            rights.is_foreign,
            "belongs to another user, who can change it: take it over with `chown`.",
        ),
        (
            rights.others_write,
            "can be changed by every user of this machine: take the right away with `chmod o-w`.",
        ),
        (
            rights.group_writes,
            "can be changed by its group: take the right away with `chmod g-w`.",
        ),
        (
            holds_secret && rights.others_read,
            "can be read by every user of this machine: take the right away with `chmod o-r`.",
        ),
        (
            holds_secret && rights.group_reads,
            "can be read by its group: take the right away with `chmod g-r`.",
        ),
    ];
    let found = exposures.into_iter().filter(|(holds, _)| *holds);
    found.map(|(_, what)| what).collect()
}

/// Who may do what to a file or folder, besides this process's user and root.
struct Rights {
    is_foreign: bool,
    others_write: bool,
    others_read: bool,
    group_writes: bool,
    /// Unless the group is how the process itself may read it.
    group_reads: bool,
}

impl Rights {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
        let own = rustix::process::geteuid().as_raw();
        // Many systems give each user a group of the same number, with nobody else in it.
        let is_shared = group != owner;
        Some(Self {
            is_foreign: owner != own && owner != 0,
            others_write: mode & 0o002 != 0,
            others_read: mode & 0o004 != 0,
            group_writes: is_shared && mode & 0o020 != 0,
            group_reads: is_shared && owner == own && mode & 0o040 != 0,
        })
    }

    #[cfg(not(unix))]
    fn of(_metadata: &Metadata) -> Option<Self> {
        None
    }
}
