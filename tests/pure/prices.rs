//! What models cost and can: whole numbers throughout, and unknown where nothing says so.

use fal_gateway::translate::model::{
    Catalogue, Changes, Modality, ModelInfo, Parameter, Parameters, PicoDollars,
};

fn of(id: &str) -> ModelInfo {
    let catalogue = Catalogue::new(Changes::default());
    let card = catalogue.card(id);
    card.unwrap_or_else(|| panic!("{id} is in the catalogue"))
        .clone()
}

#[test]
fn amounts_are_read_as_json_and_python_write_them() {
    for (text, pico) in [
        ("0", 0),
        ("0.0", 0),
        ("1", 1_000_000_000_000),
        ("0.0000001", 100_000),
        ("0.0000001495", 149_500),
        ("1e-7", 100_000),
        ("4e-05", 40_000_000),
        ("5.795E-4", 579_500_000),
        ("1.5e3", 1_500_000_000_000_000),
        ("0.00000008333333333333334", 83_333),
        ("0.0000000000005", 1),
        ("0.00000000000049", 0),
        ("1e-400", 0),
        ("18446744.073709551615", u64::MAX),
    ] {
        let read = text.parse::<PicoDollars>();
        assert_eq!(read, Ok(PicoDollars(pico)), "{text}");
    }
    for text in [
        "",
        ".",
        ".5",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1,5",
        "0x1",
        "1e",
        "e5",
        "1e1.5",
        "NaN",
        "inf",
        "18446744.073709551616",
        "1e9",
        "1e2147483647",
        "1e99999999999",
        "١",
    ] {
        assert!(text.parse::<PicoDollars>().is_err(), "{text}");
    }
    assert!("1".repeat(65).parse::<PicoDollars>().is_err());
}

#[test]
fn amounts_are_written_without_exponents_and_read_back() {
    for (pico, text) in [
        (0, "0"),
        (1, "0.000000000001"),
        (100_000, "0.0000001"),
        (579_500_000, "0.0005795"),
        (10_000_000_000_000, "10"),
        (10_500_000_000_000, "10.5"),
        (u64::MAX, "18446744.073709551615"),
    ] {
        assert_eq!(PicoDollars(pico).to_string(), text);
        assert_eq!(text.parse(), Ok(PicoDollars(pico)), "{text}");
    }
}

/// fal's own examples of answers by its router, with the model's list price.
#[test]
fn what_an_answer_costs_is_what_fal_charged() {
    let price = of("google/gemini-2.5-flash").router.price.unwrap();
    assert_eq!(price.of(40, 227).to_string(), "0.0005795");
    assert_eq!(price.of(1340, 63).to_string(), "0.0005595");
    assert_eq!(price.of(u64::MAX, u64::MAX), PicoDollars(u64::MAX));
}

#[test]
fn a_flat_price_is_cheaper_for_long_answers_alone() {
    for (id, units, prompt, just_below, enough) in [
        // 0.001 dollars against 0.00003 and 0.0000004 for each token of the answer; with a fifth
        // on top that is 3050 tokens.
        ("google/gemini-2.5-flash-lite", 1, 300, 3049, 3050),
        ("openai/gpt-4o", 10, 300, 1174, 1175),
        ("openai/gpt-oss-120b", 1, 300, 6879, 6880),
    ] {
        let model = of(id);
        assert_eq!(model.any_llm.units(false), Some(units), "{id}");
        let is_flat = |answer| model.is_cheaper_on_any_llm(false, prompt, answer);
        assert_eq!(is_flat(just_below), Some(false), "{id}");
        assert_eq!(is_flat(enough), Some(true), "{id}");
    }
    let premium = of("openai/gpt-4o");
    assert_eq!(premium.any_llm.units(true), Some(3), "images");
    assert_eq!(premium.any_llm.cost(false).unwrap().to_string(), "0.01");
    let unknown = ModelInfo::of_unknown("acme/new");
    assert_eq!(unknown.is_cheaper_on_any_llm(false, 1, 1), None);
}

#[test]
fn what_a_model_can_is_told_and_what_is_not_known_is_not_made_up() {
    let mini = of("openai/gpt-4o-mini");
    assert_eq!(mini.supports(Parameter::Tools), Some(true));
    assert_eq!(mini.supports(Parameter::TopK), Some(false));
    assert_eq!(mini.accepts(Modality::Image), Some(true));
    assert_eq!(mini.accepts(Modality::Audio), Some(false));
    let maverick = of("meta-llama/llama-4-maverick");
    assert_eq!(maverick.supports(Parameter::Tools), Some(false));
    assert_eq!(of("openai/o3").supports(Parameter::Stop), Some(false));
    for unknown in [
        ModelInfo::of_unknown("acme/new"),
        of("google/gemini-flash-1.5"),
    ] {
        for parameter in Parameter::ALL {
            assert_eq!(unknown.supports(*parameter), None, "{parameter:?}");
        }
        assert_eq!(unknown.accepts(Modality::Text), None);
        assert_eq!(unknown.router.price, None);
    }
}

#[test]
fn sets_hold_what_was_put_in_and_names_lead_back() {
    for parameter in Parameter::ALL {
        assert_eq!(Parameter::named(parameter.name()), Some(*parameter));
        let one = Parameters::of(&[*parameter]);
        assert_eq!(one.iter().collect::<Vec<_>>(), [*parameter]);
    }
    for modality in Modality::ALL {
        assert_eq!(Modality::named(modality.name()), Some(*modality));
    }
    let all: Parameters = Parameter::ALL.iter().copied().collect();
    assert_eq!(all.iter().count(), Parameter::ALL.len());
    assert!(Parameters::default().iter().next().is_none());
    assert_eq!(Parameter::named("messages"), None);
}

#[test]
fn what_openrouter_has_dropped_is_taken_but_not_shown() {
    let catalogue = Catalogue::new(Changes::default());
    let unlisted = catalogue.cards().iter().filter(|card| !card.is_listed);
    let ids: Vec<&str> = unlisted.map(|card| card.id.as_ref()).collect();
    assert_eq!(
        ids,
        [
            "anthropic/claude-3.7-sonnet",
            "anthropic/claude-3.5-sonnet",
            "anthropic/claude-3-5-haiku",
            "google/gemini-pro-1.5",
            "google/gemini-flash-1.5",
            "google/gemini-flash-1.5-8b",
        ]
    );
    for id in ids {
        assert!(catalogue.resolve(Some(id)).is_ok(), "{id}");
        assert_eq!(of(id).router.is_served, Some(false), "{id}");
    }
}
