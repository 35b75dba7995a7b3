//! On what file systems files lie.

use std::path::Path;

/// The file systems of other machines, as Linux calls them. Their locks are not those that SQLite
/// needs (source: SQLite's page "How To Corrupt An SQLite Database File", 2.1).
const REMOTE: [&str; 16] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "fuse.davfs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

/// The file system of another machine on which a file lies, or would; `None` for one of this machine,
/// and where nobody can tell.
pub(super) fn remote(file: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
    let kind = kind(&mounts, &folder)?;
    REMOTE.contains(&kind).then(|| kind.to_owned())
}

/// The kind of the file system that a folder lies on (source: proc_pid_mountinfo(5)): the one whose
/// mount point is nearest above it, and of several there the last.
fn kind<'m>(mounts: &'m str, folder: &Path) -> Option<&'m str> {
    let mounts = mounts.lines().filter_map(|line| {
        let (place, source) = line.split_once(" - ")?;
        let point = unescaped(place.split(' ').nth(4)?);
        Some((point, source.split(' ').next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    let nearest = above.max_by_key(|(point, _)| Path::new(point).components().count());
    nearest.map(|(_, kind)| kind)
}

/// A mount point, in which blanks and backslashes are written as `\040` and `\134`.
fn unescaped(point: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let mut plain = point.to_owned();
    for (escape, letter) in escapes {
        plain = plain.replace(escape, letter);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_point_tells_the_file_system() {
        let mounts = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      36 21 0:40 / /srv/team\\040files rw - nfs4 server:/export rw\n\
                      37 36 8:2 / /srv/team\\040files/local rw - ext4 /dev/sdb1 rw\n\
                      38 21 0:41 / /mnt rw - ext4 /dev/sdc1 rw\n\
                      39 38 0:42 / /mnt rw master:3 - fuse.sshfs me@there: rw\n";
        for (folder, expected) in [
            ("/", "ext4"),
            ("/srv", "ext4"),
            ("/srv/team files", "nfs4"),
            ("/srv/team files/books", "nfs4"),
            ("/srv/team files/local/books", "ext4"),
            ("/srv/team filesystem", "ext4"),
            ("/mnt/books", "fuse.sshfs"),
        ] {
            assert_eq!(kind(mounts, Path::new(folder)), Some(expected), "{folder}");
        }
        assert!(REMOTE.contains(&"nfs4") && !REMOTE.contains(&"ext4"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_mounts_of_this_machine_can_be_read() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert_eq!(kind(&mounts, Path::new("/proc")), Some("proc"));
        assert_eq!(remote(Path::new("/proc/store.db")), None);
    }
}
