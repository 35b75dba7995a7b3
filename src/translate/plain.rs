//! Texts without what a model leaves out or undoes when it repeats them.
//!
//! One layer of escapes, entities and percent codes is undone; letters are small; signs of full
//! width and mathematical letters become the usual ones; quotation marks, comments, the prefixes of quoted lines, and
//! characters that cannot be seen are left out; white space is one space.

use std::iter::Peekable;
use std::str::Chars;

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
/// Longest name or number of an entity, in characters.
const MOST_ENTITY: usize = 10;

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
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => self.add_escape(&mut letters),
                '&' => self.add_entity(&mut letters),
                '%' => match code(&letters, 2, 0) {
                    Some(decoded) => {
                        letters.nth(1);
                        self.put(decoded);
                    }
                    None => self.put('%'),
                },
                '/' if letters.peek() == Some(&'*') => skip_comment(&mut letters),
                letter => self.put(letter),
            }
        }
    }

    /// The plain form of all that was added.
    pub fn into_text(self) -> String {
        self.out
    }

    /// However many backslashes there are, they are one layer more of the same escape.
    fn add_escape(&mut self, letters: &mut Peekable<Chars<'_>>) {
        while letters.next_if_eq(&'\\').is_some() {}
        let (length, decoded) = match letters.peek() {
            Some('n' | 'r' | 't') => (1, Some(' ')),
            Some('x') => (3, code(letters, 2, 1)),
            Some('u') => match code(letters, 4, 1) {
                Some(decoded) => (5, Some(decoded)),
                None => braced(letters),
            },
            _ => return,
        };
        if let Some(decoded) = decoded {
            letters.nth(length - 1);
            match decoded {
                ' ' => self.put('\n'),
                decoded => self.put(decoded),
            }
        }
    }

    /// An ampersand that comes out of an entity may begin another one, any number of times.
    fn add_entity(&mut self, letters: &mut Peekable<Chars<'_>>) {
        loop {
            match entity(letters) {
                Some('&') => {}
                Some(decoded) => return self.put(decoded),
                None => return self.put('&'),
            }
        }
    }

    fn put(&mut self, letter: char) {
        if letter == '\n' {
            self.is_line_start = true;
        }
        let letter = usual(letter);
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

/// Takes the rest of an entity, behind its ampersand, and gives what it stands for.
fn entity(letters: &mut Peekable<Chars<'_>>) -> Option<char> {
    let name: String = letters
        .clone()
        .take(MOST_ENTITY)
        .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '#')
        .collect();
    let lower = name.to_ascii_lowercase();
    let number = match lower.strip_prefix('#') {
        Some(number) => match number.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        },
        None => None,
    };
    let named = ENTITIES.iter().find(|(known, _)| *known == lower);
    let decoded = number
        .and_then(char::from_u32)
        .or(named.map(|(_, letter)| *letter))?;
    letters.nth(name.len().checked_sub(1)?);
    letters.next_if_eq(&';');
    Some(decoded)
}

/// The letter that so many hexadecimal digits stand for, behind so many other characters.
fn code(letters: &Peekable<Chars<'_>>, digits: usize, skipped: usize) -> Option<char> {
    let code: String = letters.clone().skip(skipped).take(digits).collect();
    let is_whole = code.len() == digits && code.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_whole.then(|| u32::from_str_radix(&code, 16).ok())??;
    char::from_u32(number)
}

/// The letter of `u{7b}`, and its length.
fn braced(letters: &Peekable<Chars<'_>>) -> (usize, Option<char>) {
    let code: String = letters.clone().skip(1).take(MOST_ENTITY).collect();
    let digits = code
        .strip_prefix('{')
        .and_then(|inside| inside.split_once('}'))
        .map_or("", |(digits, _)| digits);
    let letter = u32::from_str_radix(digits, 16)
        .ok()
        .and_then(char::from_u32);
    (digits.len() + 3, letter)
}

fn skip_comment(letters: &mut Peekable<Chars<'_>>) {
    letters.next();
    let mut after_star = false;
    for letter in letters.by_ref() {
        if after_star && letter == '/' {
            return;
        }
        after_star = letter == '*';
    }
}

/// The usual form of a sign: full width (Unicode, U+FF01 to U+FF5E) and mathematical letters
/// (U+1D400 to U+1D6A3) look like ASCII.
fn usual(letter: char) -> char {
    let number = u32::from(letter);
    let ascii = match number {
        0xff01..=0xff5e => Some(number - 0xff01 + 0x21),
        0x1d400..=0x1d6a3 => match (number - 0x1d400) % 52 {
            capital @ 0..26 => Some(0x41 + capital),
            small => Some(0x61 + small - 26),
        },
        _ => None,
    };
    ascii.and_then(char::from_u32).unwrap_or(letter)
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
