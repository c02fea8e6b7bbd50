//! How Python spells a text.

use super::{Reader, Value};

impl Reader<'_> {
    /// The length of a string's prefix and its quotes, if a string follows.
    pub(super) fn string_prefix(&self) -> Option<(usize, &'static str)> {
        let mut start = self.rest.bytes().take(3);
        let letters = start.position(|byte| matches!(byte, b'"' | b'\''))?;
        let prefix = self.rest[..letters].to_ascii_lowercase();
        if !["", "r", "u", "b", "br", "rb"].contains(&prefix.as_str()) {
            return None;
        }
        let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter();
        let mut own = quotes.filter(|quotes| self.rest[letters..].starts_with(quotes));
        own.next().map(|quotes| (letters, quotes))
    }

    /// Strings that stand next to each other are one.
    pub(super) fn strings(&mut self) -> Option<Value> {
        let mut joined = String::new();
        let mut all_bytes = None;
        while let Some((letters, quotes)) = self.string_prefix() {
            let prefix = self.rest[..letters].to_ascii_lowercase();
            let bytes = prefix.contains('b');
            if *all_bytes.get_or_insert(bytes) != bytes {
                return None;
            }
            self.rest = &self.rest[letters + quotes.len()..];
            let start = self.rest;
            let text = self.string(quotes, prefix.contains('r'), bytes)?;
            let raw = &start[..start.len() - self.rest.len()];
            if bytes && !raw.is_ascii() {
                return None;
            }
            joined.push_str(&text);
            self.space();
        }
        match all_bytes {
            Some(false) => Some(Value::Text(joined)),
            _ => Some(Value::Other),
        }
    }

    fn string(&mut self, quotes: &str, raw: bool, bytes: bool) -> Option<String> {
        let mut text = String::new();
        loop {
            if self.take(quotes) {
                return Some(text);
            }
            let mut letters = self.rest.chars();
            let letter = letters.next()?;
            self.rest = letters.as_str();
            match letter {
                '\n' if quotes.len() == 1 => return None,
                '\\' => {
                    let escaped = letters.next()?;
                    self.rest = letters.as_str();
                    match raw {
                        true => text.extend([letter, escaped]),
                        false => text.push_str(&self.escape(escaped, bytes)?),
                    }
                }
                _ => text.push(letter),
            }
        }
    }

    /// What stands for a backslash and this letter; a surrogate, which is no character, is replaced.
    fn escape(&mut self, letter: char, bytes: bool) -> Option<String> {
        let hex = |reader: &mut Self, digits: usize| {
            let text = reader.rest.get(..digits)?;
            let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let code = u32::from_str_radix(text, 16).ok().filter(|_| plain)?;
            reader.rest = &reader.rest[digits..];
            let known = code <= 0x10_ffff;
            known.then(|| char::from_u32(code).unwrap_or('\u{fffd}').to_string())
        };
        let one = |letter: char| Some(letter.to_string());
        match letter {
            '\n' => Some(String::new()),
            '\\' | '\'' | '"' => one(letter),
            'a' => one('\x07'),
            'b' => one('\x08'),
            'f' => one('\x0c'),
            'n' => one('\n'),
            'r' => one('\r'),
            't' => one('\t'),
            'v' => one('\x0b'),
            'x' => hex(self, 2),
            'u' if !bytes => hex(self, 4),
            'U' if !bytes => hex(self, 8),
            // The names of characters are not known here, and no model has one in its name.
            'N' if !bytes => None,
            '0'..='7' => {
                let more = self.rest.bytes().take(2);
                let more = more.take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let digits = format!("{letter}{}", &self.rest[..more]);
                self.rest = &self.rest[more..];
                let code = u32::from_str_radix(&digits, 8).ok()?;
                char::from_u32(code).map(|letter| letter.to_string())
            }
            _ => Some(format!("\\{letter}")),
        }
    }
}
