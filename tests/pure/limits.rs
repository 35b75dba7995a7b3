//! The limits of keys and projects, against a plain memory of everything that was admitted.

use std::sync::Arc;
use std::time::Duration;

use fal_gateway::access::limits::{
    Exceeded, Hold, Kind, Limiter, Limiters, Owner, RateLimits, Tokens, admit,
};
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

fn limiter(limiters: &Limiters, name: &str, limits: RateLimits) -> Arc<Limiter> {
    limiters.set(Owner::Key(name.into()), limits)
}

fn requests(most: u64) -> RateLimits {
    RateLimits {
        requests_per_minute: Some(most),
        ..RateLimits::default()
    }
}

fn tokens(prompt: u64, expected: u64) -> Tokens {
    Tokens { prompt, expected }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn try_one(limiters: &[Arc<Limiter>], now: Duration) -> Result<Hold, Exceeded> {
    admit(limiters, Tokens::default(), now).0
}

#[test]
fn exactly_as_many_as_allowed_come_in_and_the_rest_is_told_when() {
    let all = Limiters::default();
    let one = [limiter(&all, "a", requests(3))];
    let now = Duration::from_millis(10_250);
    for left in [2, 1, 0] {
        let (outcome, levels) = admit(&one, Tokens::default(), now);
        drop(outcome.unwrap());
        let requests = levels.requests.unwrap();
        assert_eq!((requests.limit, requests.remaining), (3, left));
        assert_eq!(levels.tokens, None);
    }
    let refused = try_one(&one, now).unwrap_err();
    assert_eq!((refused.kind, refused.used), (Kind::Requests, 3));
    let wait = refused.wait.unwrap();
    assert!(try_one(&one, now + wait - Duration::from_millis(1)).is_err());
    assert!(try_one(&one, now + wait).is_ok());
}

#[test]
fn tokens_are_settled_by_what_a_request_came_to() {
    let all = Limiters::default();
    let limits = RateLimits {
        tokens_per_minute: Some(1000),
        ..RateLimits::default()
    };
    let one = [limiter(&all, "a", limits)];
    let left = |now| {
        admit(&one, Tokens::default(), now)
            .1
            .tokens
            .unwrap()
            .remaining
    };
    let hold = admit(&one, tokens(100, 600), secs(1)).0.unwrap();
    assert_eq!(left(secs(1)), 400);
    hold.settle(150, secs(2));
    assert_eq!(left(secs(2)), 850);
    // More than was reckoned with: all of it counts, from when it is known.
    let hold = admit(&one, tokens(100, 200), secs(3)).0.unwrap();
    hold.settle(900, secs(90));
    assert_eq!(left(secs(90)), 300);
    // Nothing was sent.
    let hold = admit(&one, tokens(100, 300), secs(91)).0.unwrap();
    drop(hold);
    assert_eq!(left(secs(91)), 300);
    // A guess is cut to the limit, and a prompt is none.
    drop(admit(&one, tokens(10, 9000), secs(300)).0.unwrap());
    let never = admit(&one, tokens(1001, 1001), secs(300)).0.unwrap_err();
    assert_eq!((never.kind, never.wait), (Kind::Tokens, None));
}

#[test]
fn what_one_limit_refuses_takes_nothing_from_the_others() {
    let all = Limiters::default();
    let narrow = RateLimits {
        concurrency: Some(1),
        ..requests(100)
    };
    let key = limiter(&all, "key", requests(5));
    let both = [
        Arc::clone(&key),
        all.set(Owner::Project("p".into()), narrow),
    ];
    let hold = try_one(&both, secs(1)).unwrap();
    for _ in 0..20 {
        let refused = try_one(&both, secs(1)).unwrap_err();
        assert_eq!(refused.kind, Kind::Concurrency);
        assert_eq!(refused.owner, Owner::Project("p".into()));
    }
    drop(hold);
    for _ in 0..4 {
        drop(try_one(&both, secs(1)).unwrap());
    }
    assert_eq!(try_one(&both, secs(1)).unwrap_err().kind, Kind::Requests);
}

#[test]
fn a_reload_changes_the_limit_and_forgets_nothing() {
    let all = Limiters::default();
    let before = [limiter(&all, "a", requests(5))];
    for _ in 0..5 {
        drop(try_one(&before, secs(1)).unwrap());
    }
    let after = [limiter(&all, "a", requests(6))];
    all.prune();
    drop(try_one(&after, secs(2)).unwrap());
    assert!(try_one(&before, secs(2)).is_err(), "it is the same limiter");
    limiter(&all, "a", requests(2));
    assert!(try_one(&after, secs(30)).is_err());
    assert!(try_one(&after, secs(120)).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    /// So many milliseconds pass.
    Pass(u64),
    /// A request with so many tokens in its prompt and expected.
    Ask(u64, u64),
    /// One that runs ends with so many tokens; or, without, before anything was sent.
    End(usize, Option<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20_000_u64).prop_map(Step::Pass),
        (0..60_u64, 0..120_u64).prop_map(|(prompt, more)| Step::Ask(prompt, prompt + more)),
        (0..8_usize, proptest::option::of(0..300_u64))
            .prop_map(|(at, tokens)| Step::End(at, tokens)),
    ]
}

proptest! {
    /// In no minute, wherever it begins, more requests come in than may; nor do more run at once.
    /// Whoever was told to wait comes in after it, if nobody else does.
    #[test]
    fn no_minute_sees_more_than_the_limit(
        most in 1..12_u64,
        at_once in 1..5_u64,
        most_tokens in 50..400_u64,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let all = Limiters::default();
        let limits = RateLimits {
            requests_per_minute: Some(most),
            tokens_per_minute: Some(most_tokens),
            concurrency: Some(at_once),
        };
        let one = [limiter(&all, "a", limits)];
        let mut now = Duration::from_millis(1);
        let mut admitted: Vec<Duration> = Vec::new();
        let mut running: Vec<Hold> = Vec::new();
        for step in steps {
            match step {
                Step::Pass(millis) => now += Duration::from_millis(millis),
                Step::End(at, tokens) => {
                    if at < running.len() {
                        let hold = running.remove(at);
                        if let Some(tokens) = tokens {
                            hold.settle(tokens, now);
                        }
                    }
                }
                Step::Ask(prompt, expected) => {
                    let (outcome, levels) = admit(&one, tokens(prompt, expected), now);
                    let left = levels.requests.unwrap();
                    prop_assert!(left.remaining <= most && left.reset <= MINUTE + secs(1));
                    match outcome {
                        Ok(hold) => {
                            admitted.push(now);
                            running.push(hold);
                        }
                        Err(refused) => {
                            prop_assert!(refused.used + refused.requested > refused.limit);
                            prop_assert_eq!(
                                refused.wait.is_none(),
                                refused.kind == Kind::Tokens && prompt > most_tokens
                            );
                        }
                    }
                }
            }
            prop_assert!(running.len() as u64 <= at_once);
        }
        for (at, begin) in admitted.iter().enumerate() {
            let within = admitted[at..].iter().take_while(|time| **time < *begin + MINUTE);
            prop_assert!(within.count() as u64 <= most);
        }
        running.clear();
        if let Err(refused) = try_one(&one, now) {
            prop_assert!(try_one(&one, now + refused.wait.unwrap()).is_ok());
        }
    }
}
