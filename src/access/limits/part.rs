//! This gateway's part of limits that several gateways share: what it holds of them, what it knows of
//! the others, and what the store is to be told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::deal::{Claim, Each, Told};
use super::fleet::{Fleet, Reach};
use super::{Kind, Left, State};

/// How long what is known of other gateways is taken for true.
const FRESH: Duration = Duration::from_secs(1);
/// How long a gateway keeps room that nobody asks for, and how long where others are short of it.
const KEPT: Duration = Duration::from_secs(120);
const KEPT_WHERE_SHORT: Duration = Duration::from_secs(2);
/// For how long others are short that were so when the store was asked.
pub(super) const SHORT: Duration = Duration::from_secs(3);
/// How long whoever is refused waits where other gateways are to make room.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// After which time is told what has not changed.
const RENEWAL: Duration = Duration::from_secs(20);

/// This gateway's part of one owner's limits.
#[derive(Debug, Default)]
pub(super) struct OwnPart {
    epoch: u64,
    pub(super) held: Each<u64>,
    /// What the store said last, and when.
    told: Option<(Duration, Told)>,
    /// What the store knows.
    pub(super) said: Option<Claim>,
    /// When a request came last.
    wanted_at: Duration,
    pub(super) short_until: Duration,
    /// Whether others were short when it was looked at last.
    pub(super) are_others_short: bool,
    /// What those who wait want, by a number that each has.
    pub(super) waiting: BTreeMap<u64, Each<u64>>,
    pub(super) last_waiter: u64,
    /// The last claim that came to an end, and the last that the store has answered.
    pub(super) ended: u64,
    answered: u64,
    pub(super) is_active: bool,
}

impl State {
    /// Keeps to what is known of the other gateways; how much this one may count on.
    pub(super) fn look(&mut self, fleet: Option<&Fleet>, now: Duration) -> Reach {
        let Some(fleet) = fleet else {
            return Reach::Alone;
        };
        let epoch = fleet.epoch();
        if self.own.epoch != epoch {
            self.own.epoch = epoch;
            self.own.held = Each::default();
        }
        self.own.are_others_short = self.own.short_until > now;
        if self.own.are_others_short {
            self.make_room(fleet.gateways(), now);
        }
        fleet.reach(now)
    }

    /// Others are short: gives up what is not taken and not waited for here, but for a little where it
    /// is asked for here too.
    fn make_room(&mut self, gateways: u64, now: Duration) {
        let used = self.used();
        let is_wanted = now.saturating_sub(self.own.wanted_at) < KEPT_WHERE_SHORT;
        let limits = self.limits;
        let held = self.own.held;
        let need = self.need();
        self.own.held = Each::of(|kind| {
            let used = used.get(kind);
            let spare = match kind {
                Kind::Requests | Kind::Tokens if is_wanted => {
                    let share = limits.of(kind).unwrap_or(0) / gateways;
                    share.min(used / 4 + 1)
                }
                _ => 0,
            };
            let most = used.saturating_add(spare.max(need.get(kind)));
            held.get(kind).min(most)
        });
    }

    /// Notes that a request comes. Whether the store is to be told of this owner from now on.
    pub(super) fn is_wanted(&mut self, now: Duration) -> bool {
        self.own.wanted_at = now;
        !std::mem::replace(&mut self.own.is_active, true)
    }

    /// How much may be taken of a limit here.
    pub(super) fn allowed(&self, kind: Kind, limit: u64, reach: Reach) -> u64 {
        let held = self.own.held.get(kind).min(limit);
        match reach {
            Reach::Alone => limit,
            Reach::Part => held,
            Reach::Absent => 0,
            Reach::Unsure { gateways } => held.max(limit / gateways),
            Reach::Share { gateways } => limit / gateways,
        }
    }

    /// Whether it is known well enough what other gateways have taken that somebody may be refused
    /// for it.
    pub(super) fn is_known(&self, now: Duration) -> bool {
        let told = self.own.told.as_ref();
        told.is_some_and(|(at, _)| now.saturating_sub(*at) < FRESH)
    }

    /// What other gateways have taken, as far as they have said.
    pub(super) fn elsewhere(&self, kind: Kind, reach: Reach) -> u64 {
        let told = self.own.told.as_ref().filter(|_| reach == Reach::Part);
        told.map_or(0, |(_, told)| told.others_used.get(kind))
    }

    /// When some of that is there again.
    pub(super) fn others_free(&self, kind: Kind, now: Duration, reach: Reach) -> Option<Duration> {
        let told = self.own.told.as_ref().filter(|_| reach == Reach::Part);
        let (at, told) = told?;
        let waits = told.others_used.get(kind) > 0 && kind != Kind::Concurrency;
        let free_at = at.saturating_add(millis(told.others_free_ms.get(kind)));
        waits.then(|| free_at.saturating_sub(now).max(SOON))
    }

    /// What is left of a limit for all gateways, as far as this one knows.
    pub(super) fn left_to_all(
        &self,
        kind: Kind,
        mut own: Left,
        now: Duration,
        reach: Reach,
    ) -> Left {
        if reach == Reach::Alone {
            return own;
        }
        let used = own.limit.saturating_sub(own.remaining);
        let allowed = match reach {
            Reach::Part | Reach::Absent => own.limit.saturating_sub(self.elsewhere(kind, reach)),
            _ => self.allowed(kind, own.limit, reach),
        };
        own.remaining = allowed.saturating_sub(used);
        if let Some((at, told)) = self.own.told.as_ref().filter(|_| reach == Reach::Part) {
            let clear_at = at.saturating_add(millis(told.others_clear_ms.get(kind)));
            own.reset = own.reset.max(clear_at.saturating_sub(now));
        }
        own
    }

    fn used(&self) -> Each<u64> {
        Each {
            requests: self.requests.sum,
            tokens: self.tokens.sum,
            concurrency: self.running,
        }
    }

    /// What would serve everybody who waits.
    fn need(&self) -> Each<u64> {
        Each::of(|kind| {
            let needs = self.own.waiting.values().map(|need| need.get(kind));
            needs.fold(0, u64::saturating_add)
        })
    }

    pub(super) fn is_waited_for(&self) -> bool {
        !self.own.waiting.is_empty()
    }

    /// Whether there is nothing more to say of it: it has and wants nothing, and the store knows.
    pub(super) fn is_over(&self) -> bool {
        let nothing = Each::default();
        let is_known = match &self.own.said {
            Some(said) => {
                let is_answered = self.own.answered >= said.number;
                is_answered && said.holds == nothing && said.used == nothing
            }
            None => true,
        };
        is_known
            && self.own.waiting.is_empty()
            && self.used() == nothing
            && self.own.held == nothing
    }

    /// What the store is to be told, if anything.
    pub(super) fn claim(&mut self, fleet: &Fleet, now: Duration, is_last: bool) -> Option<Claim> {
        self.requests.forget(now);
        self.tokens.forget(now);
        self.look(Some(fleet), now);
        let used = self.used();
        if is_last || now.saturating_sub(self.own.wanted_at) > KEPT {
            let held = self.own.held;
            self.own.held = Each::of(|kind| held.get(kind).min(used.get(kind)));
        }
        let waiting = self.own.waiting.values();
        let claim = Claim {
            number: 0,
            limits: self.limits,
            holds: self.own.held,
            used,
            need: self.need(),
            least: Each::of(|kind| {
                let needs = waiting.clone().map(|need| need.get(kind));
                needs.min().unwrap_or(0)
            }),
            frees_ms: Each {
                requests: in_millis(self.requests.frees(now)),
                tokens: in_millis(self.tokens.frees(now)),
                concurrency: 0,
            },
            clear_ms: Each {
                requests: in_millis(Some(self.requests.reset(now))),
                tokens: in_millis(Some(self.tokens.reset(now))),
                concurrency: 0,
            },
        };
        let is_news = match &self.own.said {
            None => true,
            Some(said) => {
                let is_told = said.used == claim.used
                    && said.holds == claim.holds
                    && said.limits == claim.limits;
                let is_answered = self.own.answered >= said.number;
                let told_at = self.own.told.map_or(Duration::ZERO, |(at, _)| at);
                let is_due = now.saturating_sub(told_at) > RENEWAL;
                !is_told || !is_answered || is_due || claim.need != Each::default()
            }
        };
        is_news.then(|| Claim {
            number: fleet.next_number(),
            ..claim
        })
    }
}

impl OwnPart {
    pub(super) fn hear(&mut self, claim: &Claim, told: Option<Told>, epoch: u64, asked: Duration) {
        self.ended = self.ended.max(claim.number);
        let Some(told) = told else { return };
        self.epoch = epoch;
        self.held = told.held;
        self.answered = self.answered.max(claim.number);
        self.said = Some(Claim {
            holds: told.held,
            ..*claim
        });
        self.told = Some((asked, told));
        if told.others_wait {
            self.short_until = asked.saturating_add(SHORT);
        }
    }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn in_millis(duration: Option<Duration>) -> i64 {
    i64::try_from(duration.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
