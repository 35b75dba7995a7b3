//! Two gateways on one server: limits are those of both together.

use std::fmt::Write as _;
use std::thread;

use fal_gateway::config::KeyHash;

use super::Place;
use crate::support::{
    Answer, Call, Emulated, PostgresServer, Raw, Relay, TestGateway, question, until,
};

fn keys(limits: &[&str]) -> String {
    let mut text = String::new();
    for (number, limits) in limits.iter().enumerate() {
        let hash = KeyHash::of(&format!("k{number}"));
        writeln!(
            text,
            "[[keys]]\nname = \"k{number}\"\nhash = \"{hash}\"\n{limits}"
        )
        .unwrap();
    }
    text
}

/// A gateway whose requests wait for the store, and for what other gateways have, for so long.
fn start_within(timeout: &str, fal: &Emulated, place: &Place, keys: &str) -> TestGateway {
    let settings = place.settings().into_iter();
    let setup = settings.fold(fal.setup().file(keys), |setup, (name, value)| {
        setup.set(name, &value)
    });
    setup.set("store.timeout", timeout).start()
}

/// One that tells soon that there is no room.
fn start(fal: &Emulated, place: &Place, keys: &str) -> TestGateway {
    start_within("2s", fal, place, keys)
}

/// One that waits as long as a busy machine may take.
fn start_patient(fal: &Emulated, place: &Place, keys: &str) -> TestGateway {
    start_within("10s", fal, place, keys)
}

fn with_key(text: &str, streams: bool, key: &str) -> Call {
    let body = question(text, streams);
    Call::chat(&body).header("authorization", &format!("Bearer {key}"))
}

fn ask(gateway: &TestGateway, key: &str) -> Answer {
    gateway.call(&with_key("hi", false, key))
}

/// Each of them knows of the other.
fn met(gateways: [&TestGateway; 2]) {
    for gateway in gateways {
        until("both gateways are there", || {
            let line = "fal_gateway_replicas";
            (gateway.metric(line) >= 2.0).then_some(())
        });
    }
}

#[test]
fn a_minute_of_two_gateways_is_one() {
    let place = Place::Server(PostgresServer::database());
    let fal = Emulated::start();
    let text = keys(&["requests_per_minute = 6", "requests_per_minute = 40"]);
    let gateways = [(); 2].map(|()| start_patient(&fal, &place, &text));
    let [one, other] = &gateways;
    met([one, other]);
    let outcomes: Vec<Answer> = thread::scope(|scope| {
        let asked: Vec<_> = (0..20)
            .map(|at| {
                let gateway = &gateways[at % 2];
                scope.spawn(move || ask(gateway, "k0"))
            })
            .collect();
        asked
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    });
    let served = outcomes
        .iter()
        .filter(|answer| answer.status == 200)
        .count();
    assert_eq!(served, 6);
    for gateway in [one, other] {
        let refused = until("it is known that all is taken", || {
            let answer = ask(gateway, "k0");
            let is_known = answer.text().contains("Limit 6, Used 6, Requested 1.");
            is_known.then_some(answer)
        });
        assert_eq!(refused.status, 429);
        assert_eq!(refused.error()["code"], "rate_limit_exceeded");
        assert_eq!(refused.header("x-ratelimit-limit-requests"), Some("6"));
        assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    }

    // One gateway alone gets all of it, and asks the store a few times for that.
    for left in (0..40).rev() {
        let answer = ask(one, "k1");
        assert_eq!(answer.status, 200);
        let remaining = answer.header("x-ratelimit-remaining-requests").unwrap();
        assert_eq!(remaining, left.to_string());
    }
    assert_eq!(ask(one, "k1").status, 429);
    assert_eq!(ask(other, "k1").status, 429);
}

#[test]
fn a_client_that_goes_from_gateway_to_gateway_is_never_refused() {
    let place = Place::Server(PostgresServer::database());
    let fal = Emulated::start();
    let text = keys(&["concurrency = 1"]);
    let gateways = [(); 2].map(|()| start_patient(&fal, &place, &text));
    met([&gateways[0], &gateways[1]]);
    for turn in 0..6 {
        assert_eq!(ask(&gateways[turn % 2], "k0").status, 200, "turn {turn}");
    }
}

#[test]
fn as_many_run_at_two_gateways_as_may_at_one() {
    let place = Place::Server(PostgresServer::database());
    let fal = Emulated::start();
    let text = keys(&["concurrency = 1"]);
    let (one, other) = (start(&fal, &place, &text), start(&fal, &place, &text));
    met([&one, &other]);
    let runs = one.open(&with_key("hi /emulate hang", true, "k0"));
    // Before that the other gateway could have the place first.
    fal.requests(1);
    until("it runs", || {
        let refused = ask(&other, "k0");
        let is_it = refused.status == 429 && refused.text().contains("concurrent requests");
        is_it.then_some(())
    });
    runs.reset();
    until("its place is free for the other gateway", || {
        (ask(&other, "k0").status == 200).then_some(())
    });
    // It stops in order, and nothing is left of what it had.
    drop(other);
    until("the place is free for this one", || {
        (ask(&one, "k0").status == 200).then_some(())
    });
}

#[test]
fn without_the_server_each_gateway_takes_its_share() {
    let url = PostgresServer::database();
    let (line, over) = Relay::to(&url);
    let fal = Emulated::start();
    let text = keys(&["requests_per_minute = 8"]);
    let one = start_patient(&fal, &Place::Server(over), &text);
    let other = start_patient(&fal, &Place::Server(url), &text);
    met([&one, &other]);
    line.cut();
    let served = (0..20).filter(|_| ask(&one, "k0").status == 200).count();
    assert_eq!(served, 4);
    let live = || other.metric("fal_gateway_replicas");
    until("it is missed", || (live() < 2.0).then_some(()));
    line.flow();
    until("it is there again", || (live() >= 2.0).then_some(()));
    // What was admitted meanwhile counts for both.
    let served = (0..20).filter(|_| ask(&other, "k0").status == 200).count();
    assert!(served <= 4, "{served}");
    assert_eq!(ask(&other, "k0").status, 429);
}

#[test]
fn gateways_with_different_files_are_named() {
    let place = Place::Server(PostgresServer::database());
    let fal = Emulated::start();
    let start = |text: &str| {
        let settings = place.settings().into_iter();
        let setup = fal.setup().file(text).set("admin.enabled", "true");
        let setup = setup.set("admin.listen", "127.0.0.1:0");
        let admin = KeyHash::of("sk-admin").to_string();
        let setup = setup.set("auth.admin_key", &admin);
        settings
            .fold(setup, |setup, (name, value)| setup.set(name, &value))
            .start()
    };
    let warnings = |gateway: &TestGateway| {
        let mut raw = Raw::connect(gateway.admin_address.unwrap());
        let call = Call::get("/admin/v1/settings");
        raw.send(&call.header("authorization", "Bearer sk-admin").to_bytes());
        let settings = raw.answer().json();
        settings["warnings"].to_string()
    };
    let (same, other) = (keys(&["concurrency = 2"]), keys(&["concurrency = 3"]));
    let (one, two) = (start(&same), start(&same));
    let third = start(&other);
    for gateway in [&one, &two] {
        let told = until("the third is named", || {
            let told = warnings(gateway);
            told.contains("in its settings file").then_some(told)
        });
        assert_eq!(told.matches("in its settings file").count(), 1, "{told}");
    }
    drop(third);
    until("it is gone", || {
        (!warnings(&one).contains("in its settings file")).then_some(())
    });
}
