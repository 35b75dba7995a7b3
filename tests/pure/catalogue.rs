//! Which names stand for which models, and which for none.

use fal_gateway::translate::model::{Catalogue, Changes, DEFAULT_MODEL};

fn id_of(catalogue: &Catalogue, name: &str) -> Option<String> {
    let resolved = catalogue.resolve(Some(name)).ok()?;
    Some(resolved.id.into_owned())
}

#[test]
fn capitals_and_versions_do_not_matter() {
    let catalogue = Catalogue::new(Changes {
        builtin_aliases: true,
        aliases: vec![("Fast".to_owned(), DEFAULT_MODEL.to_owned())],
        ..Changes::default()
    });
    for (name, id) in [
        ("OpenAI/GPT-4o-mini", "openai/gpt-4o-mini"),
        ("GPT-4o", "openai/gpt-4o"),
        ("gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("openai/gpt-4.1-2025-04-14", "openai/gpt-4.1"),
        ("claude-3-5-sonnet-20241022", "anthropic/claude-3.5-sonnet"),
        (
            "Anthropic/Claude-3-Haiku-20240307",
            "anthropic/claude-3-haiku",
        ),
        ("claude-3-5-haiku-latest", "anthropic/claude-3-5-haiku"),
        ("FAST", DEFAULT_MODEL),
        ("Mystery/Model-2024-08-06", "Mystery/Model-2024-08-06"),
    ] {
        assert_eq!(id_of(&catalogue, name).as_deref(), Some(id), "{name}");
    }
    for name in [
        "gpt-4o-08-06",
        "gpt-4o-2024-8-6",
        "gpt-4o-1234",
        "-latest",
        "2024-08-06",
        "-20240806",
    ] {
        assert_eq!(id_of(&catalogue, name), None, "{name}");
    }
}

#[test]
fn what_is_hidden_is_neither_listed_nor_served_under_any_name() {
    for refuse_unknown in [false, true] {
        let catalogue = Catalogue::new(Changes {
            builtin_aliases: true,
            aliases: vec![
                ("best".to_owned(), "mine".to_owned()),
                ("mine".to_owned(), "OpenAI/gpt-4o".to_owned()),
                ("odd".to_owned(), "mystery/model".to_owned()),
            ],
            hide: vec!["openai/GPT-4o".to_owned(), "mystery/model".to_owned()],
            refuse_unknown,
            fallbacks: vec![(
                "openai/gpt-4.1".to_owned(),
                vec![
                    "best".to_owned(),
                    "openai/gpt-4o".to_owned(),
                    "openai/gpt-4o-mini".to_owned(),
                ],
            )],
            ..Changes::default()
        });
        for name in [
            "openai/gpt-4o",
            "OPENAI/GPT-4O",
            "openai/gpt-4o-2024-08-06",
            "openai/gpt-4o-latest",
            "gpt-4o",
            "best",
            "Mine",
            "odd",
            "mystery/model",
            "Mystery/Model-20240806",
        ] {
            assert_eq!(id_of(&catalogue, name), None, "{name}");
            assert!(catalogue.find(name).is_none(), "{name}");
            let refusal = catalogue.unknown(name, ["mystery/model", "openai/gpt-4o"].into_iter());
            let suggested = refusal
                .message
                .split_once("Closest: ")
                .map_or("", |(_, rest)| rest);
            let names = suggested.split_once(". ").map_or("", |(names, _)| names);
            let is_hidden = |name: &str| ["mystery/model", "openai/gpt-4o"].contains(&name);
            assert!(
                !names.split(", ").any(is_hidden),
                "{name}: {}",
                refusal.message
            );
        }
        assert!(
            catalogue
                .cards()
                .iter()
                .all(|card| !catalogue.hides(&card.id))
        );
        assert!(
            catalogue
                .aliases()
                .all(|(alias, _)| !catalogue.hides(alias))
        );
        assert_eq!(
            catalogue.fallbacks("openai/gpt-4.1"),
            ["openai/gpt-4o-mini"]
        );
        assert!(id_of(&catalogue, "openai/gpt-4o-mini").is_some());
    }
}

#[test]
fn the_closest_names_are_others() {
    let catalogue = Catalogue::new(Changes {
        builtin_aliases: true,
        ..Changes::default()
    });
    for name in [
        "openai/gpt-4o",
        "gpt-4o",
        "OpenAI/GPT-4o",
        "openai/gpt-4o-2024-08-06",
    ] {
        let message = catalogue
            .unknown(name, ["openai/gpt-4o"].into_iter())
            .message;
        assert!(message.contains("Closest: "), "{message}");
        assert!(!message.contains("Closest: openai/gpt-4o,"), "{message}");
        assert!(!message.contains(" openai/gpt-4o,"), "{message}");
    }
}
