//! Gateways that end while they make responses in the background, and those that go on: nothing is
//! asked of fal twice.

use std::net::SocketAddr;

use fal_gateway::store::Transaction;
use serde_json::Value;

use super::background::{background, submissions};
use super::ledger::soon;
use super::responses::{create, id, post, with};
use super::{Place, places, run};
use crate::support::{Answer, Call, Emulated, Process, Raw, ScriptedUpstream, Setup, Step, until};

/// Places that outlive a process.
pub(super) fn lasting() -> (tempfile::TempDir, Vec<Place>) {
    let (folder, mut places) = places();
    places.retain(|place| !matches!(place, Place::Memory));
    (folder, places)
}

pub(super) fn call(address: SocketAddr, call: &Call) -> Answer {
    let mut raw = Raw::connect(address);
    raw.send(&call.to_bytes());
    raw.answer()
}

/// A process that has heard of its store.
pub(super) fn serving(setup: &Setup) -> (Process, SocketAddr) {
    let (process, address) = Process::serving(setup);
    until("a gateway that is ready", || {
        let answer = call(address, &Call::get("/v1/responses/resp_none"));
        (answer.status != 503).then_some(())
    });
    (process, address)
}

fn begin(address: SocketAddr, input: &str) -> String {
    let answer = call(address, &post(&background(input)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    id(&answer.json())
}

pub(super) fn status(address: SocketAddr, id: &str) -> Value {
    call(address, &Call::get(&format!("/v1/responses/{id}"))).json()
}

/// Asks until it has ended. A lease has to run out before.
pub(super) fn ended(address: SocketAddr, id: &str) -> Value {
    for _ in 0..2 {
        let found = std::panic::catch_unwind(|| {
            until("the end of the response", || {
                let response = status(address, id);
                let status = response["status"].as_str().unwrap_or_default();
                (!["queued", "in_progress"].contains(&status)).then_some(response)
            })
        });
        if let Ok(response) = found {
            return response;
        }
    }
    panic!("never ended: {}", status(address, id));
}

#[test]
fn after_a_kill_another_process_goes_on_and_asks_nothing_twice() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let setup = with(fal.setup(), &place);
        let (first, address) = serving(&setup);
        // One that is worked on meanwhile, one that fal never gets to, one that was called off.
        let slow = begin(address, "Hello /emulate latency:4s");
        let stuck = begin(address, "Hello /emulate stuck");
        let off = begin(address, "Hello /emulate hang");
        let cancelled = Call::new("POST", &format!("/v1/responses/{off}/cancel"));
        assert_eq!(call(address, &cancelled).status, 200);
        until("the work on it", || {
            (status(address, &slow)["status"] == "in_progress").then_some(())
        });
        first.signal("KILL");
        drop(first);
        let (_second, address) = serving(&setup);
        let done = ended(address, &slow);
        assert_eq!(done["status"], "completed", "{done}");
        assert_eq!(status(address, &off)["status"], "cancelled");
        assert_eq!(status(address, &stuck)["status"], "queued");
        assert_eq!(submissions(&fal).len(), 3);
        let cancelled = Call::new("POST", &format!("/v1/responses/{stuck}/cancel"));
        assert_eq!(call(address, &cancelled).json()["status"], "cancelled");
        assert_eq!(submissions(&fal).len(), 3);
    }
}

#[test]
fn a_call_that_nobody_knows_of_is_never_made_again() {
    let (_folder, places) = lasting();
    for place in places {
        // The first request is taken and never answered.
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Hold]);
        let setup = with(fal.setup(), &place).set("fal.queue_url", &fal.url());
        let (first, address) = serving(&setup);
        let mut raw = Raw::connect(address);
        raw.send(&post(&background("Hello")).to_bytes());
        until("the call", || (fal.requests() == 1).then_some(()));
        first.signal("KILL");
        drop(first);
        let (second, _) = serving(&setup);
        // Nobody was told the id, but the job is there.
        second.until_line("submission_interrupted");
        assert_eq!(fal.requests(), 1);
    }
}

/// The responses whose jobs nobody holds.
fn free_jobs(place: &Place) -> Vec<String> {
    let read = async move |transaction: &Transaction<'_>| {
        let free = "select response from job where lease_until = 0";
        let rows = transaction.query(free, &[]).await?;
        rows.into_iter().map(|mut row| row.text(0)).collect()
    };
    run(place.open().read(soon(), read)).unwrap()
}

#[test]
fn an_orderly_stop_hands_jobs_over_at_once() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let setup = with(fal.setup(), &place);
        let first = setup.clone().start();
        let begun = create(&first, &background("Hello /emulate latency:2s"));
        first.begin_stop();
        first.finished();
        // No lease is waited for.
        assert_eq!(free_jobs(&place), [id(&begun)]);
        let second = setup.start();
        let done = ended(second.address, &id(&begun));
        assert_eq!(done["status"], "completed", "{done}");
        assert_eq!(submissions(&fal).len(), 1);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn two_gateways_share_the_jobs_of_one_database() {
    let (_folder, places) = places();
    for place in places {
        if !matches!(place, Place::Server(_)) {
            continue;
        }
        let fal = Emulated::start();
        let setup = with(fal.setup(), &place);
        let (first, address) = serving(&setup);
        let second = setup.clone().start();
        let slow = begin(address, "Hello /emulate latency:4s");
        let off = begin(address, "Hello /emulate hang");
        assert_eq!(status(second.address, &slow)["id"], slow.as_str());
        // The other one calls it off, and the one that works on it leaves it.
        let cancelled = Call::new("POST", &format!("/v1/responses/{off}/cancel"));
        assert_eq!(
            call(second.address, &cancelled).json()["status"],
            "cancelled"
        );
        assert_eq!(status(address, &off)["status"], "cancelled");
        first.signal("KILL");
        drop(first);
        let done = ended(second.address, &slow);
        assert_eq!(done["status"], "completed", "{done}");
        assert_eq!(submissions(&fal).len(), 2);
    }
}

#[test]
fn a_key_that_is_kept_nowhere_goes_on_with_what_it_began() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let setup = with(fal.setup().without_fal_key(), &place);
        let own = |call: Call| call.header("authorization", "Bearer kid:ksecret");
        let (first, address) = serving(&setup);
        let begun = call(
            address,
            &own(post(&background("Hello /emulate latency:1s"))),
        );
        assert_eq!(begun.status, 200, "{}", begun.text());
        let begun = id(&begun.json());
        first.signal("KILL");
        drop(first);
        let (_second, address) = serving(&setup);
        let ask = || call(address, &own(Call::get(&format!("/v1/responses/{begun}")))).json();
        let done = until("the end of the response", || {
            let response = ask();
            (response["status"] == "completed").then_some(response)
        });
        assert_eq!(done["id"], begun.as_str());
        assert_eq!(submissions(&fal).len(), 1);
    }
}
