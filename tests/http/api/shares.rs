//! Nobody holds or spends what others need: places, connections, tries of keys.

use std::net::{Ipv4Addr, SocketAddr};

use fal_gateway::emulator::Options;

use crate::support::{Call, Emulated, Raw, Setup, TestGateway, question, until};

fn chat(key: &str) -> Call {
    Call::chat(&question("echo hi", false)).header("authorization", &format!("Bearer {key}"))
}

/// Sends heads whose bodies do not follow.
fn hold(gateway: &TestGateway, count: usize, key: impl Fn(usize) -> String) -> Vec<Raw> {
    let open = |number| {
        let mut raw = gateway.connect();
        raw.send(&chat(&key(number)).head());
        raw
    };
    (0..count).map(open).collect()
}

/// How many of these are refused because too many wait.
fn refused(held: Vec<Raw>) -> usize {
    let verdicts = held.into_iter().map(|mut raw| raw.answer().verdict());
    let overloaded = |verdict: &String| verdict == "503 server_error overloaded";
    let (refused, others): (Vec<_>, Vec<_>) = verdicts.partition(overloaded);
    let late = "408 invalid_request_error request_timeout";
    assert!(others.iter().all(|verdict| verdict == late), "{others:?}");
    refused.len()
}

fn few_places(setup: Setup) -> Setup {
    setup
        .set("limits.max_awaiting", "8")
        .set("limits.max_inflight", "8")
        .set("server.body_timeout", "2500ms")
}

/// Each caller alone, and all who are not known together, leave three quarters to others.
#[test]
fn heads_without_bodies_hold_a_quarter_of_the_places_at_most() {
    let fal = Emulated::start();
    let keyed = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice");
    for (mode, setup, honest) in [
        ("open", fal.setup(), "any"),
        ("keys", keyed, "sk-fg-alice"),
        ("callers'", fal.setup().without_fal_key(), "id:honest"),
    ] {
        let gateway = few_places(setup).start();
        let one_key = |_| honest.to_owned();
        let held = hold(&gateway, 20, one_key);
        // Whoever sends all of a request at once needs none of these places.
        for _ in 0..3 {
            assert_eq!(gateway.call(&chat(honest)).content(), "hi", "{mode}");
        }
        assert_eq!(refused(held), 18, "{mode}");
    }
}

#[test]
fn many_keys_that_fal_does_not_know_hold_no_more_than_one() {
    let fal = Emulated::start();
    let gateway = few_places(fal.setup().without_fal_key()).start();
    let held = hold(&gateway, 20, |number| format!("id{number}:x"));
    assert_eq!(gateway.call(&chat("id:honest")).content(), "hi");
    assert_eq!(refused(held), 18);
    let none = hold(&gateway, 20, |number| format!("word{number}"));
    for mut raw in none {
        assert_eq!(raw.answer().status, 401);
    }
}

#[test]
fn wrong_keys_of_the_gateways_are_slowed_and_right_ones_are_not() {
    let fal = Emulated::start();
    let keyed = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice");
    let gateway = keyed.set("auth.max_failures", "5").start();
    for path in ["/v1/models", "/v1/chat/completions"] {
        for _ in 0..5 {
            let answer = gateway.call(&Call::get("/v1/models"));
            assert_eq!(answer.status, 401, "no key is no wrong one: {path}");
        }
    }
    for number in 0..5 {
        let answer = gateway.call(&chat(&format!("sk-{number}")));
        assert_eq!(
            answer.verdict(),
            "401 invalid_request_error invalid_api_key"
        );
    }
    for call in [
        chat("sk-6"),
        Call::get("/v1/models").header("x-api-key", "sk-7"),
    ] {
        let answer = gateway.call(&call);
        assert_eq!(answer.verdict(), "429 rate_limit_error too_many_failures");
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=61).contains(&wait), "{wait}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    assert_eq!(gateway.call(&chat("sk-fg-alice")).content(), "hi");
}

/// Every door counts the wrong keys that are tried at it.
#[test]
fn wrong_keys_are_counted_wherever_they_are_shown() {
    let fal = Emulated::start();
    let hash = fal_gateway::config::KeyHash::of("sk-admin").to_string();
    let keyed = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice");
    let keyed = keyed
        .set("auth.admin_key", &hash)
        .set("auth.max_failures", "2");
    for (path, host) in [
        ("/v1/models", "127.0.0.1"),
        ("/v1/models", "llm.example.com"),
        ("/", "llm.example.com"),
        ("/metrics", "127.0.0.1"),
        ("/metrics", "llm.example.com"),
    ] {
        let gateway = keyed.clone().start();
        let tries = (0..4).map(|number| {
            let call = Call::get(path).without("host").header("host", host);
            gateway
                .call(&call.header("x-api-key", &format!("sk-{number}")))
                .status
        });
        let statuses: Vec<u16> = tries.collect();
        assert!(
            statuses[..2]
                .iter()
                .all(|status| [401, 403].contains(status)),
            "{path} {host}"
        );
        assert_eq!(statuses[2..], [429, 429], "{path} {host}");
    }
}

/// fal is not asked any more, but for keys that it has accepted before.
#[test]
fn a_place_to_try_fal_keys_from_is_none() {
    let fal = Emulated::with(Options {
        key: Some("kid:right".to_owned()),
        ..Options::default()
    });
    let gateway = fal.setup().without_fal_key().start();
    assert_eq!(gateway.call(&chat("kid:right")).content(), "hi");
    for number in 0..20 {
        let answer = gateway.call(&chat(&format!("kid:{number}")));
        assert_eq!(answer.status, 401);
    }
    let asked = fal.count();
    for number in 20..60 {
        let answer = gateway.call(&chat(&format!("kid:{number}")));
        assert_eq!(answer.verdict(), "429 rate_limit_error too_many_failures");
    }
    assert_eq!(fal.count(), asked);
    assert_eq!(gateway.call(&chat("kid:right")).content(), "hi");
}

#[test]
fn behind_a_trusted_proxy_each_client_is_counted_by_itself() {
    let fal = Emulated::start();
    let keyed = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice");
    let keyed = keyed.set("auth.max_failures", "2");
    let from = |call: Call, address: &str| call.header("x-forwarded-for", address);
    let trusting = keyed
        .clone()
        .set("server.trusted_proxies", "127.0.0.0/8")
        .start();
    for _ in 0..2 {
        let call = from(chat("wrong"), "192.0.2.1, 198.51.100.7");
        assert_eq!(trusting.call(&call).status, 401);
    }
    let same = from(chat("wrong"), "192.0.2.9, 198.51.100.7, 127.0.0.9");
    assert_eq!(trusting.call(&same).status, 429);
    assert_eq!(
        trusting.call(&from(chat("wrong"), "198.51.100.8")).status,
        401
    );
    // Whoever is not trusted cannot change who he is.
    let trusting_nobody = keyed.start();
    let verdicts: Vec<u16> = (0..4)
        .map(|number| from(chat("wrong"), &format!("198.51.100.{number}")))
        .map(|call| trusting_nobody.call(&call).status)
        .collect();
    assert_eq!(verdicts, [401, 401, 429, 429]);
}

#[test]
fn one_address_opens_only_so_many_connections() {
    let fal = Emulated::start();
    let gateway = fal
        .setup()
        .set("server.max_connections_per_address", "3")
        .start();
    let mut held: Vec<Raw> = (0..3).map(|_| gateway.open(&Call::get("/livez"))).collect();
    for raw in &mut held {
        assert_eq!(raw.answer().status, 200);
    }
    let mut over = gateway.connect();
    over.try_send(&Call::get("/livez").to_bytes());
    assert!(over.rest().is_empty());
    held.pop();
    until("a connection again", || {
        let mut raw = gateway.connect();
        raw.try_send(&Call::get("/livez").to_bytes());
        raw.rest_of_one().starts_with(b"HTTP/1.1 200").then_some(())
    });
    let proxied = fal
        .setup()
        .set("server.max_connections_per_address", "1")
        .set("server.trusted_proxies", "127.0.0.1")
        .start();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, proxied.address.port()));
    let held: Vec<Raw> = (0..4).map(|_| Raw::connect(address)).collect();
    for mut raw in held {
        raw.send(&Call::get("/livez").to_bytes());
        assert_eq!(raw.answer().status, 200);
    }
}
