//! Who comes to the console, from where, and with which key.

use fal_gateway::config::KeyHash;
use serde_json::json;

use crate::console::pages::BROWSER;
use crate::harness::{Answer, Gateway, send};
use crate::support::{Call, Emulated, Raw, question};

const STATE: &str = "/console/v1/state";
const SESSION: &str = "/console/v1/session";

fn admin() -> String {
    format!("[auth]\nadmin_key = \"{}\"\n", KeyHash::of("sk-admin"))
}

async fn data(gateway: &Gateway, method: &str, path: &str, key: &str) -> Answer {
    let request = gateway.request(method, path).header("x-console", "1");
    send(request.header("authorization", format!("Bearer {key}"))).await
}

/// The host and the headers that are sent, and whether a page, a file and data are given.
type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], [bool; 3]);

/// Whatever another page, another port or another name can send: it sees nothing.
#[test]
fn only_the_consoles_own_page_is_told_anything() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let port = gateway.address.port();
    let own = format!("127.0.0.1:{port}");
    let origin = format!("http://{own}");
    let other = format!("http://127.0.0.1:{}", port.wrapping_add(1));
    let cases: [Case<'_>; 14] = [
        (&own, &[], [true, true, true]),
        ("localhost", &[], [true, true, true]),
        ("evil.example", &[], [false, false, false]),
        (
            "evil.example",
            &[("sec-fetch-site", "same-origin")],
            [false, false, false],
        ),
        ("127.0.0.1.nip.io", &[], [false, false, false]),
        ("10.0.0.7", &[], [false, false, false]),
        (
            &own,
            &[("sec-fetch-site", "same-origin")],
            [true, true, true],
        ),
        (&own, &[("sec-fetch-site", "none")], [true, true, false]),
        (
            &own,
            &[("sec-fetch-site", "same-site")],
            [false, false, false],
        ),
        (
            &own,
            &[("sec-fetch-site", "cross-site")],
            [false, false, false],
        ),
        (
            &own,
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
            [true, false, false],
        ),
        (
            &own,
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
            ],
            [false, false, false],
        ),
        (&own, &[("origin", &other)], [false, false, false]),
        (&own, &[("origin", &origin)], [true, true, true]),
    ];
    for (host, headers, expected) in cases {
        let call = |path: &str| {
            let call = Call::get(path).without("host").header("host", host);
            let call = call.header("accept", BROWSER);
            headers
                .iter()
                .fold(call, |call, (name, value)| call.header(name, value))
        };
        let page = gateway.call(&call("/"));
        let file = gateway.call(&call("/assets/kit.js"));
        let data = gateway.call(&call(STATE).header("x-console", "1"));
        let given = [page, file, data].map(|answer| answer.status == 200);
        assert_eq!(given, expected, "{host} {headers:?}");
        let simple = gateway.call(&call(STATE));
        assert_eq!(simple.status, 403, "a request that needs no leave: {host}");
    }
}

#[actix_web::test]
async fn the_admin_key_is_exchanged_for_a_token() {
    let gateway = Gateway::open(&admin());
    let locked = data(&gateway, "GET", STATE, "").await;
    assert_eq!(locked.json(), json!({"locked": true}));
    let wrong = data(&gateway, "POST", SESSION, "sk-wrong").await;
    assert_eq!(wrong.status, 401);
    let opened = data(&gateway, "POST", SESSION, "sk-admin").await;
    let token = opened.json()["token"].as_str().unwrap().to_owned();
    assert!(token.len() >= 43, "256 bits");
    assert_eq!(opened.header("set-cookie"), None);

    let state = data(&gateway, "GET", STATE, &token).await;
    assert_eq!(state.json()["locked"], false);
    // The key itself opens nothing but the exchange, and the token nothing but the console.
    assert_eq!(
        data(&gateway, "GET", STATE, "sk-admin").await.json()["locked"],
        true
    );
    assert_eq!(data(&gateway, "GET", "/metrics", &token).await.status, 401);

    // Under another name or port it is another origin's.
    let elsewhere = gateway.request("GET", STATE).header("x-console", "1");
    let elsewhere = elsewhere.header("host", "localhost:1");
    let elsewhere = send(elsewhere.header("authorization", format!("Bearer {token}"))).await;
    assert_eq!(elsewhere.json()["locked"], true);

    assert_eq!(data(&gateway, "DELETE", SESSION, &token).await.status, 204);
    assert_eq!(
        data(&gateway, "GET", STATE, &token).await.json()["locked"],
        true
    );
}

#[actix_web::test]
async fn wrong_admin_keys_are_slowed_down() {
    let gateway = Gateway::open(&format!("{}max_failures = 3\n", admin()));
    for _ in 0..3 {
        assert_eq!(
            data(&gateway, "POST", SESSION, "sk-wrong").await.status,
            401
        );
    }
    assert_eq!(
        data(&gateway, "POST", SESSION, "sk-wrong").await.status,
        429
    );
}

/// With an address of its own the console is there alone, with the API that its pages need.
#[test]
fn the_console_can_have_a_listener_of_its_own() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("console.listen", "127.0.0.1:0").start();
    let page = || Call::get("/").header("accept", BROWSER);
    let welcome = gateway.call(&page());
    assert_eq!(welcome.header("content-type"), Some("application/json"));
    for path in ["/requests", STATE, "/assets/kit.js"] {
        let call = Call::get(path).header("x-console", "1");
        assert_eq!(gateway.call(&call).status, 404, "{path}");
    }

    let own = |call: &Call| {
        let mut raw = Raw::connect(gateway.console_address.unwrap());
        raw.send(&call.to_bytes());
        raw.answer()
    };
    assert!(own(&page()).text().contains("/assets/playground.js"));
    let state = own(&Call::get(STATE).header("x-console", "1"));
    assert_eq!(state.json()["locked"], false);
    assert_eq!(own(&Call::chat(&question("hi", false))).status, 200);

    // What came to the other listener is seen here, too.
    assert_eq!(gateway.ask(&question("hi", false)).status, 200);
    let kept = own(&Call::get("/console/v1/requests").header("x-console", "1"));
    assert_eq!(kept.json()["rows"].as_array().map(Vec::len), Some(2));
}

#[test]
fn switched_off_the_console_takes_no_address() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("console.listen", "127.0.0.1:0");
    let gateway = gateway.set("console.enabled", "false").start();
    assert_eq!(gateway.console_address, None);
}
