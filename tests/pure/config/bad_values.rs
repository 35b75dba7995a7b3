//! Every kind of bad value, and the sentence it earns.

use super::{file, hash, problems};
use fal_gateway::config::Sources;

#[test]
fn a_problem_names_origin_setting_value_and_what_is_allowed() {
    assert_eq!(
        problems(&file("[server]\n\nheader_timeout = \"2 minutes-ish\"")),
        "fal-gateway.toml:3: server.header_timeout is \"2 minutes-ish\", but takes a duration such \
         as `500ms`, `3s`, `2m` or `1h`, from 1ms to 1h."
    );
    assert_eq!(
        problems(&Sources::default().with_env("FAL_GATEWAY__LIMITS__MAX_N", "many")),
        "environment variable FAL_GATEWAY__LIMITS__MAX_N: limits.max_n is \"many\", but takes a \
         whole number from 1 to 128."
    );
    assert_eq!(
        problems(&Sources::default().with_flag("--log-level", "warm")),
        "flag --log-level: log.level is \"warm\", but takes `error`, `warn`, `info`, `debug` or \
         `trace`; did you mean `warn`?"
    );
}

#[test]
fn every_kind_of_setting_refuses_what_it_cannot_take() {
    let bad = [
        ("server.listen", "\"127.0.0.1\""),
        ("server.listen", "3250"),
        ("server.listen", "\"example.com:80\""),
        ("server.listen", "\"localhost:70000\""),
        ("server.workers", "-1"),
        ("server.workers", "\"four\""),
        ("server.workers", "1.5"),
        ("server.workers", "99999999999999999999"),
        ("server.header_timeout", "10"),
        ("server.header_timeout", "\"10\""),
        ("server.header_timeout", "\"-1s\""),
        ("server.header_timeout", "\"0s\""),
        ("server.header_timeout", "\"2h\""),
        ("server.heartbeat", "\"0\""),
        ("server.max_body", "0"),
        ("server.max_body", "\"16 megs\""),
        ("server.max_body", "\"2GiB\""),
        ("server.cors_origins", "[\"chat.example.com\"]"),
        ("server.cors_origins", "[\"https://chat.example.com/page\"]"),
        ("server.cors_origins", "true"),
        ("server.public_hosts", "[\"https://llm.example.com\"]"),
        ("server.public_hosts", "[\"llm.example.com:443\"]"),
        ("fal.url", "\"fal.run\""),
        ("fal.url", "\"http://fal.run\""),
        ("fal.url", "\"http://127.0.0.1.example.com\""),
        ("fal.url", "\"ftp://fal.run\""),
        ("fal.url", "\"https://user:pass@fal.run\""),
        ("fal.url", "\"https://fal.run?x=1\""),
        ("fal.url", "\"https://fal.run#x\""),
        ("fal.url", "\"\""),
        ("fal.proxy", "true"),
        ("fal.proxy", "\"socks5://proxy.example.com\""),
        ("fal.proxy", "\"http://\""),
        ("fal.proxy", "\"http://proxy.example.com/x\""),
        ("fal.proxy", "\"http://proxy.example.com?x=1\""),
        ("fal.proxy", "\"nonsense\""),
        ("fal.proxy", "\"http://proxy.example.com\""),
        ("fal.proxy", "\"http://[::1]\""),
        ("fal.proxy", "\"3128\""),
        ("fal.proxy", "\"3128:3128\""),
        ("fal.proxy", "\"-:3128\""),
        ("fal.proxy", "\"...:3128\""),
        ("fal.proxy", "\"http://-x-:3128\""),
        ("fal.proxy", "\"http://x:0\""),
        ("fal.proxy", "\"http://user:3128@x\""),
        ("fal.url", "\"https://fal.run:0\""),
        ("fal.url", "\"https://-fal-\""),
        ("fal.queue_url", "\"https://...\""),
        ("fal.ca_file", "1"),
        ("fal.app", "\"/fal-ai/any-llm\""),
        ("fal.app", "\"fal-ai/../other\""),
        ("fal.app", "\"any-llm\""),
        ("fal.app", "\"fal-ai/any-llm/stream\""),
        ("fal.app", "\"fal-ai/any-llm/enterprise/stream\""),
        ("fal.router_app", "\"openrouter/router/vision\""),
        ("fal.router_app", "\"openrouter/router/audio\""),
        ("fal.router_app", "\"openrouter/router/video/stream\""),
        (
            "fal.openai_app",
            "\"openrouter/router/openai/v1/chat/completions\"",
        ),
        ("fal.key", "12"),
        ("fal.key", "\"two words\""),
        ("fal.key", "\"bell\\u0007\""),
        ("fal.key", "\"schlüssel\""),
        ("fal.connect_attempts", "0"),
        ("fal.connect_attempts", "11"),
        ("fal.missing_final", "\"maybe\""),
        ("fal.upstream", "\"openai\""),
        ("fal.openai_app", "\"v1\""),
        ("fal.enterprise", "\"yes\""),
        ("fal.enterprise", "1"),
        ("limits.max_n", "0"),
        ("limits.max_n", "129"),
        ("limits.max_tokens", "0"),
        ("limits.overflow", "[\"error\"]"),
        ("auth.keys", "[12]"),
        ("auth.keys", "[\"plain\"]"),
        ("auth.admin_key", "\"plain\""),
        ("models.default", "\"\""),
        ("models.default", "\"two words/x\""),
        ("models.aliases", "\"fast\""),
        ("models.aliases", "{ fast = 1 }"),
        ("models.aliases", "{ \"two words\" = \"x/y\" }"),
        ("models.add", "[{ vision = true }]"),
        ("models.add", "[{ id = \"two words\" }]"),
        (
            "models.add",
            "[{ id = \"a/b\" }, { id = \"c/d\" }, { id = \"a/b\", premium = true }]",
        ),
        ("models.add", "[{ id = \"a/b\", vision = \"yes\" }]"),
        ("models.add", "[{ id = \"a/b\", parameters = [\"toolz\"] }]"),
        ("models.add", "[{ id = \"a/b\", inputs = \"smell\" }]"),
        ("models.add", "[{ id = \"a/b\", reasoning = \"always\" }]"),
        ("models.add", "[{ id = \"a/b\", prompt_price = \"1\" }]"),
        (
            "models.add",
            "[{ id = \"a/b\", prompt_price = \"1e-6\", completion_price = \"0\" }]",
        ),
        (
            "models.add",
            "[{ id = \"a/b\", prompt_price = \"-1\", completion_price = \"0\" }]",
        ),
        (
            "models.add",
            "[{ id = \"a/b\", prompt_price = \"0.0000000000001\", completion_price = \"0\" }]",
        ),
        ("models.add", "[\"a/b\"]"),
        ("models.add", "{ id = \"a/b\" }"),
        ("models.fallbacks", "{ \"a/b\" = [1] }"),
        ("log.format", "\"xml\""),
        ("metrics.enabled", "\"\""),
        ("metrics.listen", "\"9325\""),
    ];
    for (key, value) in bad {
        let found = problems(&file(&format!("{key} = {value}")));
        assert_eq!(found.lines().count(), 1, "{key} = {value}: {found}");
        assert!(
            found.starts_with("fal-gateway.toml:1: "),
            "{key} = {value}: {found}"
        );
        assert!(found.contains(key), "{key} = {value}: {found}");
    }
}

/// What one application adds to its path may be the name of another.
#[test]
fn an_application_may_be_called_what_the_gateway_adds_to_others() {
    for (key, app) in [
        ("fal.openai_app", "my/llm/vision"),
        ("fal.openai_app", "my/llm/stream"),
        ("fal.openai_app", "my/llm/openai/v1"),
        ("fal.openai_app", "my/chat-completions"),
        ("fal.openai_app", "chat/completions"),
        ("fal.router_app", "my/llm/chat/completions"),
        ("fal.app", "my/llm/audio"),
        ("fal.app", "my/stream"),
    ] {
        assert_eq!(problems(&file(&format!("{key} = \"{app}\""))), "", "{app}");
    }
    let found = problems(&file("fal.openai_app = \"my/llm/vision/chat/completions\""));
    assert!(found.contains("take `my/llm/vision`"), "{found}");
}

#[test]
fn all_problems_are_reported_at_once_from_all_sources() {
    let sources = file(
        "[server]\nlisten = \"x\"\nworkers = -1\nlistn = \"y\"\n[limits]\nmax_n = 0\n[nonsense]",
    )
    .with_env("FAL_GATEWAY__FAL__URL", "z")
    .with_env("FAL_GATEWAY__FAL__NOPE", "1")
    .with_env("PORT", "http")
    .with_flag("--log-level", "loud");
    let found = problems(&sources);
    let starts = [
        "fal-gateway.toml:4: there is no setting `server.listn`",
        "fal-gateway.toml:7: there is no section `nonsense`",
        "environment variable FAL_GATEWAY__FAL__NOPE: no setting has this variable",
        "environment variable PORT: is \"http\", but takes a port",
        "fal-gateway.toml:2: server.listen",
        "fal-gateway.toml:3: server.workers",
        "environment variable FAL_GATEWAY__FAL__URL: fal.url",
        "fal-gateway.toml:6: limits.max_n",
        "flag --log-level: log.level",
    ];
    assert_eq!(found.lines().count(), starts.len(), "{found}");
    for (line, start) in found.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn unknown_names_come_with_the_one_that_was_probably_meant() {
    let guesses = [
        (
            "[server]\nlisen = 1",
            "`server.lisen`; did you mean `server.listen`?",
        ),
        (
            "[server]\nidle_timeout = \"1s\"",
            "`server.idle_timeout`; did you mean `server.write_timeout`?",
        ),
        (
            "[server]\nfallbacks = 1",
            "`server.fallbacks`; did you mean `models.fallbacks`?",
        ),
        ("[sever]\nlisten = 1", "`sever`; did you mean `server`?"),
        (
            "listen = \"127.0.0.1:1\"",
            "`listen`; did you mean `server.listen`?",
        ),
        ("[server]\nxyzzy = 1", "no setting `server.xyzzy`."),
        (
            "[[models.add]]\nid = \"a/b\"\nvison = true",
            "entry 1 of models.add has no field `vison`; did you mean `vision`?",
        ),
    ];
    for (text, end) in guesses {
        let found = problems(&file(text));
        assert!(found.ends_with(end), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    let found = problems(&Sources::default().with_env("FAL_GATEWAY__SERVER__LISTN", "x"));
    assert!(
        found.ends_with("did you mean `FAL_GATEWAY__SERVER__LISTEN`?"),
        "{found}"
    );
    let found = problems(&Sources::default().with_env("FAL_GATEWAY__LISTEN", "x"));
    assert!(
        found.ends_with("did you mean `FAL_GATEWAY__SERVER__LISTEN`?"),
        "{found}"
    );
}

#[test]
fn a_section_that_is_no_table_is_told_so() {
    assert_eq!(
        problems(&file("server = 5")),
        "fal-gateway.toml:1: `server` is a section; write `[server]` and its settings below."
    );
}

#[test]
fn problems_inside_lists_and_tables_name_their_own_line() {
    let text = format!(
        "[auth]\nkeys = [\n  \"{}\",\n  \"oops\",\n]\n[models.aliases]\ngood = \"a/b\"\nbad = 7",
        hash('1')
    );
    let found = problems(&file(&text));
    let mut lines = found.lines();
    let (first, second) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    assert!(
        first.starts_with("fal-gateway.toml:4: entry 2 of auth.keys is not the hash"),
        "{found}"
    );
    assert!(first.contains("`fal-gateway keys hash`"), "{found}");
    assert!(
        second.starts_with("fal-gateway.toml:8: models.aliases.\"bad\" is 7"),
        "{found}"
    );
    assert_eq!(lines.next(), None, "{found}");
}

#[test]
fn syntax_errors_name_their_lines_and_hide_no_other_source() {
    let sources = file("[server]\nlisten = \n[fal]\nenterprise = yes\n").with_env("PORT", "x");
    let found = problems(&sources);
    assert!(
        found.contains("fal-gateway.toml:2: not valid TOML: "),
        "{found}"
    );
    assert!(
        found.contains("fal-gateway.toml:4: not valid TOML: "),
        "{found}"
    );
    assert!(found.contains("environment variable PORT"), "{found}");
    assert!(problems(&file("[a]\n[a]\n")).starts_with("fal-gateway.toml:2: not valid TOML: "));
}

#[test]
fn line_numbers_survive_windows_line_ends_and_a_byte_order_mark() {
    let found = problems(&file("\u{feff}[server]\r\n\r\nworkers = -1\r\n"));
    assert!(
        found.starts_with("fal-gateway.toml:3: server.workers is -1"),
        "{found}"
    );
}

#[test]
fn what_is_quoted_is_short_and_has_no_control_characters() {
    let long = "x".repeat(10_000);
    let found = problems(&Sources::default().with_flag("--listen", format!("\x1b[31m\n{long}")));
    assert!(found.contains("\"\\u{1b}[31m\\nxxx"), "{found}");
    assert!(
        found.chars().count() < 400 && !found.contains(|c: char| c.is_control()),
        "{found}"
    );
}

#[test]
fn names_out_of_the_sources_are_short_and_have_no_control_characters_either() {
    let long = "x".repeat(10_000);
    let sources = [
        Sources::default().with_env("FAL_GATEWAY__\x1b[31mLISTEN", "x"),
        Sources::default().with_env(format!("FAL_GATEWAY__{long}"), "x"),
        file(&format!("[server]\n{long} = 1")),
        file(&format!("[{long}]")),
        file("\"\\u001b[31m\" = 1"),
    ];
    for sources in sources {
        let found = problems(&sources);
        assert_eq!(found.lines().count(), 1, "{found}");
        assert!(
            found.chars().count() < 700 && !found.contains(|c: char| c.is_control()),
            "{found}"
        );
    }
}

#[test]
fn client_keys_are_given_in_one_variable_only_and_never_none_at_all() {
    let both = Sources::default()
        .with_env("FAL_GATEWAY_KEYS", "sk-one")
        .with_env("FAL_GATEWAY__AUTH__KEYS", hash('a'));
    assert!(problems(&both).starts_with(
        "environment variable FAL_GATEWAY_KEYS: FAL_GATEWAY__AUTH__KEYS is set as well"
    ));
    let none = Sources::default().with_env("FAL_GATEWAY_KEYS", " , ");
    assert!(problems(&none).starts_with("environment variable FAL_GATEWAY_KEYS: holds no key"));
}
