//! Lists, a page at a time. Only what is on the page is made ready to be shown.

use std::cmp::Ordering;

use serde_json::{Value as Json, json};

use super::keys::invalid;
use super::query::Query;
use crate::api::error::ApiError;

/// How many items a page has if nothing is said.
const USUAL: usize = 100;

/// What part of a list is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// How many items at most.
    pub(super) limit: usize,
    /// The id of the last item of the page before; empty for the first page.
    pub(super) after: String,
}

/// The parameters that every list has.
pub(super) const PAGE: &[&str] = &["limit", "after"];

/// Reads them out of a query; `most` is the most that a page may have.
///
/// # Errors
/// 400 for a number that no page can have.
pub(super) fn wanted(query: &Query, most: usize) -> Result<Wanted, ApiError> {
    let limit = query.number("limit")?;
    if limit == Some(0) {
        return Err(invalid("limit", "Invalid 'limit': it takes 1 or more."));
    }
    let limit = limit.map_or(USUAL, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Wanted {
        limit: limit.min(most),
        after: query.one("after").unwrap_or_default().to_owned(),
    })
}

/// Two lists as one, each in the order of its names; of two items of one name that of the second list
/// holds.
pub(super) fn merged<'n, T>(
    one: impl Iterator<Item = (&'n str, T)>,
    other: impl Iterator<Item = (&'n str, T)>,
) -> impl Iterator<Item = (&'n str, T)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || {
        let order = match (one.peek(), other.peek()) {
            (Some((first, _)), Some((second, _))) => first.cmp(second),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        if order == Ordering::Equal {
            one.next();
        }
        match order {
            Ordering::Less => one.next(),
            Ordering::Equal | Ordering::Greater => other.next(),
        }
    })
}

/// The page that is wanted, of the items that come after the page before.
pub(super) fn page<Id: AsRef<str>, T>(
    items: impl IntoIterator<Item = (Id, T)>,
    wanted: &Wanted,
    shown: impl Fn(T) -> Json,
) -> Json {
    let mut rest = items.into_iter();
    let page = rest.by_ref().take(wanted.limit);
    let page: Vec<(Id, Json)> = page.map(|(id, item)| (id, shown(item))).collect();
    let has_more = rest.next().is_some();
    json!({
        "object": "list",
        "first_id": page.first().map(|(id, _)| id.as_ref()),
        "last_id": page.last().map(|(id, _)| id.as_ref()),
        "has_more": has_more,
        "data": page.iter().map(|(_, item)| item).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_lists_each_name_comes_once_and_in_order() {
        let one = [("a", 1), ("b", 1), ("d", 1), ("e", 1)];
        let other = [("b", 2), ("c", 2), ("e", 2), ("f", 2)];
        let all: Vec<_> = merged(one.into_iter(), other.into_iter()).collect();
        let expected = [("a", 1), ("b", 2), ("c", 2), ("d", 1), ("e", 2), ("f", 2)];
        assert_eq!(all, expected);
    }

    #[test]
    fn only_what_is_on_the_page_is_made_ready() {
        let made = std::cell::Cell::new(0);
        let items = (0..1000).map(|number| (number.to_string(), number));
        let query = Query::of("limit=3&after=x&limit=2", &[PAGE]).unwrap();
        let wanted = wanted(&query, 100).unwrap();
        assert_eq!((wanted.limit, wanted.after.as_str()), (2, "x"));
        let page = page(items, &wanted, |number| {
            made.set(made.get() + 1);
            json!(number)
        });
        assert_eq!(made.get(), 2);
        assert_eq!(page["data"], json!([0, 1]));
        assert_eq!(
            (&page["last_id"], &page["has_more"]),
            (&json!("1"), &json!(true))
        );
    }
}
