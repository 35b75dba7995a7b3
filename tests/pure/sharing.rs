//! Limits that several gateways share: gateways as they are, and a store that does nothing but what it
//! is to decide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fal_gateway::access::limits::deal::{Claim, Other, Part, Told};
use fal_gateway::access::limits::{
    Exceeded, Hold, Limiter, Limiters, Owner, RateLimits, Tokens, admit,
};
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A store that gateways share, in memory.
#[derive(Default)]
struct Store {
    parts: BTreeMap<(String, usize), Part>,
    seen: BTreeMap<usize, Duration>,
}

impl Store {
    fn hear(&mut self, gateway: usize, owner: &str, claim: &Claim, now: Duration) -> Option<Told> {
        let now_ms = i64::try_from(now.as_millis()).unwrap();
        let silent = |at: &Duration| i64::try_from((now - *at).as_millis()).unwrap();
        let key = (owner.to_owned(), gateway);
        let mut part = self.parts.get(&key).copied().unwrap_or_default();
        let others = self
            .parts
            .iter()
            .filter(|((of, by), _)| of == owner && *by != gateway);
        let others = others.map(|((_, by), part)| Other {
            part: *part,
            silent_ms: silent(&self.seen[by]),
        });
        let others: Vec<Other> = others.collect();
        let told = part.hear(claim, &others, self.live(now), now_ms);
        self.parts.insert(key, part);
        told
    }

    fn live(&self, now: Duration) -> u32 {
        let live = self.seen.values().filter(|at| now - **at < secs(5));
        u32::try_from(live.count()).unwrap()
    }

    fn short(&self, gateway: usize, now: Duration) -> Vec<String> {
        let now_ms = i64::try_from(now.as_millis()).unwrap();
        let others = self.parts.iter().filter(|((_, by), _)| *by != gateway);
        let short = others.filter(|(_, part)| part.short_until_ms > now_ms);
        short.map(|((owner, _), _)| owner.clone()).collect()
    }
}

struct Gateway {
    number: usize,
    limiters: Limiters,
    one: [Arc<Limiter>; 1],
    is_cut: bool,
    running: Vec<Hold>,
}

impl Gateway {
    fn new(number: usize, limits: RateLimits) -> Self {
        let limiters = Limiters::shared(secs(2));
        let one = [limiters.set(Owner::Key("a".into()), limits)];
        Self {
            number,
            limiters,
            one,
            is_cut: false,
            running: Vec::new(),
        }
    }

    /// Tells the store, as the task does that keeps the parts.
    fn tell(&self, store: &mut Store, now: Duration) {
        let claims = self.limiters.claims(now, false);
        if self.is_cut {
            return self.limiters.hear(&claims, None, now);
        }
        store.seen.insert(self.number, now);
        let told = claims
            .iter()
            .map(|(limiter, claim)| store.hear(self.number, &limiter.owner.label(), claim, now));
        let told: Vec<Option<Told>> = told.collect();
        let answer = (told.as_slice(), store.live(now));
        self.limiters.hear(&claims, Some(answer), now);
        let short = store.short(self.number, now);
        self.limiters.others_wait(&short, now);
    }

    /// Asks; where others may have room, the store is told that a request waits.
    fn ask(&mut self, store: &mut Store, tokens: Tokens, now: Duration) -> Result<(), Exceeded> {
        let mut refused = match admit(&self.one, tokens, now).0 {
            Ok(hold) => return self.run(hold),
            Err(refused) => refused,
        };
        if refused.may_come {
            let waiter = self.limiters.wait_for(&self.one[0], tokens).unwrap();
            self.tell(store, now);
            let outcome = admit(&self.one, tokens, now).0;
            drop(waiter);
            refused = match outcome {
                Ok(hold) => return self.run(hold),
                Err(refused) => refused,
            };
        }
        Err(refused)
    }

    fn run(&mut self, hold: Hold) -> Result<(), Exceeded> {
        self.running.push(hold);
        Ok(())
    }
}

fn fleet(count: usize, limits: RateLimits) -> (Store, Vec<Gateway>) {
    let (mut store, mut gateways) = (Store::default(), Vec::new());
    for number in 0..count {
        gateways.push(Gateway::new(number, limits));
    }
    // Each knows of the others.
    for _ in 0..2 {
        beat(&mut store, &gateways, secs(1));
    }
    (store, gateways)
}

fn beat(store: &mut Store, gateways: &[Gateway], now: Duration) {
    for gateway in gateways {
        gateway.tell(store, now);
    }
}

fn requests(most: u64) -> RateLimits {
    RateLimits {
        requests_per_minute: Some(most),
        ..RateLimits::default()
    }
}

#[test]
fn a_crowd_at_all_gateways_gets_as_much_as_one_would_give() {
    for (count, most) in [(1, 7), (2, 7), (3, 100), (5, 3)] {
        let (mut store, mut gateways) = fleet(count, requests(most));
        let mut admitted = 0;
        for second in 2..10 {
            for at in 0..200 {
                let gateway = &mut gateways[at % count];
                let outcome = gateway.ask(&mut store, Tokens::default(), secs(second));
                admitted += u64::from(outcome.is_ok());
            }
            beat(&mut store, &gateways, secs(second));
        }
        assert_eq!(admitted, most, "{count} gateways");
    }
}

#[test]
fn whoever_asks_alone_gets_all_of_it_and_soon_what_others_leave() {
    let (mut store, mut gateways) = fleet(2, requests(60));
    let mut asks = |gateways: &mut [Gateway], who: usize, second: u64| {
        let mut admitted = 0;
        let mut told = 0;
        for _ in 0..70 {
            let number = gateways[who].limiters.said();
            let outcome = gateways[who].ask(&mut store, Tokens::default(), secs(second));
            admitted += u64::from(outcome.is_ok());
            told += gateways[who].limiters.said() - number;
        }
        beat(&mut store, gateways, secs(second));
        (admitted, told)
    };
    let (admitted, told) = asks(&mut gateways, 0, 2);
    assert_eq!(admitted, 60);
    assert!(told < 12, "the store is asked seldom: {told}");
    let refused = admit(&gateways[1].one, Tokens::default(), secs(2)).0;
    assert!(refused.unwrap_err().may_come, "nothing was heard of it yet");
    // A minute later it is the other one's.
    let mut all = 0;
    for second in 64..70 {
        all += asks(&mut gateways, 1, second).0;
    }
    assert_eq!(all, 60);
}

#[test]
fn who_is_refused_is_told_what_all_have_taken_and_when_there_is_room() {
    let (mut store, mut gateways) = fleet(2, requests(4));
    for _ in 0..4 {
        gateways[0]
            .ask(&mut store, Tokens::default(), secs(10))
            .unwrap();
    }
    beat(&mut store, &gateways, secs(11));
    let refused = gateways[1]
        .ask(&mut store, Tokens::default(), secs(12))
        .unwrap_err();
    assert!(!refused.may_come);
    assert_eq!((refused.limit, refused.used, refused.requested), (4, 4, 1));
    let wait = refused.wait.unwrap();
    assert!(wait > secs(55) && wait <= secs(60), "{wait:?}");
    let standing = gateways[1].one[0].standing(secs(12)).requests.unwrap();
    assert_eq!((standing.limit, standing.remaining), (4, 0));
    assert!(standing.reset > secs(55), "{:?}", standing.reset);
}

fn at_once(most: u64) -> RateLimits {
    RateLimits {
        concurrency: Some(most),
        ..RateLimits::default()
    }
}

/// One client after the other, and never two at once: each may come, and soon has its turn.
#[test]
fn a_client_that_goes_from_gateway_to_gateway_is_never_refused() {
    let (mut store, mut gateways) = fleet(2, at_once(1));
    let mut now = secs(2);
    for turn in 0..10 {
        let at = turn % 2;
        let mut waits = 0;
        while let Err(refused) = gateways[at].ask(&mut store, Tokens::default(), now) {
            assert!(refused.may_come, "turn {turn}");
            waits += 1;
            assert!(waits <= 2, "turn {turn}");
            now += Duration::from_millis(500);
            let gateway = &gateways[at];
            let waiter = gateway
                .limiters
                .wait_for(&gateway.one[0], Tokens::default());
            beat(&mut store, &gateways, now);
            drop(waiter);
        }
        gateways[at].running.clear();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

#[test]
fn the_store_is_told_at_once_of_a_place_that_others_wait_for() {
    let (mut store, mut gateways) = fleet(2, at_once(1));
    let [one, other] = &mut gateways[..] else {
        unreachable!()
    };
    one.ask(&mut store, Tokens::default(), secs(2)).unwrap();
    let refused = other.ask(&mut store, Tokens::default(), secs(3));
    assert!(refused.unwrap_err().may_come);
    one.tell(&mut store, secs(3));
    one.running.clear();
    let woken = async { tokio::time::timeout(secs(30), one.limiters.wanted()).await };
    runtime().block_on(woken).expect("it is told");
    one.tell(&mut store, secs(4));
    other.ask(&mut store, Tokens::default(), secs(4)).unwrap();
}

#[test]
fn who_waits_leaves_the_store_alone_in_between() {
    let (mut store, mut gateways) = fleet(2, at_once(1));
    gateways[1]
        .ask(&mut store, Tokens::default(), secs(2))
        .unwrap();
    let gateway = &gateways[0];
    let before = gateway.limiters.said();
    let began = std::time::Instant::now();
    let clock = || secs(2) + began.elapsed() * 4;
    runtime().block_on(async {
        let ask = || {
            gateway
                .limiters
                .admit(&gateway.one, Tokens::default(), clock)
        };
        let all = futures::future::join_all((0..5).map(|_| ask()));
        let tell = async {
            loop {
                gateway.limiters.wanted().await;
                gateway.tell(&mut store, clock());
            }
        };
        tokio::select! {
            _ = all => {}
            () = tell => {}
        }
    });
    let told = u128::from(gateway.limiters.said() - before);
    let most = began.elapsed().as_millis() / 300 + 2;
    assert!((1..=most).contains(&told), "{told}, at most {most}");
}

#[test]
fn one_word_to_the_store_asks_for_the_key_and_for_its_project() {
    let (mut store, gateways) = fleet(1, requests(9));
    let gateway = &gateways[0];
    let project = Owner::Project("p".into());
    let project = gateway.limiters.set(project, requests(9));
    let both = [Arc::clone(&gateway.one[0]), project];
    let before = gateway.limiters.said();
    runtime().block_on(async {
        let admitted = gateway.limiters.admit(&both, Tokens::default(), || secs(2));
        let tell = async {
            loop {
                gateway.limiters.wanted().await;
                gateway.tell(&mut store, secs(2));
            }
        };
        tokio::select! {
            (outcome, _) = admitted => drop(outcome.unwrap()),
            () = tell => {}
        }
    });
    assert_eq!(gateway.limiters.said() - before, 2);
}

#[test]
fn uneven_loads_get_what_each_of_them_needs() {
    let (mut store, mut gateways) = fleet(2, at_once(4));
    for second in 2..8 {
        gateways[1].running.clear();
        for (at, most) in [(1, 1), (0, 3)] {
            let gateway = &mut gateways[at];
            while gateway.running.len() < most
                && gateway
                    .ask(&mut store, Tokens::default(), secs(second))
                    .is_ok()
            {}
        }
        beat(&mut store, &gateways, secs(second));
    }
    assert_eq!([3, 1], [0, 1].map(|at: usize| gateways[at].running.len()));

    let (mut store, mut gateways) = fleet(2, requests(600));
    let mut waiting = [0; 2];
    for second in 2..58 {
        if second < 52 {
            waiting[0] += 11;
            waiting[1] += 1;
        }
        for (at, waiting) in waiting.iter_mut().enumerate() {
            let gateway = &mut gateways[at];
            while *waiting > 0
                && gateway
                    .ask(&mut store, Tokens::default(), secs(second))
                    .is_ok()
            {
                *waiting -= 1;
            }
        }
        beat(&mut store, &gateways, secs(second));
    }
    assert_eq!(waiting, [0, 0]);
}

#[test]
fn a_key_that_is_used_now_and_then_asks_nobody() {
    let (mut store, mut gateways) = fleet(2, requests(1000));
    gateways[0]
        .ask(&mut store, Tokens::default(), secs(2))
        .unwrap();
    for second in 3..90 {
        beat(&mut store, &gateways, secs(second));
    }
    let (outcome, _) = admit(&gateways[0].one, Tokens::default(), secs(90));
    assert!(outcome.is_ok());
}

#[test]
fn a_gateway_that_is_killed_leaves_room_for_its_successor() {
    let (mut store, mut gateways) = fleet(1, requests(100));
    for _ in 0..10 {
        gateways[0]
            .ask(&mut store, Tokens::default(), secs(2))
            .unwrap();
    }
    let mut next = Gateway::new(1, requests(100));
    let asks = (0..90).filter(|_| next.ask(&mut store, Tokens::default(), secs(8)).is_ok());
    assert!(asks.count() >= 40);
}

/// The store has not failed: whoever was stopped or suspended for a while does not know what others
/// were given meanwhile.
#[test]
fn a_gateway_that_stood_still_asks_before_it_admits() {
    let (mut store, mut gateways) = fleet(2, requests(6));
    gateways[0]
        .ask(&mut store, Tokens::default(), secs(2))
        .unwrap();
    beat(&mut store, &gateways, secs(2));
    for second in 3..85 {
        gateways[1].tell(&mut store, secs(second));
    }
    let all = (0..9).filter(|_| {
        let outcome = gateways[1].ask(&mut store, Tokens::default(), secs(85));
        outcome.is_ok()
    });
    assert_eq!(all.count(), 6);
    gateways[1].tell(&mut store, secs(85));
    let refused = admit(&gateways[0].one, Tokens::default(), secs(86)).0;
    assert!(refused.unwrap_err().may_come, "the store knows");
    let refused = gateways[0].ask(&mut store, Tokens::default(), secs(86));
    assert!(!refused.unwrap_err().may_come, "the store has told");
    // Once the other one is as far away, it gets what that had.
    gateways[0]
        .ask(&mut store, Tokens::default(), secs(170))
        .unwrap();
}

#[test]
fn a_lower_limit_holds_for_all_gateways_together() {
    let (mut store, mut gateways) = fleet(2, requests(100));
    for gateway in &mut gateways {
        gateway.ask(&mut store, Tokens::default(), secs(2)).unwrap();
    }
    beat(&mut store, &gateways, secs(3));
    for gateway in &gateways {
        gateway.limiters.set(Owner::Key("a".into()), requests(10));
    }
    beat(&mut store, &gateways, secs(4));
    let mut admitted = 2;
    for at in 0..40 {
        let outcome = gateways[at % 2].ask(&mut store, Tokens::default(), secs(4));
        admitted += u64::from(outcome.is_ok());
    }
    assert_eq!(admitted, 10);
}

#[test]
fn one_word_that_is_lost_loosens_nothing() {
    let (mut store, mut gateways) = fleet(2, requests(10));
    for _ in 0..10 {
        gateways[0]
            .ask(&mut store, Tokens::default(), secs(2))
            .unwrap();
    }
    let other = &mut gateways[1];
    other.is_cut = true;
    other.tell(&mut store, secs(2));
    for second in 2..4 {
        let refused = other.ask(&mut store, Tokens::default(), secs(second));
        let refused = refused.unwrap_err();
        assert!(refused.may_come);
        assert_eq!(refused.wait, Some(secs(1)));
    }
}

#[test]
fn without_the_store_a_large_request_is_served_now_and_then() {
    let limits = RateLimits {
        tokens_per_minute: Some(2000),
        ..RateLimits::default()
    };
    let (mut store, mut gateways) = fleet(2, limits);
    let large = Tokens {
        prompt: 24,
        expected: 1500,
    };
    for gateway in &mut gateways {
        gateway.is_cut = true;
        for second in 2..20 {
            gateway.tell(&mut store, secs(second));
        }
        gateway.ask(&mut store, large, secs(20)).unwrap();
        gateway.ask(&mut store, large, secs(20)).unwrap_err();
    }
}

#[test]
fn a_gateway_that_dies_gives_back_what_it_held() {
    let limits = RateLimits {
        concurrency: Some(3),
        ..requests(10)
    };
    let (mut store, mut gateways) = fleet(2, limits);
    for _ in 0..3 {
        gateways[0]
            .ask(&mut store, Tokens::default(), secs(2))
            .unwrap();
    }
    let dead = gateways.remove(0);
    let other = &mut gateways[0];
    let mut freed = None;
    for second in 3..120 {
        other.tell(&mut store, secs(second));
        if other
            .ask(&mut store, Tokens::default(), secs(second))
            .is_ok()
        {
            other.running.clear();
            freed.get_or_insert(second);
        }
    }
    assert!(freed.is_some_and(|second| second <= 30), "{freed:?}");
    assert_eq!(dead.running.len(), 3);
}

#[test]
fn without_the_store_each_takes_an_even_share() {
    let (mut store, mut gateways) = fleet(3, requests(30));
    for gateway in &mut gateways {
        gateway.is_cut = true;
    }
    beat(&mut store, &gateways, secs(2));
    let mut admitted = 0;
    for at in 0..300 {
        let gateway = &mut gateways[at % 3];
        let outcome = gateway.ask(&mut store, Tokens::default(), secs(20));
        admitted += u64::from(outcome.is_ok());
    }
    assert_eq!(admitted, 30);
}

/// Fifty gateways with ten thousand requests in a second, all of one key: the store is told by each of
/// them once in a second, and a few times more while they find their parts.
#[test]
fn a_large_fleet_asks_the_store_seldom() {
    const SECONDS: u64 = 10;
    let (mut store, mut gateways) = fleet(50, requests(800_000));
    let said = |gateways: &[Gateway]| -> u64 {
        gateways.iter().map(|gateway| gateway.limiters.said()).sum()
    };
    let before = said(&gateways);
    for second in 2..2 + SECONDS {
        for gateway in &mut gateways {
            for _ in 0..200 {
                gateway
                    .ask(&mut store, Tokens::default(), secs(second))
                    .unwrap();
                gateway.running.clear();
            }
        }
        beat(&mut store, &gateways, secs(second));
    }
    let each = (said(&gateways) - before) / 50;
    assert!(each <= SECONDS + 3, "{each} in {SECONDS} s");
}

#[derive(Clone, Debug)]
enum Step {
    /// So many milliseconds pass, and each gateway tells the store in each second.
    Pass(u64),
    /// A request at a gateway, with so many tokens.
    Ask(usize, u64),
    /// A request ends there.
    End(usize),
    /// A gateway does not reach the store any more, or does again.
    Turn(usize),
}

fn step(with_faults: bool) -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_000_u64).prop_map(Step::Pass),
        1 => (0..70_000_u64).prop_map(Step::Pass),
        20 => (0..4_usize, 0..60_u64).prop_map(|(at, tokens)| Step::Ask(at, tokens)),
        8 => (0..4_usize).prop_map(Step::End),
        u32::from(with_faults) * 2 => (0..4_usize).prop_map(Step::Turn),
    ]
}

/// What was admitted when, by how many tokens, and how many ran at once at most.
fn play(limits: RateLimits, steps: &[Step]) -> (Vec<(Duration, u64)>, usize) {
    let (mut store, mut gateways) = fleet(4, limits);
    let mut now = secs(2);
    let (mut admitted, mut most) = (Vec::new(), 0);
    for step in steps {
        match step {
            Step::Pass(millis) => {
                let until = now + Duration::from_millis(*millis);
                while now < until {
                    now = until.min(now + secs(1));
                    beat(&mut store, &gateways, now);
                }
            }
            Step::Ask(at, tokens) => {
                let tokens = Tokens {
                    prompt: *tokens,
                    expected: *tokens,
                };
                if gateways[*at].ask(&mut store, tokens, now).is_ok() {
                    admitted.push((now, tokens.prompt));
                }
            }
            Step::End(at) => {
                gateways[*at].running.pop();
            }
            Step::Turn(at) => gateways[*at].is_cut = !gateways[*at].is_cut,
        }
        most = most.max(gateways.iter().map(|gateway| gateway.running.len()).sum());
    }
    (admitted, most)
}

/// The most that any minute sees.
fn most_in_a_minute(admitted: &[(Duration, u64)]) -> u64 {
    let minutes = admitted.iter().enumerate().map(|(at, (begin, _))| {
        let within = admitted[at..]
            .iter()
            .take_while(|(time, _)| *time < *begin + MINUTE);
        within.count() as u64
    });
    minutes.max().unwrap_or(0)
}

proptest! {
    /// However requests come to gateways, no minute sees more of them than may come, all gateways
    /// together, nor do more run at once.
    #[test]
    fn all_gateways_together_keep_to_the_limit(
        most in 1..30_u64,
        at_once in 1..9_u64,
        most_tokens in 60..400_u64,
        steps in proptest::collection::vec(step(false), 1..250),
    ) {
        let limits = RateLimits {
            requests_per_minute: Some(most),
            tokens_per_minute: Some(most_tokens),
            concurrency: Some(at_once),
        };
        let (admitted, running) = play(limits, &steps);
        prop_assert!(running as u64 <= at_once);
        prop_assert!(most_in_a_minute(&admitted) <= most);
    }

    /// Where gateways lose the store and find it again, a minute sees at most an even share more for
    /// each of them, and one request where there are more gateways than requests.
    #[test]
    fn gateways_that_are_cut_off_go_little_beyond_it(
        most in 1..30_u64,
        steps in proptest::collection::vec(step(true), 1..250),
    ) {
        let (admitted, _) = play(requests(most), &steps);
        let share = (most / 4).max(1);
        prop_assert!(most_in_a_minute(&admitted) <= most + 4 * share);
    }
}
