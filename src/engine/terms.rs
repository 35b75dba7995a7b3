//! What came of tools and schemas that were seen before.
//!
//! Terms depend on the bytes that they are of and on nothing else ([`Source`]), and nothing changes
//! them once they are made. They are kept for each caller apart all the same, so that nobody learns
//! from the time that an answer takes what others have sent; and no caller can fill all the room.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use crate::translate::ask::Ask;
use crate::translate::body::{KnownTools, Shortened};
use crate::translate::rejection::Rejection;
use crate::translate::terms::{Source, Terms};
use crate::upstream::FalKeyPrint;

/// How many terms are kept, and the bytes that all of them take.
const MAX_KEPT: usize = 128;
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// A caller's share of either.
const MAX_SHARE: usize = 4;

/// Bodies that are shorter, in bytes, are read in less time than it takes to look.
const WORTH_SHORTENING: usize = 4 * 1024;

/// For whom terms are kept: the fal key that pays, and the name of the client key, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TermsOwner {
    pub fal_key: FalKeyPrint,
    pub client: Option<String>,
}

/// The terms that were used last.
#[derive(Debug, Default)]
pub struct KnownTerms {
    /// The seed is the process's own, so that nobody can bring texts whose hashes meet.
    hashes: RandomState,
    /// The one that was used last comes last.
    kept: Mutex<VecDeque<Arc<Kept>>>,
}

#[derive(Debug)]
struct Kept {
    /// A hash of the owner and of the lengths of all texts.
    lengths: u64,
    owner: TermsOwner,
    source: Source,
    terms: Arc<Terms>,
    /// The list that the tools came in.
    tools: Option<Arc<KnownTools>>,
    bytes: usize,
}

impl KnownTerms {
    /// A request's body without the tools in it, where the same caller has sent the same list before.
    pub fn shorten(&self, body: &[u8], owner: impl FnOnce() -> TermsOwner) -> Option<Shortened> {
        if body.len() < WORTH_SHORTENING {
            return None;
        }
        let owner = owner();
        let known: Vec<_> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let own = kept.iter().rev().filter(|known| known.owner == owner);
            own.filter_map(|known| known.tools.clone()).collect()
        };
        // To compare them takes too long to do under the lock.
        Shortened::of(body, &known)
    }

    /// The terms of a request, made or found again; `None` where it has neither tools nor a schema.
    ///
    /// # Errors
    /// Like those of [`Terms::of`].
    pub fn of(&self, ask: &Ask<'_>, owner: &TermsOwner) -> Result<Option<Arc<Terms>>, Rejection> {
        let Some(lengths) = Source::lengths(ask) else {
            return Ok(None);
        };
        let lengths = self.hashes.hash_one((owner, lengths));
        if let Some(known) = self.find(lengths, owner, ask) {
            self.use_again(&known);
            return Ok(Some(Arc::clone(&known.terms)));
        }
        let terms = Arc::new(Terms::of(ask)?);
        // Another request may have made the same meanwhile.
        if let Some(source) = Source::of(ask)
            && self.find(lengths, owner, ask).is_none()
        {
            let tools = ask.sent_tools.map(KnownTools::of);
            let memory = tools.as_ref().map_or(0, |tools| tools.memory());
            self.keep(Kept {
                lengths,
                owner: owner.clone(),
                bytes: terms.memory(&source).saturating_add(memory),
                source,
                terms: Arc::clone(&terms),
                tools,
            });
        }
        Ok(Some(terms))
    }

    /// What is kept of the same texts for the same caller.
    fn find(&self, lengths: u64, owner: &TermsOwner, ask: &Ask<'_>) -> Option<Arc<Kept>> {
        // To compare them takes too long to do under the lock.
        let mut alike = self.alike(lengths).into_iter();
        alike.find(|known| known.owner == *owner && known.source.is_of(ask))
    }

    /// What is kept of texts that have these lengths, the one that was used last first: no more than
    /// a caller's share, since the caller is in the hash.
    fn alike(&self, lengths: u64) -> Vec<Arc<Kept>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = kept.iter().rev().filter(|known| known.lengths == lengths);
        alike.cloned().collect()
    }

    /// Makes what is kept the one that was used last.
    fn use_again(&self, used: &Arc<Kept>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|known| Arc::ptr_eq(known, used));
        if let Some(known) = at.and_then(|at| kept.remove(at)) {
            kept.push_back(known);
        }
    }

    /// Keeps terms, in the place of the caller's oldest where his share is used up, or else of the
    /// oldest of all.
    fn keep(&self, new: Kept) {
        if new.bytes > MAX_BYTES / MAX_SHARE {
            return;
        }
        let mut gone = Vec::new();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Another request may have kept the same since that was looked up.
        let is_same = |known: &Arc<Kept>| {
            (known.lengths, &known.owner, &known.source) == (new.lengths, &new.owner, &new.source)
        };
        if kept.iter().any(is_same) {
            return;
        }
        let is_own = |known: &Arc<Kept>| known.owner == new.owner;
        while !fits(kept.iter().filter(|known| is_own(known)), &new, MAX_SHARE) {
            let oldest = kept.iter().position(is_own);
            gone.extend(oldest.and_then(|at| kept.remove(at)));
        }
        while !fits(kept.iter(), &new, 1) {
            gone.extend(kept.pop_front());
        }
        kept.push_back(Arc::new(new));
        drop(kept);
        // Terms are large: they are taken apart outside the lock.
        drop(gone);
    }
}

/// Whether there is room for another one beside these in such a share of all the room.
fn fits<'k>(kept: impl Iterator<Item = &'k Arc<Kept>>, new: &Kept, share: usize) -> bool {
    let (count, bytes) = kept.fold((1, new.bytes), |(count, bytes), known| {
        (count + 1, bytes + known.bytes)
    });
    count <= MAX_KEPT / share && bytes <= MAX_BYTES / share
}
