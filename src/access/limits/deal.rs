//! The store's side of limits that several gateways share: which part of them each of them holds.
//!
//! A gateway admits requests within its part and asks nobody, and all parts together are never more
//! than the limit. A part is lowered by the gateway that has it, before it says so, and raised by the
//! store alone; so at no moment do two gateways count on the same room. What is written here is pure:
//! rows and times are arguments.

use super::{Kind, RateLimits};

/// How long the part of a gateway counts that is not heard of any more, in milliseconds: until the
/// last request that it may have admitted is a minute old.
const MINUTE_MS: i64 = 75_000;
/// The same for the requests that it was running.
const RUNNING_MS: i64 = 20_000;
/// For how long other gateways are asked to make room.
const SHORT_MS: i64 = 3_000;

/// Something of each kind of limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Each<T> {
    pub requests: T,
    pub tokens: T,
    pub concurrency: T,
}

impl<T: Copy> Each<T> {
    /// What this gives for each kind.
    pub fn of(mut make: impl FnMut(Kind) -> T) -> Self {
        Self {
            requests: make(Kind::Requests),
            tokens: make(Kind::Tokens),
            concurrency: make(Kind::Concurrency),
        }
    }

    /// That of one kind.
    pub fn get(&self, kind: Kind) -> T {
        match kind {
            Kind::Requests => self.requests,
            Kind::Tokens => self.tokens,
            Kind::Concurrency => self.concurrency,
        }
    }
}

/// What a gateway says of the limits of one owner, and what it wants of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Counts what the gateway says, so that nothing that was held up on its way undoes what came
    /// after it.
    pub number: u64,
    pub limits: RateLimits,
    /// What it goes on holding.
    pub holds: Each<u64>,
    /// What it has taken in the last minute, or is running.
    pub used: Each<u64>,
    /// What would serve everybody who waits.
    pub need: Each<u64>,
    /// What would serve the first of them; less than this is of no use.
    pub least: Each<u64>,
    /// In how many milliseconds the first of what it has taken is there again.
    pub frees_ms: Each<i64>,
    /// In how many all of it is.
    pub clear_ms: Each<i64>,
}

/// The part of one gateway, as the store knows it. Times are on the store's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub number: u64,
    pub held: Each<u64>,
    pub used: Each<u64>,
    pub frees_at_ms: Each<i64>,
    pub clear_at_ms: Each<i64>,
    /// Until when it asks the others to make room.
    pub short_until_ms: i64,
}

/// The part of another gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Other {
    pub part: Part,
    /// How long ago it was heard.
    pub silent_ms: i64,
}

/// What a gateway is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What it holds from now on.
    pub held: Each<u64>,
    pub others_hold: Each<u64>,
    /// What the others have taken of that, as far as they have said.
    pub others_used: Each<u64>,
    /// In how many milliseconds the first of what they have taken is there again.
    pub others_free_ms: Each<i64>,
    /// In how many all of it is.
    pub others_clear_ms: Each<i64>,
    /// Another gateway is short of what this one may not need.
    pub others_wait: bool,
}

impl Part {
    /// Takes in what a gateway says, and gives it what it wants as far as there is room. `gateways`
    /// is how many there are, this one included. Something that was said before what is known changes
    /// nothing.
    pub fn hear(
        &mut self,
        claim: &Claim,
        others: &[Other],
        gateways: u32,
        now_ms: i64,
    ) -> Option<Told> {
        if claim.number <= self.number {
            return None;
        }
        let others_wait = others
            .iter()
            .any(|other| other.part.short_until_ms > now_ms);
        let others_hold = Each::of(|kind| {
            let parts = others.iter().map(|other| other.held(kind));
            parts.fold(0, u64::saturating_add)
        });
        let others_used = Each::of(|kind| {
            let parts = others.iter().map(|other| other.used(kind, now_ms));
            parts.fold(0, u64::saturating_add)
        });
        self.held = Each::of(|kind| {
            let free = others_hold.get(kind);
            claim.part(kind, free, gateways, others_wait)
        });
        let is_served = |kind| {
            let missing = self.held.get(kind).saturating_sub(claim.used.get(kind));
            claim.limits.of(kind).is_none() || missing >= claim.need.get(kind)
        };
        let is_short = !Kind::ALL.into_iter().all(is_served);
        self.short_until_ms = if is_short { now_ms + SHORT_MS } else { 0 };
        self.number = claim.number;
        self.used = claim.used;
        self.frees_at_ms = Each::of(|kind| now_ms.saturating_add(claim.frees_ms.get(kind)));
        self.clear_at_ms = Each::of(|kind| now_ms.saturating_add(claim.clear_ms.get(kind)));
        let those = |kind| {
            let uses = move |other: &&Other| other.used(kind, now_ms) > 0;
            others.iter().filter(uses)
        };
        Some(Told {
            held: self.held,
            others_hold,
            others_used,
            others_free_ms: Each::of(|kind| {
                let times = those(kind).map(|other| other.part.frees_at_ms.get(kind) - now_ms);
                times.min().unwrap_or(0).max(0)
            }),
            others_clear_ms: Each::of(|kind| {
                let times = those(kind).map(|other| other.part.clear_at_ms.get(kind) - now_ms);
                times.max().unwrap_or(0).max(0)
            }),
            others_wait,
        })
    }
}

impl Claim {
    /// What a gateway holds from now on, where others hold so much: what it had, as far as that is
    /// not theirs by now, and what it needs besides. Where nobody else is short it gets more than it
    /// needs, and at most half of what is free: a gateway that is killed takes what it holds along for
    /// a while.
    fn part(&self, kind: Kind, others_hold: u64, gateways: u32, others_wait: bool) -> u64 {
        let Some(limit) = self.limits.of(kind) else {
            return 0;
        };
        let free = limit.saturating_sub(others_hold);
        // Answers may have come to more tokens than were taken for them.
        let kept = self.holds.get(kind).max(self.used.get(kind)).min(free);
        let room = free - kept;
        let need = self.need.get(kind);
        let at_hand = kept.saturating_sub(self.used.get(kind));
        let missing = need.saturating_sub(at_hand);
        if missing == 0 {
            return kept;
        }
        let liking = match others_wait {
            true => 0,
            false => room.div_ceil(u64::from(gateways.max(2))),
        };
        let given = missing.max(liking).min(room);
        let is_of_use = at_hand.saturating_add(given) >= self.least.get(kind);
        kept + if is_of_use { given } else { 0 }
    }
}

impl Other {
    fn held(&self, kind: Kind) -> u64 {
        let counts_for = match kind {
            Kind::Requests | Kind::Tokens => MINUTE_MS,
            Kind::Concurrency => RUNNING_MS,
        };
        match self.silent_ms > counts_for {
            true => 0,
            // What it used without the store counts, even where it held less.
            false => self.part.held.get(kind).max(self.part.used.get(kind)),
        }
    }

    fn used(&self, kind: Kind, now_ms: i64) -> u64 {
        let is_over = kind != Kind::Concurrency && self.part.clear_at_ms.get(kind) <= now_ms;
        match is_over {
            true => 0,
            false => self.held(kind).min(self.part.used.get(kind)),
        }
    }
}
