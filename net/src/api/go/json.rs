//! What `encoding/json` says of a text that is no JSON.
//!
//! The reader of this server knows as well that something is wrong, but has other words for it.
//! So a text that it refused is gone through once more, by the rules and in the words of Go's
//! scanner; nothing of it is kept but what is open.

use super::quoted;

/// What is open at most; Go's limit.
const DEPTH_MAX: usize = 10_000;
const UNEXPECTED_END: &str = "unexpected end of JSON input";

/// What is wrong with a text as JSON. None if nothing is.
pub(in crate::api) fn complaint(text: &[u8]) -> Option<String> {
    Scanner { rest: text, open: Vec::new() }.document().err()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Due {
    Value,
    FirstElement,
    FirstName,
    Name,
    Colon,
    /// What may stand behind a value.
    Separator,
}

struct Scanner<'a> {
    rest: &'a [u8],
    open: Vec<Container>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), String> {
        let mut due = Due::Value;
        loop {
            let blanks = self.rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
            self.rest = &self.rest[blanks..];
            let Some((byte, rest)) = self.rest.split_first() else {
                let whole = matches!(due, Due::Separator) && self.open.is_empty();
                return if whole { Ok(()) } else { Err(UNEXPECTED_END.to_owned()) };
            };
            self.rest = rest;
            due = self.token(due, *byte)?;
        }
    }

    fn token(&mut self, due: Due, byte: u8) -> Result<Due, String> {
        match (due, byte) {
            (Due::FirstElement, b']') | (Due::FirstName, b'}') => Ok(self.close()),
            (Due::Value | Due::FirstElement, _) => self.value(byte),
            (Due::FirstName | Due::Name, b'"') => self.string().map(|()| Due::Colon),
            (Due::FirstName | Due::Name, _) => {
                Err(invalid(byte, "looking for beginning of object key string"))
            }
            (Due::Colon, b':') => Ok(Due::Value),
            (Due::Colon, _) => Err(invalid(byte, "after object key")),
            (Due::Separator, _) => self.separator(byte),
        }
    }

    fn value(&mut self, byte: u8) -> Result<Due, String> {
        match byte {
            b'{' => return self.enter(Container::Object, byte),
            b'[' => return self.enter(Container::Array, byte),
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number(byte)?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => return Err(invalid(byte, "looking for beginning of value")),
        }
        Ok(Due::Separator)
    }

    fn separator(&mut self, byte: u8) -> Result<Due, String> {
        match (self.open.last(), byte) {
            (Some(Container::Object), b',') => Ok(Due::Name),
            (Some(Container::Array), b',') => Ok(Due::Value),
            (Some(Container::Object), b'}') | (Some(Container::Array), b']') => Ok(self.close()),
            (Some(Container::Object), _) => Err(invalid(byte, "after object key:value pair")),
            (Some(Container::Array), _) => Err(invalid(byte, "after array element")),
            (None, _) => Err(invalid(byte, "after top-level value")),
        }
    }

    fn enter(&mut self, container: Container, byte: u8) -> Result<Due, String> {
        if self.open.len() == DEPTH_MAX {
            return Err(invalid(byte, "exceeded max depth"));
        }
        self.open.push(container);
        let is_object = container == Container::Object;
        Ok(if is_object { Due::FirstName } else { Due::FirstElement })
    }

    fn close(&mut self) -> Due {
        self.open.pop();
        Due::Separator
    }

    /// The rest of a string.
    fn string(&mut self) -> Result<(), String> {
        loop {
            let (byte, rest) = self.rest.split_first().ok_or(UNEXPECTED_END)?;
            self.rest = rest;
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                ..0x20 => return Err(invalid(*byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.next() {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| {
                let context = "in \\u hexadecimal character escape";
                self.expect(|byte| byte.is_ascii_hexdigit(), context)
            }),
            byte => Err(invalid(byte, "in string escape code")),
        }
    }

    /// The rest of a number.
    fn number(&mut self, first: u8) -> Result<(), String> {
        let first = if first == b'-' { self.next() } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            byte => return Err(invalid(byte, "in numeric literal")),
        }
        if self.skip(b".") {
            self.expect(|byte| byte.is_ascii_digit(), "after decimal point in numeric literal")?;
            self.digits();
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            self.expect(|byte| byte.is_ascii_digit(), "in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    /// The rest of a literal, behind its first letter.
    fn literal(&mut self, word: &str) -> Result<(), String> {
        word.chars().skip(1).try_for_each(|letter| {
            let context = format!("in literal {word} (expecting '{letter}')");
            self.expect(|byte| char::from(byte) == letter, &context)
        })
    }

    fn expect(&mut self, fits: impl Fn(u8) -> bool, context: &str) -> Result<(), String> {
        let byte = self.next();
        if fits(byte) { Ok(()) } else { Err(invalid(byte, context)) }
    }

    /// The next byte inside a token. At the end it is a blank, as if one were behind the text.
    fn next(&mut self) -> u8 {
        let Some((byte, rest)) = self.rest.split_first() else { return b' ' };
        self.rest = rest;
        *byte
    }

    fn digits(&mut self) {
        while self.skip(b"0123456789") {}
    }

    /// Passes over one of these bytes, if it is next.
    fn skip(&mut self, bytes: &[u8]) -> bool {
        let found = self.rest.first().is_some_and(|byte| bytes.contains(byte));
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }
}

/// Go takes a byte for a character here.
fn invalid(byte: u8, context: &str) -> String {
    let character = match byte {
        b'\'' => r"\'".to_owned(),
        b'"' => "\"".to_owned(),
        _ => quoted(char::from(byte).to_string().as_bytes()).trim_matches('"').to_owned(),
    };
    format!("invalid character '{character}' {context}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_told_in_gos_words() {
        let rows: [(&str, &str); 30] = [
            ("", UNEXPECTED_END),
            ("[1,2", UNEXPECTED_END),
            ("\"a", UNEXPECTED_END),
            ("nope", "invalid character 'o' in literal null (expecting 'u')"),
            ("tru", "invalid character ' ' in literal true (expecting 'e')"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("\0", r"invalid character '\x00' looking for beginning of value"),
            ("'", r"invalid character '\'' looking for beginning of value"),
            ("{'a'}", r"invalid character '\'' looking for beginning of object key string"),
            ("{,}", "invalid character ',' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\"}", "invalid character '}' after object key"),
            ("{\"a\":}", "invalid character '}' looking for beginning of value"),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{} y", "invalid character 'y' after top-level value"),
            ("{\"a\":01}", "invalid character '1' after object key:value pair"),
            ("[1.]", "invalid character ']' after decimal point in numeric literal"),
            ("-", "invalid character ' ' in numeric literal"),
            ("1e", "invalid character ' ' in exponent of numeric literal"),
            ("[1e+]", "invalid character ']' in exponent of numeric literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12""#, "invalid character '\"' in \\u hexadecimal character escape"),
            ("\"\n\"", r"invalid character '\n' in string literal"),
            ("\u{ff}", "invalid character '\u{c3}' looking for beginning of value"),
            ("]", "invalid character ']' looking for beginning of value"),
            ("[}", "invalid character '}' looking for beginning of value"),
            ("{]", "invalid character ']' looking for beginning of object key string"),
            ("\\", r"invalid character '\\' looking for beginning of value"),
        ];
        for (text, expected) in rows {
            assert_eq!(complaint(text.as_bytes()).as_deref(), Some(expected), "{text}");
        }
        let deep = "[".repeat(DEPTH_MAX + 1);
        assert_eq!(
            complaint(deep.as_bytes()).as_deref(),
            Some("invalid character '[' exceeded max depth")
        );
    }

    #[test]
    fn there_is_nothing_to_say_of_json() {
        let rows = [
            " {} ",
            "[]",
            "-0.5e-1",
            "\"\\u00e9\\n\"",
            "{\"a\":[1,true,null,{}],\"b\":false}\n",
            "\"\u{ff}\"",
        ];
        for text in rows {
            assert_eq!(complaint(text.as_bytes()), None, "{text}");
        }
    }
}
