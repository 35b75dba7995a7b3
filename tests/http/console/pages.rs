//! What browsers are given.

use std::fs;

use fal_gateway::config::KeyHash;

use crate::harness::{Answer, Gateway, send};

/// What Chromium sends when somebody opens a page.
pub(crate) const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

pub(crate) async fn browse(gateway: &Gateway, path: &str) -> Answer {
    send(gateway.request("GET", path).header("accept", BROWSER)).await
}

fn files() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.collect()
}

#[actix_web::test]
async fn a_browser_is_given_the_console_and_a_program_the_welcome() {
    let gateway = Gateway::start().await;
    let page = browse(&gateway, "/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains("/assets/playground.js"));
    for accept in ["*/*", "application/json", ""] {
        let answer = send(gateway.request("GET", "/").header("accept", accept)).await;
        assert_eq!(answer.json()["name"], "fal-gateway", "{accept}");
    }
    assert_eq!(page.header("vary"), Some("accept"));
}

/// The pages in the order of their tabs, as the frame of all pages names them.
#[actix_web::test]
async fn every_tab_leads_to_a_page() {
    let gateway = Gateway::start().await;
    let kit = gateway.get("/assets/kit.js").await;
    let (_, tabs) = kit.text().split_once("const PAGES = [").unwrap();
    let (tabs, _) = tabs.split_once("];").unwrap();
    let paths: Vec<&str> = tabs
        .split("['")
        .skip(1)
        .map(|tab| tab.split('\'').next().unwrap())
        .collect();
    assert_eq!(
        paths,
        ["/", "/requests", "/overview", "/reference", "/settings"]
    );
    for path in paths {
        let page = browse(&gateway, path).await;
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn every_file_is_served_as_it_stands_in_the_repository() {
    let gateway = Gateway::start().await;
    for name in files() {
        let path = format!("/assets/{name}");
        let answer = gateway.get(&path).await;
        if name == "shell.html" {
            assert_eq!(answer.status, 404, "the frame of the pages is no page");
            continue;
        }
        assert_eq!(answer.status, 200, "{name} is not among the files");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
        let file = fs::read_to_string(format!("{folder}/{name}")).unwrap();
        assert_eq!(answer.text(), file);
        let etag = answer.header("etag").unwrap();
        let again = gateway.request("GET", &path).header("if-none-match", etag);
        let again = send(again).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{name}");
        assert_eq!(again.header("etag"), Some(etag));
    }
}

/// A page that loads nothing from elsewhere, runs nothing but its files, and is shown in no frame.
#[actix_web::test]
async fn pages_and_files_are_fenced_in() {
    let gateway = Gateway::start().await;
    for path in ["/", "/assets/kit.js", "/assets/console.css"] {
        let answer = browse(&gateway, path).await;
        let policy = answer.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {rule}");
        }
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[actix_web::test]
async fn nothing_in_the_files_can_become_html_or_comes_from_elsewhere() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
    for name in files() {
        let text = fs::read_to_string(format!("{folder}/{name}")).unwrap();
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "document.cookie",
            "srcdoc",
            "javascript:",
        ] {
            assert!(!text.contains(word), "{name} has {word}");
        }
        let foreign = text.matches("://").count();
        let known = text.matches("http://www.w3.org/2000/svg").count();
        assert!(foreign <= known, "{name} names an address elsewhere");
    }
}

#[actix_web::test]
async fn where_the_console_is_shut_nothing_of_it_is_there() {
    let admin = format!("[auth]\nadmin_key = \"{}\"\n", KeyHash::of("sk-admin"));
    let off = "[console]\nenabled = false\n";
    let worlds = [
        ("off", Gateway::open(off)),
        ("off with a key", Gateway::open(&format!("{off}{admin}"))),
        ("other callers", Gateway::keyed("", "sk-fg-alice")),
        (
            "a name",
            Gateway::open("[server]\npublic_hosts = [\"llm.example\"]\n"),
        ),
        (
            "a proxy",
            Gateway::open("[server]\ntrusted_proxies = [\"10.0.0.1\"]\n"),
        ),
        (
            "everybody",
            Gateway::open("[auth]\nallow_unauthenticated = true\n"),
        ),
    ];
    for (what, gateway) in worlds {
        assert_eq!(browse(&gateway, "/").await.json()["name"], "fal-gateway");
        for path in ["/assets/kit.js", "/console/v1/state", "/console/v1/nothing"] {
            let request = gateway.request("GET", path).header("x-console", "1");
            let answer = send(request).await;
            assert_eq!(answer.status, 404, "{what} {path}");
            assert_eq!(
                answer.json()["error"]["code"],
                "unknown_url",
                "{what} {path}"
            );
        }
    }
}
