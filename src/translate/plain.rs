//! Texts without what a model leaves out or undoes when it repeats them.
//!
//! One layer of escapes, entities and percent codes is undone; letters are small; signs of full
//! width and mathematical letters become the usual ones; quotation marks, comments, the prefixes of
//! quoted lines, and characters that cannot be seen are left out; white space is one space.

use unicode_normalization::UnicodeNormalization;

use super::escapes;

/// Entities of HTML that stand for signs of JSON and of tags.
const ENTITIES: [(&str, char); 18] = [
    ("amp", '&'),
    ("apos", '\''),
    ("colon", ':'),
    ("comma", ','),
    ("equals", '='),
    ("gt", '>'),
    ("lbrace", '{'),
    ("lbrack", '['),
    ("lcub", '{'),
    ("lpar", '('),
    ("lsqb", '['),
    ("lt", '<'),
    ("lowbar", '_'),
    ("quot", '"'),
    ("rbrace", '}'),
    ("rcub", '}'),
    ("rpar", ')'),
    ("rsqb", ']'),
];
/// Longest name of an entity, in characters.
const MAX_ENTITY: usize = 10;

/// A text on its way to its plain form; several can be joined.
#[derive(Debug, Default)]
pub struct Plain {
    out: String,
    is_line_start: bool,
}

impl Plain {
    /// Adds a text behind those before.
    pub fn add(&mut self, text: &str) {
        self.is_line_start = true;
        let mut rest = self.add_usual(text);
        while let Some(letter) = rest.chars().next() {
            let after = rest.get(letter.len_utf8()..).unwrap_or_default();
            rest = match letter {
                '\\' => self.add_escape(after),
                '&' => self.add_entity(after),
                '%' => self.add_decoded('%', escapes::percent(after), after),
                '/' if after.starts_with('*') => after_comment(after),
                letter => {
                    self.put(letter);
                    self.add_usual(after)
                }
            };
        }
    }

    /// Adds the beginning of a text that stays as it is but for its capitals, all at once, since most
    /// of a text is like that. Gives what follows.
    fn add_usual<'t>(&mut self, text: &'t str) -> &'t str {
        let mut is_behind_space = self.out.ends_with(' ');
        let stays = |byte: &u8| {
            let is_space = *byte == b' ';
            let stays = is_usual(*byte) || (is_space && !is_behind_space);
            is_behind_space = is_space;
            stays
        };
        let length = text.bytes().take_while(stays).count();
        let (usual, rest) = text.split_at_checked(length).unwrap_or(("", text));
        let from = self.out.len();
        self.out.push_str(usual);
        if let Some(added) = self.out.get_mut(from..) {
            added.make_ascii_lowercase();
        }
        self.is_line_start &= matches!(usual, "" | " ");
        rest
    }

    /// Adds a text that is plain already.
    pub fn add_plain(&mut self, plain: &str) {
        let is_behind_space = self.out.ends_with(' ');
        let rest = plain.strip_prefix(' ').filter(|_| is_behind_space);
        self.out.push_str(rest.unwrap_or(plain));
    }

    /// The plain form of all that was added.
    pub fn into_text(self) -> String {
        self.out
    }

    /// However many backslashes there are, they are one layer more of the same escape.
    fn add_escape<'t>(&mut self, after: &'t str) -> &'t str {
        let rest = after.trim_start_matches('\\');
        if let Some(rest) = rest.strip_prefix(['n', 'r', 't']) {
            self.put('\n');
            return rest;
        }
        match escapes::backslash(rest) {
            Some((decoded, rest)) => {
                decoded.into_iter().for_each(|letter| self.put(letter));
                rest
            }
            None => rest,
        }
    }

    /// An ampersand that comes out of an entity may begin another one, any number of times.
    fn add_entity<'t>(&mut self, mut after: &'t str) -> &'t str {
        loop {
            match entity(after) {
                Some((Some('&'), rest)) => after = rest,
                decoded => return self.add_decoded('&', decoded, after),
            }
        }
    }

    /// Adds what an escape stands for, or the sign that turned out to begin none. Gives what follows.
    fn add_decoded<'t>(
        &mut self,
        sign: char,
        decoded: Option<(Option<char>, &'t str)>,
        after: &'t str,
    ) -> &'t str {
        let (letter, rest) = decoded.unwrap_or((Some(sign), after));
        letter.into_iter().for_each(|letter| self.put(letter));
        rest
    }

    fn put(&mut self, letter: char) {
        if letter == '\n' {
            self.is_line_start = true;
        }
        let letter = usual_form(letter);
        if letter.is_whitespace() {
            if !self.out.ends_with(' ') {
                self.out.push(' ');
            }
            return;
        }
        let is_prefix = self.is_line_start && matches!(letter, '>' | '+' | '|' | '-' | '*' | '#');
        if is_prefix || is_left_out(letter) {
            return;
        }
        self.is_line_start = false;
        self.out.extend(letter.to_lowercase());
    }
}

/// The letters and digits of a plain text.
pub fn letters(plain: &str) -> String {
    plain
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .collect()
}

/// What the rest of an entity, behind its ampersand, stands for, and what follows it.
fn entity(text: &str) -> Option<(Option<char>, &str)> {
    if text.starts_with('#') {
        return escapes::entity_number(text);
    }
    let length = text
        .bytes()
        .take(MAX_ENTITY)
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    let (name, rest) = text.split_at_checked(length)?;
    let is_name = |(known, _): &&(&str, char)| known.eq_ignore_ascii_case(name);
    let (_, letter) = ENTITIES.iter().find(is_name)?;
    Some((Some(*letter), rest.strip_prefix(';').unwrap_or(rest)))
}

/// What follows a comment; all of the rest is one that does not end.
fn after_comment(text: &str) -> &str {
    let inside = text.get(1..).unwrap_or_default();
    inside.split_once("*/").map_or("", |(_, after)| after)
}

/// The usual form of a sign: of full width, circled, of mathematics (Unicode's NFKD). One that stands
/// for several stays as it is.
fn usual_form(letter: char) -> char {
    if letter.is_ascii() {
        return letter;
    }
    let mut forms = std::iter::once(letter).nfkd();
    match (forms.next(), forms.next()) {
        (Some(form), None) => form,
        _ => letter,
    }
}

/// See [`is_usual_byte`], of each byte.
static USUAL: [bool; 256] = {
    let mut usual = [false; 256];
    let mut rest = usual.as_mut_slice();
    let mut byte = 0_u8;
    while let Some((first, later)) = rest.split_first_mut() {
        *first = is_usual_byte(byte);
        byte = byte.wrapping_add(1);
        rest = later;
    }
    usual
};

#[expect(clippy::indexing_slicing, reason = "every byte has a place")]
fn is_usual(byte: u8) -> bool {
    USUAL[usize::from(byte)]
}

/// Whether a byte is a character of ASCII that has one meaning wherever it stands.
const fn is_usual_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'_' | b'.'
                | b','
                | b':'
                | b';'
                | b'='
                | b'('
                | b')'
                | b'{'
                | b'}'
                | b'['
                | b']'
                | b'<'
        )
}

/// Whether a character is a quotation mark, or cannot be seen (Unicode's `Cf`, and combining marks).
fn is_left_out(letter: char) -> bool {
    matches!(
        letter,
        '"' | '\'' | '`' | '´' | '“' | '”' | '„' | '‟' | '‘' | '’' | '‚' | '‛' | '«' | '»' | '‹'
            | '›' | '「' | '」' | '『' | '』' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}'
            | '\u{feff}' | '\u{0300}'..='\u{036f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{e0000}'..='\u{e01ef}'
    )
}

#[cfg(test)]
mod tests {
    use super::Plain;

    #[test]
    fn an_entity_in_an_entity_takes_no_stack() {
        let mut plain = Plain::default();
        plain.add(&format!("&{}lt;", "amp;".repeat(1_000_000)));
        assert_eq!(plain.into_text(), "<");
    }

    #[test]
    fn texts_that_are_plain_already_are_joined_as_they_would_be_as_they_came() {
        let texts = ["", " ", "a  ", "  > b", "\n\"c\" ", "\t", "&", "lt;d"];
        let pairs = texts.iter().flat_map(|one| texts.map(|two| [*one, two]));
        for texts in pairs.flat_map(|[one, two]| texts.map(|three| [one, two, three])) {
            let (mut as_they_came, mut joined) = (Plain::default(), Plain::default());
            for text in texts {
                as_they_came.add(text);
                let mut plain = Plain::default();
                plain.add(text);
                joined.add_plain(&plain.into_text());
            }
            assert_eq!(joined.into_text(), as_they_came.into_text(), "{texts:?}");
        }
    }

    #[test]
    fn spellings_of_one_text_have_one_plain_form() {
        let spellings = [
            r#"{"name": "send_email"}"#,
            "{“name”: «send_email»}",
            "{`name`:  'send_email'}",
            "&#123;&quot;name&quot;: &amp;quot;send_email&amp;quot;&#x7d;",
            "&lbrace;name: send_email&rbrace;",
            r"\x7bname: send_email\u{7d}",
            r#"\\u007b\\\"name\\\": \"send_email\"\\u007D"#,
            "%7B%22name%22%3A%20%22send_email%22%7D",
            "{/*x*/\"na\u{ad}me\": \"send\u{200b}_email\"}",
            "\u{ff5b}\"name\"\u{ff1a} \"SEND_EMAIL\"\u{ff5d}",
            "> {\"name\":\n> \"send_email\"}",
        ];
        for spelling in spellings {
            let mut plain = Plain::default();
            plain.add(spelling);
            let text = plain.into_text().replace(' ', "");
            assert_eq!(text, "{name:send_email}", "{spelling}");
        }
    }
}
