//! The arithmetic of budgets, against a memory of everything that was really spent.

use std::collections::BTreeMap;

use fal_gateway::budget::books::{Lease, Report, Window};
use fal_gateway::budget::pocket::{Pocket, Waiting};
use fal_gateway::budget::{Amount, Period, Terms};
use jiff::Timestamp;
use proptest::prelude::*;

/// What may happen. Gateways and messages are chosen by a number, modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    /// A request that may cost so much comes to a gateway.
    Ask(usize, i64),
    /// One that runs ends, having cost so many percent of what it might have.
    End(usize, usize, i64),
    /// A gateway reports; what becomes of it.
    Beat(usize, Way),
    /// A report that was held up arrives after all.
    Arrive(usize),
    /// A gateway dies in the middle of everything; another takes its place.
    Crash(usize),
    /// The store takes a gateway for dead, rightly or not.
    Expire(usize),
    /// A gateway gives up what it holds.
    Empty(usize),
    /// The budget is changed.
    Allow(i64),
    /// An operator says that so much more was used, or less.
    Adjust(i64),
    /// The store forgets what it has done since it was last remembered.
    Forget,
    /// The store's state is what it may later fall back to.
    Remember,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Well,
    AnswerLost,
    Lost,
    HeldUp,
}

#[derive(Clone, Default)]
struct Store {
    window: Window,
    leases: BTreeMap<usize, Lease>,
    /// What operators have added, and what they have taken off.
    added: Amount,
    taken_off: Amount,
}

struct Gateway {
    id: usize,
    pocket: Pocket,
    running: Vec<Amount>,
    waiting: Waiting,
    liking: Amount,
}

struct World {
    store: Store,
    remembered: Store,
    gateways: Vec<Gateway>,
    held_up: Vec<(usize, Report)>,
    next_id: usize,
    really_spent: Amount,
    largest_limit: Amount,
    has_forgotten: bool,
}

impl World {
    fn new(limit: i64, gateways: usize) -> Self {
        let window = Window::new(Amount(limit));
        let store = Store {
            window,
            ..Store::default()
        };
        let mut world = Self {
            remembered: store.clone(),
            store,
            gateways: Vec::new(),
            held_up: Vec::new(),
            next_id: 0,
            really_spent: Amount::ZERO,
            largest_limit: Amount(limit),
            has_forgotten: false,
        };
        for _ in 0..gateways {
            let gateway = world.newcomer();
            world.gateways.push(gateway);
        }
        world
    }

    fn newcomer(&mut self) -> Gateway {
        self.next_id += 1;
        Gateway {
            id: self.next_id,
            pocket: Pocket::default(),
            running: Vec::new(),
            waiting: Waiting::default(),
            liking: Amount(20),
        }
    }

    fn step(&mut self, step: &Step, may_cost_more: bool) {
        let count = self.gateways.len();
        match step {
            Step::Ask(at, worst) => {
                let gateway = &mut self.gateways[at % count];
                let worst = Amount(*worst);
                match gateway.pocket.take(worst) {
                    true => gateway.running.push(worst),
                    false => {
                        let waiting = &mut gateway.waiting;
                        waiting.least = match waiting.sum.is_zero() {
                            true => worst,
                            false => waiting.least.min(worst),
                        };
                        waiting.sum += worst;
                    }
                }
            }
            Step::End(at, which, percent) => {
                let gateway = &mut self.gateways[at % count];
                if gateway.running.is_empty() {
                    return;
                }
                let taken = gateway.running.swap_remove(which % gateway.running.len());
                let percent = if may_cost_more {
                    *percent
                } else {
                    *percent % 101
                };
                let cost = Amount(taken.0 * percent / 100);
                gateway.pocket.settle(taken, cost);
                self.really_spent += cost;
            }
            Step::Beat(at, way) => self.beat(at % count, *way),
            Step::Arrive(which) => {
                if !self.held_up.is_empty() {
                    let (id, report) = self.held_up.swap_remove(which % self.held_up.len());
                    self.deliver(id, &report);
                }
            }
            Step::Crash(at) => {
                let newcomer = self.newcomer();
                let dead = std::mem::replace(&mut self.gateways[at % count], newcomer);
                self.really_spent += dead.running.into_iter().sum();
            }
            Step::Expire(at) => {
                let id = self.gateways[at % count].id;
                if let Some(lease) = self.store.leases.get_mut(&id) {
                    self.store.window.charge(lease);
                }
            }
            Step::Empty(at) => self.gateways[at % count].pocket.empty(),
            Step::Allow(limit) => {
                self.store.window.allow(Amount(*limit));
                self.largest_limit = self.largest_limit.max(Amount(*limit));
            }
            Step::Adjust(by) => match self.store.window.adjust(Amount(*by)) {
                added if added > Amount::ZERO => self.store.added += added,
                taken_off => self.store.taken_off += -taken_off,
            },
            Step::Remember => self.remembered = self.store.clone(),
            Step::Forget => {
                self.store = self.remembered.clone();
                self.has_forgotten = true;
            }
        }
    }

    fn beat(&mut self, at: usize, way: Way) {
        let gateway = &mut self.gateways[at];
        let waiting = std::mem::take(&mut gateway.waiting);
        let report = gateway.pocket.report(waiting, gateway.liking);
        let id = gateway.id;
        match way {
            Way::Lost => {}
            Way::HeldUp => self.held_up.push((id, report)),
            Way::AnswerLost => drop(self.deliver(id, &report)),
            Way::Well => {
                let answer = self.deliver(id, &report);
                self.gateways[at].pocket.hear(&answer);
            }
        }
    }

    fn deliver(&mut self, id: usize, report: &Report) -> fal_gateway::budget::books::Answer {
        let lease = self.store.leases.entry(id).or_default();
        let gateways = u32::try_from(self.gateways.len()).unwrap();
        self.store.window.report(lease, report, gateways)
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let window = &self.store.window;
        prop_assert!(window.used + window.leased <= window.limit, "{window:?}");
        prop_assert!(window.used >= Amount::ZERO && window.leased >= Amount::ZERO);
        let leases = self.store.leases.values();
        prop_assert!(leases.clone().all(|lease| lease.rest() >= Amount::ZERO));
        let live = leases.clone().filter(|lease| !lease.is_charged);
        prop_assert_eq!(window.leased, live.map(Lease::rest).sum());
        let spent: Amount = leases.clone().map(|lease| lease.spent).sum();
        let charged = leases.filter(|lease| lease.is_charged).map(Lease::rest);
        self.check_sum(spent + charged.sum())
    }

    /// The books say that so much is used, and what operators know better. What they took off of a
    /// lease that was charged, and whose gateway has spent less, counts for nothing.
    fn check_sum(&self, used: Amount) -> Result<(), TestCaseError> {
        let store = &self.store;
        let said = store.window.used + store.window.beyond;
        prop_assert!(said <= used + store.added, "{said:?} {used:?}");
        prop_assert!(
            said >= used + store.added - store.taken_off,
            "{said:?} {used:?}"
        );
        Ok(())
    }

    /// Everything that runs ends, and everybody who is alive is heard; the others are charged.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        self.held_up.clear();
        for at in 0..self.gateways.len() {
            while !self.gateways[at].running.is_empty() {
                self.step(&Step::End(at, 0, 100), false);
            }
            self.gateways[at].waiting = Waiting::default();
            self.gateways[at].liking = Amount::ZERO;
            self.gateways[at].pocket.empty();
            self.beat(at, Way::Well);
            self.gateways[at].pocket.empty();
            self.beat(at, Way::Well);
            self.check()?;
        }
        let live: Vec<usize> = self.gateways.iter().map(|gateway| gateway.id).collect();
        for (id, lease) in &mut self.store.leases {
            if !live.contains(id) {
                self.store.window.charge(lease);
            }
        }
        self.check()
    }
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        6 => Just(Way::Well),
        1 => Just(Way::AnswerLost),
        1 => Just(Way::Lost),
        1 => Just(Way::HeldUp),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let gateway = 0..4_usize;
    prop_oneof![
        8 => (gateway.clone(), 1..12_i64).prop_map(|(at, worst)| Step::Ask(at, worst)),
        6 => (gateway.clone(), 0..8_usize, 0..200_i64)
            .prop_map(|(at, which, percent)| Step::End(at, which, percent)),
        8 => (gateway.clone(), way()).prop_map(|(at, way)| Step::Beat(at, way)),
        1 => (0..8_usize).prop_map(Step::Arrive),
        1 => gateway.clone().prop_map(Step::Crash),
        2 => gateway.clone().prop_map(Step::Expire),
        1 => gateway.prop_map(Step::Empty),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => step(),
        1 => (1..200_i64).prop_map(Step::Allow),
        2 => (-60..60_i64).prop_map(Step::Adjust),
        1 => Just(Step::Remember),
        1 => Just(Step::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Whatever is lost, repeated or late, and whoever dies or is taken for dead: no more is spent
    /// than the budget allows, and in the end the books say what was spent, or more where somebody
    /// died who cannot be asked.
    #[test]
    fn no_more_is_spent_than_the_budget_allows(
        limit in 1..200_i64,
        gateways in 1..4_usize,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(limit, gateways);
        for step in &steps {
            world.step(step, false);
            world.check()?;
            prop_assert!(world.really_spent <= Amount(limit));
            prop_assert_eq!(world.store.window.beyond, Amount::ZERO);
        }
        world.settle()?;
        let used = world.store.window.used;
        prop_assert!(world.really_spent <= used && used <= Amount(limit));
        let has_crashed = steps.iter().any(|step| matches!(step, Step::Crash(_)));
        if !has_crashed {
            prop_assert_eq!(used, world.really_spent);
            prop_assert_eq!(world.store.window.leased, Amount::ZERO);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// The same where limits change, operators know better, calls cost more than was reckoned with, and
    /// the store forgets: what passes the limit is counted, and the books stay sound.
    #[test]
    fn what_passes_a_limit_is_counted_apart(
        limit in 1..200_i64,
        gateways in 1..4_usize,
        steps in proptest::collection::vec(any_step(), 1..60),
    ) {
        let mut world = World::new(limit, gateways);
        for step in &steps {
            world.step(step, true);
            world.check()?;
        }
        world.settle()?;
        let window = world.store.window;
        let has_crashed = steps.iter().any(|step| matches!(step, Step::Crash(_)));
        if !has_crashed && !world.has_forgotten {
            world.check_sum(world.really_spent)?;
        }
        if !has_crashed {
            let said = window.used + window.beyond + world.store.taken_off;
            prop_assert!(said >= world.really_spent + world.store.added);
        }
        prop_assert!(window.used <= world.largest_limit);
    }
}

/// Two hundred callers, a budget for seven, two gateways: seven come in, however much is drawn at a
/// time, and none is left over.
#[test]
fn a_budget_for_seven_serves_seven() {
    for worst in [1000_i64, 1] {
        let mut world = World::new(7 * worst, 2);
        let mut admitted = 0;
        for round in 0..200 {
            let at = round % 2;
            world.step(&Step::Ask(at, worst), false);
            if world.gateways[at].running.is_empty() {
                world.beat(at, Way::Well);
                world.step(&Step::Ask(at, worst), false);
            }
            if !world.gateways[at].running.is_empty() {
                admitted += 1;
                world.step(&Step::End(at, 0, 100), false);
            }
        }
        assert_eq!(admitted, 7);
        assert_eq!(world.really_spent, Amount(7 * worst));
    }
}

/// All moments of a window name the same one, and windows follow each other without a gap, on the
/// days of a change of daylight saving time too. So no clock, however wrong, begins a window twice.
#[test]
fn windows_follow_each_other() {
    let hour = jiff::SignedDuration::from_hours(1);
    for zone in [
        "UTC",
        "Europe/Amsterdam",
        "Asia/Tokyo",
        "America/Sao_Paulo",
        "Pacific/Apia",
    ] {
        for period in [Period::Day, Period::Week, Period::Month] {
            let terms: Terms = format!("1/{} {zone}", period.word()).parse().unwrap();
            let mut now: Timestamp = "2024-02-25T00:30:00Z".parse().unwrap();
            let until: Timestamp = "2025-04-05T00:00:00Z".parse().unwrap();
            let mut span = period.span(now, terms.zone.zone());
            while now < until {
                let next = period.span(now, terms.zone.zone());
                assert!(next.contains(now), "{zone} {now}");
                if next != span {
                    assert_eq!(span.end, Some(next.start), "{zone} {now}");
                    span = next;
                }
                now += hour;
            }
        }
    }
    let total = Period::Total.span(Timestamp::MAX, &jiff::tz::TimeZone::UTC);
    assert_eq!(
        total,
        Period::Total.span(Timestamp::MIN, &jiff::tz::TimeZone::UTC)
    );
    for extreme in [Timestamp::MIN, Timestamp::MAX] {
        let span = Period::Week.span(extreme, &jiff::tz::TimeZone::UTC);
        assert!(span.end.is_none_or(|end| span.start < end));
    }
}

/// The days of Amsterdam, by hand: 23 hours in March, 25 in October; a week begins on Monday.
#[test]
fn windows_are_those_of_the_zones_calendar() {
    for (text, now, start, end) in [
        (
            "1/day Europe/Amsterdam",
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        ),
        (
            "1/day Europe/Amsterdam",
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
        ),
        (
            "1/week",
            "2026-11-29T23:59:59Z",
            "2026-11-23T00:00:00Z",
            "2026-11-30T00:00:00Z",
        ),
        (
            "1/month Asia/Tokyo",
            "2026-11-30T15:00:00Z",
            "2026-11-30T15:00:00Z",
            "2026-12-31T15:00:00Z",
        ),
        (
            "1/month",
            "2028-02-29T00:00:00Z",
            "2028-02-01T00:00:00Z",
            "2028-03-01T00:00:00Z",
        ),
    ] {
        let terms: Terms = text.parse().unwrap();
        let span = terms.period.span(now.parse().unwrap(), terms.zone.zone());
        assert_eq!(span.start, start.parse().unwrap(), "{text} {now}");
        assert_eq!(span.end, Some(end.parse().unwrap()), "{text} {now}");
    }
}
