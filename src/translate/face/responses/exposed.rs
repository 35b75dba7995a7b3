//! The names under which tools are offered to a model, and what each of them stands for.
//!
//! Models know functions with a name. Custom tools are offered as functions with one text, tools in
//! a namespace under a name that holds both names; a call is mapped back to exactly what was asked
//! for, because clients carry out nothing else.

use std::borrow::Cow;

/// The longest name that a model is shown.
const LONGEST_NAME: usize = 64;

/// What a name that a model calls stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// What the model calls.
    pub shown: String,
    pub namespace: Option<String>,
    pub name: String,
    /// Whether it takes a text and no JSON.
    pub is_custom: bool,
}

/// The names of one request's tools.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<Exposed>);

impl Names {
    /// Finds a name for a tool that no other tool of the request has.
    pub fn expose(&mut self, namespace: Option<&str>, name: &str, is_custom: bool) -> String {
        let wanted = shown_name(namespace, name);
        let mut shown = wanted.clone();
        let mut number = 1_usize;
        while self.0.iter().any(|other| other.shown == shown) {
            number = number.saturating_add(1);
            let ending = format!("_{number}");
            let room = LONGEST_NAME.saturating_sub(ending.len());
            shown = wanted.chars().take(room).collect::<String>() + &ending;
        }
        self.0.push(Exposed {
            shown: shown.clone(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            is_custom,
        });
        shown
    }

    /// The tool of exactly these names, if there is one already.
    pub fn exactly(&self, namespace: Option<&str>, name: &str) -> Option<&Exposed> {
        let is_it =
            |exposed: &&Exposed| exposed.name == name && exposed.namespace.as_deref() == namespace;
        self.0.iter().find(is_it)
    }

    /// Says anew whether a tool takes a text.
    pub fn set_custom(&mut self, shown: &str, is_custom: bool) {
        let mut named = self.0.iter_mut().filter(|exposed| exposed.shown == shown);
        if let Some(exposed) = named.next() {
            exposed.is_custom = is_custom;
        }
    }

    /// What a name that the model has called stands for.
    pub fn meant_by(&self, shown: &str) -> Option<&Exposed> {
        self.0.iter().find(|exposed| exposed.shown == shown)
    }

    /// What a tool is called here: the one of this namespace, or without one the only tool of the
    /// name.
    pub fn shown(&self, namespace: Option<&str>, name: &str) -> Option<&str> {
        let named = || self.0.iter().filter(|exposed| exposed.name == name);
        let exact = named().find(|exposed| exposed.namespace.as_deref() == namespace);
        let found = exact.or_else(|| match (namespace, named().count()) {
            (None, 1) => named().next(),
            _ => None,
        });
        found.map(|exposed| exposed.shown.as_str())
    }

    /// The same for a call in a history, whose tool may no longer be offered.
    pub fn shown_in_history<'a>(
        &self,
        namespace: Option<&str>,
        name: Cow<'a, str>,
    ) -> Cow<'a, str> {
        match self.shown(namespace, &name) {
            Some(shown) if shown == name => name,
            Some(shown) => Cow::Owned(shown.to_owned()),
            None if namespace.is_none() => name,
            None => Cow::Owned(shown_name(namespace, &name)),
        }
    }
}

/// Both names in one, in letters that any function may have.
fn shown_name(namespace: Option<&str>, name: &str) -> String {
    let letters = namespace.into_iter().flat_map(|space| [space, "__"]);
    let plain = |letter: char| match letter.is_ascii_alphanumeric() || "_-".contains(letter) {
        true => letter,
        false => '_',
    };
    let shown = letters.chain([name]).flat_map(str::chars).map(plain);
    shown.take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_has_a_name_of_its_own_that_leads_back_to_it() {
        let mut names = Names::default();
        let [long, longer] = [79, 80].map(|letters| "a".repeat(letters));
        let tools = [
            (None, "run"),
            (None, "mcp__a__run"),
            (Some("mcp__a"), "run"),
            (Some("b.c"), "run.it"),
            (Some("b_c"), "run_it"),
            (Some("x"), longer.as_str()),
            (Some("x"), long.as_str()),
        ];
        let shown = tools.map(|(namespace, name)| names.expose(namespace, name, false));
        assert_eq!(shown[2], "mcp__a__run_2");
        assert_eq!(shown[4], "b_c__run_it_2");
        for ((namespace, name), shown) in tools.iter().zip(&shown) {
            assert!(shown.len() <= LONGEST_NAME, "{shown}");
            let meant = names.meant_by(shown).expect("it was exposed");
            assert_eq!(
                (meant.namespace.as_deref(), meant.name.as_str()),
                (*namespace, *name)
            );
            assert_eq!(names.shown(*namespace, name), Some(shown.as_str()));
        }
        assert_eq!(names.shown(None, "run.it"), Some("b_c__run_it"));
        assert_eq!(names.shown(Some("c"), "run"), None);
        assert_eq!(
            names.shown_in_history(Some("old"), "run".into()),
            "old__run"
        );
    }
}
