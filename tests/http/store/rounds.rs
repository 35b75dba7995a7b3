//! Rounds of budgets: two gateways, a crowd, a line that stalls or is cut, and in the end nothing that
//! was overspent. `FAL_GATEWAY_ROUNDS=10000` runs as many on each store, which takes about half an hour.
//! Most of a round is waiting, so many run side by side, and both stores are tried at once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::thread;

use fal_gateway::config::KeyHash;
use fal_gateway::store::Transaction;

use super::{Place, places, run};
use crate::support::{Call, Emulated, Setup, TestGateway, question};

/// How many rounds there are where nothing is said.
const ROUNDS: usize = 24;
/// How many there are with one store and the same two gateways at most.
const IN_ONE_STORE: usize = 1000;
/// How many run side by side at most: fal keeps a thousand calls, and a round has up to fifteen.
const AT_ONCE: usize = 60;

fn rounds() -> usize {
    let said = std::env::var("FAL_GATEWAY_ROUNDS").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(ROUNDS)
}

/// Numbers that look like chance, the same in each run (source: Marsaglia, "Xorshift RNGs").
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// A key with a budget of its own for each round.
pub(super) fn keys(limits: &[u64]) -> String {
    let mut text = String::new();
    for (round, limit) in limits.iter().enumerate() {
        let hash = KeyHash::of(&format!("k{round}"));
        let unit = ["", " req"][round % 2];
        writeln!(
            text,
            "[[keys]]\nname = \"k{round}\"\nhash = \"{hash}\"\nbudgets = [\"{limit}{unit}/day\"]"
        )
        .unwrap();
    }
    text
}

/// How some callers ask at the same time.
fn ways(dice: &mut Dice) -> Vec<u64> {
    let count = 4 + dice.below(12);
    (0..count).map(|_| dice.below(6)).collect()
}

/// Asks in these ways at once, at both gateways, in whole and as streams, and leaves some of the
/// streams.
fn crowd(gateways: [&TestGateway; 2], key: &str, ways: &[u64]) {
    thread::scope(|scope| {
        for (at, way) in ways.iter().enumerate() {
            let gateway = gateways[at % 2];
            scope.spawn(move || {
                let text = if *way == 5 {
                    "hi /emulate error:internal"
                } else {
                    "hi"
                };
                let body = question(text, *way % 2 == 0);
                let call = Call::chat(&body).header("authorization", &format!("Bearer {key}"));
                match way {
                    4 => gateway.open(&call).reset(),
                    _ => assert_ne!(gateway.call(&call).status, 401),
                }
            });
        }
    });
}

#[cfg(feature = "postgres")]
type Line = crate::support::Relay;
#[cfg(not(feature = "postgres"))]
type Line = ();

/// Does something to the line of one gateway.
#[cfg(feature = "postgres")]
fn disturb(line: Option<&Line>, dice: &mut Dice) {
    let Some(line) = line else { return };
    match dice.below(6) {
        0 => line.stall(),
        1 => line.cut(),
        _ => line.flow(),
    }
}

#[cfg(not(feature = "postgres"))]
fn disturb(_: Option<&Line>, _: &mut Dice) {}

#[cfg(feature = "postgres")]
fn line_to(place: &Place) -> (Option<Line>, Place) {
    match place {
        Place::Server(url) => {
            let (line, over) = Line::to(url);
            (Some(line), Place::Server(over))
        }
        place => (None, place.clone()),
    }
}

#[cfg(not(feature = "postgres"))]
fn line_to(place: &Place) -> (Option<Line>, Place) {
    (None, place.clone())
}

#[test]
fn whatever_happens_in_a_round_nothing_is_overspent() {
    let (_folder, kinds) = places();
    thread::scope(|scope| {
        for (kind, place) in kinds.iter().enumerate() {
            if !matches!(place, Place::Memory) {
                scope.spawn(move || {
                    for first in (0..rounds()).step_by(IN_ONE_STORE) {
                        let (_folder, places) = places();
                        play(&places[kind], first, IN_ONE_STORE.min(rounds() - first));
                    }
                });
            }
        }
    });
}

/// So many rounds on one store, which is new.
fn play(place: &Place, first: usize, count: usize) {
    let mut dice = Dice(0x5eed_0fa1 + first as u64);
    let limits: Vec<u64> = (0..count).map(|_| 1 + dice.below(9)).collect();
    let text = keys(&limits);
    let fal = Emulated::start();
    let (line, over) = line_to(place);
    let start = |place: &Place| {
        let settings = place.settings().into_iter();
        let setup: Setup = settings.fold(fal.setup().file(&text), |setup, (name, value)| {
            setup.set(name, &value)
        });
        setup.set("store.timeout", "1s").start()
    };
    let (one, other) = (start(&over), start(place));
    let all: Vec<(String, Vec<u64>)> = (0..limits.len())
        .map(|round| (format!("k{round}"), ways(&mut dice)))
        .collect();
    let mut witness = Witness::default();
    // Few at a time where there are few, so that the line is disturbed now and then.
    for some in all.chunks((all.len() / 6).clamp(1, AT_ONCE)) {
        disturb(line.as_ref(), &mut dice);
        thread::scope(|scope| {
            for (key, ways) in some {
                scope.spawn(|| crowd([&one, &other], key, ways));
            }
        });
        witness.listen(&fal);
    }
    #[cfg(feature = "postgres")]
    if let Some(line) = &line {
        line.flow();
    }
    // A gateway that was cut off needs a moment until it tries again.
    let hi = Call::chat(&question("hi", false)).header("authorization", "Bearer k0");
    one.call(&hi);
    for gateway in [one, other] {
        gateway.begin_stop();
        gateway.finished();
    }
    witness.listen(&fal);
    assert_eq!(overspent(place, &limits), [0usize; 0], "{place:?}");
    let told = told(place);
    let counts = witness.compare(&told);
    eprintln!("{count} rounds from {first} on {place:?}: overspent 0, {counts}");
}

/// The ids of all calls that came to fal, by what fal itself has noted. It keeps the last thousand.
#[derive(Default)]
struct Witness {
    ids: HashSet<String>,
    last: i64,
}

impl Witness {
    fn listen(&mut self, fal: &Emulated) {
        for call in fal.requests(0) {
            let number = call["id"].as_i64().unwrap();
            if self
                .ids
                .insert(call["request_id"].as_str().unwrap().to_owned())
            {
                assert_eq!(number, self.last + 1, "calls that nobody listened to");
                self.last = number;
            }
        }
    }

    /// Each call that fal gave an id has its row and each such row its call. A row without an id is a
    /// call whose answer had not begun: one that did not leave the gateway, or one that broke off, of
    /// which fal may know or not.
    fn compare(&self, told: &[Told]) -> String {
        let mut ids = HashSet::new();
        let mut without_id = BTreeMap::<(&str, &str), usize>::new();
        for row in told {
            if row.id.is_empty() {
                *without_id.entry((&row.outcome, &row.billed)).or_default() += 1;
                continue;
            }
            assert!(self.ids.contains(&row.id), "no call: {row:?}");
            assert!(ids.insert(&row.id), "a second row: {row:?}");
        }
        let maybe = without_id
            .iter()
            .filter(|((_, billed), _)| *billed == "maybe");
        let of_maybe: usize = maybe.map(|(_, count)| count).sum();
        let (fal, rows) = (self.ids.len(), ids.len());
        let counts = format!("{fal} calls at fal, {rows} rows by id, others {without_id:?}");
        let unsent = ["unreachable", "connect_timeout"];
        let unsent = without_id.keys().all(|(outcome, billed)| {
            *billed == "maybe" || *billed == "no" && unsent.contains(outcome)
        });
        assert!(unsent, "{counts}");
        assert!(fal >= rows && fal - rows <= of_maybe, "{counts}");
        counts
    }
}

/// A row of the ledger.
#[derive(Debug)]
struct Told {
    /// fal's id of the call; empty where its answer had not begun.
    id: String,
    outcome: String,
    billed: String,
}

fn told(place: &Place) -> Vec<Told> {
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let read = async |transaction: &Transaction<'_>| {
        let sql = "select fal_request, outcome, billed from ledger";
        let rows = transaction.query(sql, &[]).await?;
        let told = rows.into_iter().map(|mut row| {
            Ok(Told {
                id: row.text(0)?,
                outcome: row.text(1)?,
                billed: row.text(2)?,
            })
        });
        told.collect::<Result<Vec<_>, fal_gateway::store::StoreError>>()
    };
    run(place.open().read(soon, read)).unwrap()
}

/// How many calls are in the ledger, and how many of them were dropped by their clients.
pub(super) fn rows(place: &Place) -> [i64; 2] {
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let database = place.open();
    let count = async |transaction: &Transaction<'_>| {
        let sql = "select count(*), count(case when outcome = 'dropped' then 1 end) from ledger";
        let row = transaction.first(sql, &[]).await?.unwrap();
        Ok([row.integer(0)?, row.integer(1)?])
    };
    run(database.read(soon, count)).unwrap()
}

/// The rounds in which more was used than allowed, or in which the ledger says something else than the
/// budget.
pub(super) fn overspent(place: &Place, limits: &[u64]) -> Vec<usize> {
    let database = place.open();
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let read = async |transaction: &Transaction<'_>| {
        let sql = "select 'key/' || key, cast(sum(units) as bigint), \
                   cast(sum(requests) as bigint) from ledger group by key";
        let mut spent = HashMap::new();
        for mut row in transaction.query(sql, &[]).await? {
            spent.insert(row.text(0)?, [row.integer(1)?, row.integer(2)?]);
        }
        let sql = "select owner, budget, used, leased, beyond from budget_window";
        let rows = transaction.query(sql, &[]).await?;
        rows.into_iter()
            .map(|mut row| {
                let (owner, budget) = (row.text(0)?, row.text(1)?);
                let numbers = [row.integer(2)?, row.integer(3)?, row.integer(4)?];
                let spent = spent.get(&owner).copied().unwrap_or_default();
                Ok((owner, budget, numbers, spent))
            })
            .collect::<Result<Vec<_>, fal_gateway::store::StoreError>>()
    };
    let sums = run(database.read(soon, read)).unwrap();
    let mut wrong = Vec::new();
    for (owner, budget, [used, leased, beyond], [units, requests]) in sums {
        let round: usize = owner.trim_start_matches("key/k").parse().unwrap();
        let one = if budget.starts_with("units") { 1000 } else { 1 };
        let in_ledger = if one == 1 { requests } else { units };
        let limit = i64::try_from(limits[round]).unwrap() * one;
        if used > limit || leased != 0 || beyond != 0 || in_ledger != used {
            eprintln!(
                "{owner} {budget}: limit {limit}, used {used}, leased {leased}, beyond {beyond}, ledger {in_ledger}"
            );
            wrong.push(round);
        }
    }
    wrong
}
