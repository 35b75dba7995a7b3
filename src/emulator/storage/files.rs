//! The files themselves, in memory, the last few of them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

/// Files kept; the oldest go first.
const MAX_FILES: usize = 256;
/// Bytes of all files together.
const MAX_BYTES: usize = 256 << 20;

/// The store, shared by all workers.
#[derive(Default)]
pub(in crate::emulator) struct Files(Mutex<VecDeque<File>>);

struct File {
    id: String,
    content_type: String,
    parts: BTreeMap<u32, Bytes>,
}

impl File {
    fn len(&self) -> usize {
        self.parts.values().map(Bytes::len).sum()
    }
}

impl Files {
    /// Makes room for a file and returns its path, `/files/ID/NAME`.
    pub(super) fn reserve(&self, name: &str, content_type: &str) -> String {
        let id = Uuid::new_v4().simple().to_string();
        let name: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .take(100)
            .collect();
        let path = format!("/files/{id}/{name}");
        self.files().push_back(File {
            id,
            content_type: content_type.to_owned(),
            parts: BTreeMap::new(),
        });
        self.make_room();
        path
    }

    /// Stores the whole file; false if it was never reserved.
    pub(super) fn write(&self, id: &str, bytes: Bytes) -> bool {
        self.write_part(id, 1, bytes)
    }

    /// Stores one part of it.
    pub(super) fn write_part(&self, id: &str, number: u32, bytes: Bytes) -> bool {
        let known = self.change(id, |file| {
            file.parts.insert(number, bytes);
        });
        self.make_room();
        known
    }

    /// Makes one of the parts.
    pub(super) fn join(&self, id: &str) -> bool {
        self.change(id, |file| {
            let mut whole = BytesMut::with_capacity(file.len());
            file.parts
                .values()
                .for_each(|part| whole.extend_from_slice(part));
            file.parts = BTreeMap::from([(1, whole.freeze())]);
        })
    }

    /// The type and bytes of a file that is there as a whole.
    pub(super) fn read(&self, id: &str) -> Option<(String, Bytes)> {
        let files = self.files();
        let file = files.iter().find(|file| file.id == id)?;
        let mut parts = file.parts.values();
        match (parts.next(), parts.next()) {
            (Some(whole), None) => Some((file.content_type.clone(), whole.clone())),
            _ => None,
        }
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut File)) -> bool {
        let mut files = self.files();
        files
            .iter_mut()
            .find(|file| file.id == id)
            .map(change)
            .is_some()
    }

    fn make_room(&self) {
        let mut files = self.files();
        while files.len() > MAX_FILES || files.iter().map(File::len).sum::<usize>() > MAX_BYTES {
            files.pop_front();
        }
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<File>> {
        // Nothing is left half-done while the lock is held, so a panic elsewhere does not matter.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
