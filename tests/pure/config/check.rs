//! `fal-gateway check`, and the reference printed from the same table.

use super::file;
use fal_gateway::cli::check::{check, print_reference};
use fal_gateway::config::{Sources, reference, sections};

fn checked(sources: &Sources) -> (u8, String) {
    let mut page = Vec::new();
    let code = check(sources, &mut page).expect("memory can be written");
    (code, String::from_utf8(page).expect("only text is printed"))
}

/// The line of a setting, with runs of spaces made one.
fn line(page: &str, key: &str) -> String {
    let line = page
        .lines()
        .find(|line| line.split(' ').next() == Some(key));
    let words = line.unwrap_or_default().split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_setting_is_shown_with_its_origin() {
    let sources = file("[server]\nmax_body = \"1MiB\"\n[models.aliases]\nfast = \"a/b\"\n[models]\nhide = [\"c/d\", \"e/f\"]")
        .with_env("FAL_GATEWAY__LIMITS__MAX_N", "2")
        .with_env("PORT", "80")
        .with_flag("--log-level", "debug");
    let (code, page) = checked(&sources);
    assert_eq!(code, 0, "{page}");
    assert!(page.ends_with("\nOK\n"), "{page}");
    let expected = [
        (
            "server.listen",
            "= 127.0.0.1:80 # environment variable PORT",
        ),
        ("server.max_body", "= 1MiB # fal-gateway.toml:2"),
        ("server.body_timeout", "= 30s # default"),
        ("fal.key", "= none # default"),
        (
            "limits.max_n",
            "= 2 # environment variable FAL_GATEWAY__LIMITS__MAX_N",
        ),
        ("models.aliases", "= { fast = a/b } # fal-gateway.toml:4"),
        ("models.hide", "= c/d, e/f # fal-gateway.toml:6"),
        ("log.level", "= debug # flag --log-level"),
    ];
    for (key, rest) in expected {
        assert_eq!(line(&page, key), format!("{key} {rest}"));
    }
    for setting in sections().iter().flat_map(|section| &section.settings) {
        assert_ne!(line(&page, setting.key), "", "{} is missing", setting.key);
    }
}

#[test]
fn problems_are_listed_and_the_exit_code_is_2() {
    let (code, page) = checked(&file("[server]\nlisten = \"x\"\nworkers = -1"));
    assert_eq!(code, 2);
    assert!(
        page.contains("\nfal-gateway.toml:2: server.listen is \"x\""),
        "{page}"
    );
    assert!(page.ends_with("\n2 problems\n"), "{page}");
}

#[test]
fn warnings_do_not_change_the_exit_code() {
    let (code, page) = checked(&Sources::default().with_flag("--open", "true"));
    assert_eq!(code, 0);
    assert!(
        page.contains("\nwarning: auth.allow_unauthenticated is on"),
        "{page}"
    );
}

#[test]
fn the_reference_has_a_row_for_every_setting() {
    let mut page = Vec::new();
    assert_eq!(print_reference(&mut page).ok(), Some(0));
    assert_eq!(page, reference().into_bytes());
    for section in sections() {
        assert!(reference().contains(&format!("\n### `[{}]`\n", section.name)));
        for setting in &section.settings {
            let start = format!("\n| `{}` | ", setting.name());
            assert!(reference().contains(&start), "{}", setting.key);
            assert!(
                setting.meaning.ends_with('.'),
                "{} is no sentence",
                setting.key
            );
        }
    }
}

#[test]
fn every_default_can_be_given_by_hand() {
    for setting in sections().iter().flat_map(|section| &section.settings) {
        let sources = Sources::default().with_env(setting.variable(), setting.default);
        let (code, page) = checked(&sources);
        assert_eq!(code, 0, "{}: {page}", setting.key);
    }
}
