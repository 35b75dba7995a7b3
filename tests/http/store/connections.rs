//! What a gateway does with the connections that a server gives it.

use std::fmt::Write as _;
use std::thread;

use fal_gateway::config::KeyHash;
use serde_json::json;

use super::Place;
use crate::support::{
    Answer, Call, Emulated, Held, PostgresServer, Relay, TestGateway, question, until,
};

/// How many clients come at once: more than there are connections.
const CROWD: usize = 12;

/// A gateway on this server, with a budget for each client.
fn start(fal: &Emulated, url: &str) -> TestGateway {
    let mut text = String::new();
    for number in 0..CROWD {
        let hash = KeyHash::of(&format!("k{number}"));
        writeln!(
            text,
            "[[keys]]\nname = \"k{number}\"\nhash = \"{hash}\"\nbudgets = [\"100/day\"]"
        )
        .unwrap();
    }
    let settings = Place::Server(url.to_owned()).settings().into_iter();
    let setup = fal.setup().file(&text);
    settings
        .fold(setup, |setup, (name, value)| setup.set(name, &value))
        .start()
}

fn by(call: Call, number: usize) -> Call {
    call.header("authorization", &format!("Bearer k{number}"))
}

fn chat(gateway: &TestGateway, number: usize) -> Answer {
    gateway.call(&by(Call::chat(&question("hi", false)), number))
}

/// What all of them get for the same.
fn crowd(ask: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    thread::scope(|scope| {
        let ask = &ask;
        let asked = (0..CROWD).map(|number| scope.spawn(move || ask(number)));
        let asked: Vec<_> = asked.collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn reports_keep_no_budget_waiting() {
    let (fal, url) = (Emulated::start(), PostgresServer::database());
    let gateway = start(&fal, &url);
    assert_eq!(chat(&gateway, 0).status, 200);
    // Whoever wants sums waits for this, and so does the ledger.
    let held = Held::new(&url, "lock table usage_hour in access exclusive mode");
    thread::scope(|scope| {
        let own_key = || gateway.call(&by(Call::get("/v1/key"), 0));
        let reports: Vec<_> = (0..8).map(|_| scope.spawn(own_key)).collect();
        until("a report waits", || (held.waiting() > 0).then_some(()));
        for number in 1..CROWD {
            let answer = chat(&gateway, number);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        drop(held);
        for report in reports {
            let answer = report.join().unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
}

/// The connections that were lost are not taken for all that the server gives.
#[test]
fn after_an_outage_reports_keep_no_budget_waiting_either() {
    let (fal, url) = (Emulated::start(), PostgresServer::database());
    let (relay, over) = Relay::to(&url);
    let gateway = start(&fal, &over);
    let (before, after) = (0..CROWD / 2, CROWD / 2..CROWD);
    thread::scope(|scope| {
        for number in before {
            let gateway = &gateway;
            scope.spawn(move || assert_eq!(chat(gateway, number).status, 200));
        }
    });
    let own_key = || gateway.call(&by(Call::get("/v1/key"), 0));
    let has_usage = || own_key().json()["data"]["usage"]["month"].is_object();
    relay.cut();
    until("the store is missed", || (!has_usage()).then_some(()));
    relay.flow();
    until("the store is there again", || has_usage().then_some(()));
    let held = Held::new(&url, "lock table usage_hour in access exclusive mode");
    thread::scope(|scope| {
        let report = scope.spawn(own_key);
        until("a report waits", || (held.waiting() > 0).then_some(()));
        for number in after {
            let answer = chat(&gateway, number);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        drop(held);
        assert_eq!(report.join().unwrap().status, 200);
    });
}

#[test]
fn what_a_server_gives_is_made_do_with() {
    for connections in [1, 2] {
        let (fal, url) = (Emulated::start(), PostgresServer::database());
        let (_, database) = url.rsplit_once('/').unwrap();
        let role = format!("few_{database}");
        PostgresServer::prepare(
            &url,
            &format!(
                "create role {role} login connection limit {connections}; \
                 alter database {database} owner to {role}; \
                 grant all on schema public to {role}"
            ),
        );
        let gateway = start(&fal, &url.replace("test@", &format!("{role}@")));
        // Budgets, the ledger, limits and what is kept, all at once.
        for answer in crowd(|number| {
            let body = json!({"model": "openai/gpt-4o-mini", "input": "hi"});
            gateway.call(&by(Call::new("POST", "/v1/responses").json(&body), number))
        }) {
            assert_eq!(answer.status, 200, "{connections}: {}", answer.text());
            assert_eq!(answer.json()["store"], true, "{connections}");
        }
        for answer in crowd(|number| gateway.call(&by(Call::get("/v1/key"), number))) {
            let data = &answer.json()["data"];
            assert!(
                data["budgets"][0]["used"].is_number(),
                "{connections}: {data}"
            );
            assert!(data["usage"]["month"].is_object(), "{connections}: {data}");
        }
    }
}
