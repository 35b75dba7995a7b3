//! The store's side: a budget's window, and what gateways hold of it.

use super::amount::Amount;

/// How much of a budget is spent in one window of time, and how much is in the hands of gateways.
/// `used + leased <= limit` always; a store says so in a constraint besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// What the budget allows.
    pub wanted: Amount,
    /// The same, unless it was lowered to less than is used and leased: then it follows as leases
    /// are spent or come back.
    pub limit: Amount,
    pub used: Amount,
    pub leased: Amount,
    /// What was spent although there was no room left; see [`crate::budget`].
    pub beyond: Amount,
}

/// At how many percent of a budget its operator is told, the highest first.
pub const ALERTS: [i64; 3] = [100, 80, 50];

/// What one gateway has drawn of a window, in totals since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    pub drawn: Amount,
    pub spent: Amount,
    pub returned: Amount,
    /// Whether it has expired, and its rest was charged.
    pub is_charged: bool,
}

/// What a gateway says of its lease, and what it wants. The totals are its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// As much as it has been told that it drew.
    pub drawn: Amount,
    pub spent: Amount,
    pub returned: Amount,
    /// What would serve everybody who waits.
    pub need: Amount,
    /// What would serve the first of them; less than this is of no use.
    pub least: Amount,
    /// What it would like to hold besides, so that the next ones need not wait.
    pub liking: Amount,
}

/// What a gateway is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// As much as it has drawn by now, all in all.
    pub drawn: Amount,
    /// What nobody holds and nobody has spent.
    pub room: Amount,
    /// What other gateways hold.
    pub others: Amount,
}

impl Lease {
    /// What is neither spent nor given back, as far as the store knows.
    pub fn rest(&self) -> Amount {
        self.drawn - self.spent - self.returned
    }
}

impl Window {
    /// The largest part of a budget that a gateway holds beyond what somebody waits for.
    const LARGEST_SHARE: i64 = 20;

    /// A window of which nothing is spent.
    pub fn new(limit: Amount) -> Self {
        Self {
            wanted: limit,
            limit,
            ..Self::default()
        }
    }

    /// What nobody holds and nobody has spent.
    pub fn room(&self) -> Amount {
        (self.wanted - self.used - self.leased).or_zero()
    }

    /// The highest of [`ALERTS`] that is used of a budget of so much; 0 below all of them.
    pub fn alert(&self, allowed: Amount) -> i64 {
        let used = i128::from((self.used + self.beyond).0) * 100;
        let is_reached = |percent: &i64| used >= i128::from(allowed.0) * i128::from(*percent);
        ALERTS.into_iter().find(is_reached).unwrap_or_default()
    }

    /// Has the budget allow another amount from now on. What is used stays used.
    pub fn allow(&mut self, limit: Amount) {
        self.wanted = limit;
        self.limit = limit.max(self.used + self.leased);
    }

    /// Counts so much more as used, or less where it is negative: what an operator knows better. More
    /// than there is room for counts as beyond it; what is given back is first of that. Gives what
    /// has changed, which is less where less was used.
    pub fn adjust(&mut self, by: Amount) -> Amount {
        if by > Amount::ZERO {
            let fitting = by.min(self.room());
            self.used += fitting;
            self.beyond += by - fitting;
            return by;
        }
        let back = -by;
        let from_beyond = back.min(self.beyond);
        let from_used = (back - from_beyond).min(self.used);
        self.beyond -= from_beyond;
        self.used -= from_used;
        self.limit = self.limit.min(self.wanted.max(self.used + self.leased));
        -(from_beyond + from_used)
    }

    /// Takes in what a gateway says, and gives it what it wants as far as there is room. `gateways`
    /// is how many there are, this one included.
    pub fn report(&mut self, lease: &mut Lease, report: &Report, gateways: u32) -> Answer {
        self.revive(lease);
        self.reclaim(lease, report.drawn);
        self.spend(lease, report.spent);
        self.take_back(lease, report.returned);
        self.draw(lease, report, gateways);
        self.limit = self.limit.min(self.wanted.max(self.used + self.leased));
        Answer {
            drawn: lease.drawn,
            room: self.room(),
            others: self.leased - lease.rest(),
        }
    }

    /// Charges the rest of a lease whose gateway is not heard of any more.
    pub fn charge(&mut self, lease: &mut Lease) {
        if !lease.is_charged {
            self.leased -= lease.rest();
            self.used += lease.rest();
            lease.is_charged = true;
        }
    }

    /// The gateway of a charged lease is there again. What an operator took off what was charged is
    /// as if the store had never given it.
    fn revive(&mut self, lease: &mut Lease) {
        if lease.is_charged {
            let still_charged = lease.rest().min(self.used);
            lease.drawn -= lease.rest() - still_charged;
            self.used -= still_charged;
            self.leased += still_charged;
            lease.is_charged = false;
        }
    }

    /// The store has forgotten some of what it gave, which happens where a standby takes over
    /// without the last writes. It gives it again, as far as there is room.
    fn reclaim(&mut self, lease: &mut Lease, drawn: Amount) {
        let forgotten = (drawn - lease.drawn).or_zero().min(self.room());
        lease.drawn += forgotten;
        self.leased += forgotten;
    }

    fn spend(&mut self, lease: &mut Lease, spent: Amount) {
        let more = (spent - lease.spent).or_zero();
        let covered = more.min(lease.rest());
        self.leased -= covered;
        self.used += covered;
        let uncovered = more - covered;
        let fitting = uncovered.min(self.room());
        self.used += fitting;
        self.beyond += uncovered - fitting;
        lease.drawn += uncovered;
        lease.spent += more;
    }

    fn take_back(&mut self, lease: &mut Lease, returned: Amount) {
        let more = (returned - lease.returned).or_zero();
        let known = more.min(lease.rest());
        self.leased -= known;
        lease.drawn += more - known;
        lease.returned += more;
    }

    /// Gives as much as is needed, or as much as is liked where that is more and there is plenty.
    /// What was given before without the gateway having heard of it counts.
    fn draw(&mut self, lease: &mut Lease, report: &Report, gateways: u32) {
        let room = self.room();
        let fair = Amount(room.0 / i64::from(gateways.max(1)).saturating_mul(2));
        let share = Amount(self.wanted.0 / Self::LARGEST_SHARE);
        let wish = report.need.max(report.liking.min(share).min(fair));
        let missing = (report.drawn + wish - lease.drawn).or_zero();
        let given = missing.min(room);
        let is_of_use = given >= report.least.min(missing);
        if is_of_use {
            lease.drawn += given;
            self.leased += given;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(drawn: i64, spent: i64, returned: i64, need: i64) -> Report {
        Report {
            drawn: Amount(drawn),
            spent: Amount(spent),
            returned: Amount(returned),
            need: Amount(need),
            least: Amount(1),
            liking: Amount(0),
        }
    }

    #[test]
    fn the_last_units_are_drawn_one_by_one_and_many_are_drawn_at_once() {
        let liking = |need: i64| Report {
            liking: Amount(1000),
            ..report(0, 0, 0, need)
        };
        let mut few = Window::new(Amount(7));
        let answer = few.report(&mut Lease::default(), &liking(1), 2);
        assert_eq!((answer.drawn, answer.room), (Amount(1), Amount(6)));
        let mut many = Window::new(Amount(1_000_000));
        let answer = many.report(&mut Lease::default(), &liking(1), 2);
        assert_eq!(answer.drawn, Amount(1000));
    }

    #[test]
    fn a_report_that_comes_twice_changes_nothing() {
        let mut window = Window::new(Amount(100));
        let mut lease = Lease::default();
        for said in [
            report(0, 0, 0, 10),
            report(10, 4, 0, 0),
            report(10, 4, 6, 0),
        ] {
            let first = window.report(&mut lease, &said, 1);
            let before = (window, lease);
            assert_eq!(window.report(&mut lease, &said, 1), first);
            assert_eq!((window, lease), before);
        }
        // An older one that was held up on its way.
        let before = window;
        window.report(&mut lease, &report(10, 2, 0, 0), 1);
        assert_eq!(window, before);
        assert_eq!((window.used, window.leased), (Amount(4), Amount(0)));
    }

    #[test]
    fn an_expired_lease_is_charged_and_its_gateway_goes_on_with_it() {
        let mut window = Window::new(Amount(10));
        let mut lease = Lease::default();
        window.report(&mut lease, &report(0, 0, 0, 8), 2);
        window.charge(&mut lease);
        window.charge(&mut lease);
        assert_eq!((window.used, window.leased), (Amount(8), Amount(0)));
        let other = window.report(&mut Lease::default(), &report(0, 0, 0, 3), 2);
        assert_eq!(other.drawn, Amount(2));
        let answer = window.report(&mut lease, &report(8, 5, 3, 0), 2);
        assert_eq!(answer.room, Amount(3));
        assert_eq!((window.used, window.leased), (Amount(5), Amount(2)));
    }

    #[test]
    fn an_expired_lease_that_an_operator_took_off_is_given_again_as_far_as_there_is_room() {
        for (taken_by_others, drawn) in [(0, 8), (7, 3), (10, 0)] {
            let mut window = Window::new(Amount(10));
            let mut lease = Lease::default();
            window.report(&mut lease, &report(0, 0, 0, 8), 2);
            window.charge(&mut lease);
            assert_eq!(window.adjust(Amount(-8)), Amount(-8));
            window.report(&mut Lease::default(), &report(0, 0, 0, taken_by_others), 2);
            let answer = window.report(&mut lease, &report(8, 0, 0, 0), 2);
            assert_eq!(answer.drawn, Amount(drawn));
            let leased = Amount(taken_by_others + drawn);
            assert_eq!((window.used, window.leased), (Amount(0), leased));
        }
    }

    #[test]
    fn a_lowered_limit_follows_what_is_out() {
        let mut window = Window::new(Amount(10));
        let mut lease = Lease::default();
        window.report(&mut lease, &report(0, 0, 0, 8), 1);
        window.allow(Amount(5));
        assert_eq!((window.limit, window.room()), (Amount(8), Amount(0)));
        window.report(&mut lease, &report(8, 1, 6, 0), 1);
        assert_eq!((window.limit, window.room()), (Amount(5), Amount(3)));
        window.allow(Amount(20));
        assert_eq!((window.limit, window.used), (Amount(20), Amount(1)));
    }

    #[test]
    fn what_a_store_has_forgotten_is_given_again_as_far_as_there_is_room() {
        let mut window = Window::new(Amount(10));
        let mut lease = Lease::default();
        let answer = window.report(&mut lease, &report(6, 1, 0, 0), 1);
        assert_eq!((answer.drawn, answer.room), (Amount(6), Amount(4)));
        let answer = window.report(&mut Lease::default(), &report(9, 9, 0, 0), 1);
        assert_eq!((answer.drawn, window.beyond), (Amount(9), Amount(5)));
        assert!(window.used + window.leased <= window.limit);
    }

    #[test]
    fn what_an_operator_knows_better_stays_within_the_limit() {
        let mut window = Window::new(Amount(10));
        let mut lease = Lease::default();
        window.report(&mut lease, &report(0, 0, 0, 4), 1);
        assert_eq!(window.adjust(Amount(9)), Amount(9));
        let sums = |window: &Window| (window.used.0, window.leased.0, window.beyond.0);
        assert_eq!(sums(&window), (6, 4, 3));
        assert_eq!(window.adjust(Amount(-5)), Amount(-5));
        assert_eq!(sums(&window), (4, 4, 0));
        assert_eq!(window.adjust(Amount(-50)), Amount(-4));
        assert_eq!(sums(&window), (0, 4, 0));
        assert_eq!(window.room(), Amount(6));
        window.allow(Amount(2));
        assert_eq!(window.adjust(Amount(1)), Amount(1));
        assert_eq!((window.limit, window.beyond), (Amount(4), Amount(1)));
    }

    #[test]
    fn an_alert_is_the_highest_that_is_reached() {
        for (used, beyond, alert) in [
            (0, 0, 0),
            (499, 0, 0),
            (500, 0, 50),
            (799, 0, 50),
            (800, 0, 80),
            (999, 0, 80),
            (999, 1, 100),
            (1000, 0, 100),
            (1000, i64::MAX, 100),
        ] {
            let window = Window {
                used: Amount(used),
                beyond: Amount(beyond),
                ..Window::new(Amount::MAX_LIMIT)
            };
            assert_eq!(window.alert(Amount(1000)), alert, "{used} {beyond}");
        }
        assert_eq!(Window::new(Amount(1)).alert(Amount::MAX_LIMIT), 0);
    }

    #[test]
    fn less_than_is_of_use_is_not_given() {
        let mut window = Window::new(Amount(7));
        let wants = Report {
            least: Amount(10),
            ..report(0, 0, 0, 10)
        };
        let answer = window.report(&mut Lease::default(), &wants, 1);
        assert_eq!((answer.drawn, answer.room), (Amount(0), Amount(7)));
    }
}
