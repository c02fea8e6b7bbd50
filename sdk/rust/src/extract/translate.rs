//! From Python's syntax and classes to those of the regular expressions here.

use std::iter::Peekable;
use std::str::Chars;

use crate::Result;

/// What `\w` is in Python: `str.isalnum` and the underscore. Here it would be marks and joiners too, but
/// not ½ or ².
const WORD: &str = r"\p{L}\p{N}_";
/// What `\s` is in Python: also the four separators of ASCII.
const SPACE: &str = r"\s\x1c-\x1f";

/// The flags, and the rest.
pub(super) fn translate(pattern: &str) -> Result<(String, String)> {
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        flags: String::new(),
        out: String::with_capacity(2 * pattern.len()),
        modes: vec![Modes::default()],
    };
    translator.run()?;
    Ok((translator.flags, translator.out))
}

/// Flags that are resolved here. They end with the group they were set in.
#[derive(Clone, Copy, Default)]
struct Modes {
    multiline: bool,
    verbose: bool,
    ascii: bool,
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    flags: String,
    out: String,
    modes: Vec<Modes>,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<()> {
        while let Some(c) = self.rest.next() {
            let modes = self.modes();
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => {
                    if self.modes.len() == 1 {
                        return Err("unbalanced parenthesis".into());
                    }
                    self.modes.pop();
                    self.out.push(')');
                }
                '{' => self.braces(),
                '^' if modes.multiline => self.out.push_str("(?m:^)"),
                '^' => self.out.push_str(r"\A"),
                '$' if modes.multiline => self.out.push_str("(?m:$)"),
                '$' => self.out.push_str(r"(?=\n?\z)"),
                '.' | '|' | '*' | '+' | '?' => self.out.push(c),
                '#' if modes.verbose => while self.rest.next().is_some_and(|c| c != '\n') {},
                ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' if modes.verbose => {}
                c => literal(&mut self.out, c),
            }
        }
        match self.modes.len() {
            1 => Ok(()),
            _ => Err("missing ), unterminated subpattern".into()),
        }
    }

    fn modes(&self) -> Modes {
        self.modes.last().copied().unwrap_or_default()
    }

    /// A repetition, or braces that are meant as such.
    fn braces(&mut self) {
        let mut ahead = self.rest.clone();
        let mut number = || {
            let mut digits = String::new();
            while let Some(digit) = ahead.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            let comma = ahead.next_if_eq(&',').is_some();
            (digits, comma, ahead.next_if_eq(&'}').is_some())
        };
        let (low, comma, closed) = number();
        let (high, _, closed) = match (comma, closed) {
            (true, false) => number(),
            _ => (String::new(), false, closed),
        };
        if !closed || (low.is_empty() && !comma) {
            return self.out.push_str(r"\{");
        }
        self.rest = ahead;
        let low = if low.is_empty() { "0" } else { &low };
        self.out.push_str(&match comma {
            true => format!("{{{low},{high}}}"),
            false => format!("{{{low}}}"),
        });
    }

    fn group(&mut self) -> Result<()> {
        self.modes.push(self.modes());
        if self.rest.next_if_eq(&'?').is_none() {
            self.out.push('(');
            return Ok(());
        }
        let kind = self.rest.next().ok_or("unexpected end of pattern")?;
        match kind {
            ':' | '=' | '!' | '>' => self.out.extend(['(', '?', kind]),
            '<' => {
                let kind = self.rest.next_if(|c| "=!".contains(*c));
                let kind = kind.ok_or("unknown extension ?<")?;
                self.out.extend(['(', '?', '<', kind]);
            }
            'P' => match self.rest.next() {
                Some('<') => {
                    let name = self.until('>')?;
                    self.out.push_str(&format!("(?P<{name}>"));
                }
                Some('=') => {
                    let name = self.until(')')?;
                    self.modes.pop();
                    self.out.push_str(&format!("(?P={name})"));
                }
                _ => return Err("unknown extension ?P".into()),
            },
            '#' => {
                self.until(')')?;
                self.modes.pop();
            }
            '(' => {
                let group = self.until(')')?;
                let named = group.starts_with(|c: char| !c.is_ascii_digit());
                self.out.push_str(&match named {
                    true => format!("(?(<{group}>)"),
                    false => format!("(?({group})"),
                });
            }
            flag => self.flags(flag)?,
        }
        Ok(())
    }

    /// `(?i)` for the whole pattern, `(?i:` for a group.
    fn flags(&mut self, first: char) -> Result<()> {
        let (mut kept, mut modes, mut on) = (String::new(), self.modes(), true);
        let mut flag = first;
        loop {
            match flag {
                'm' => modes.multiline = on,
                'x' => modes.verbose = on,
                'a' => modes.ascii = true,
                'u' => modes.ascii = false,
                'i' | 's' => kept.push(flag),
                '-' if on => {
                    on = false;
                    kept.push('-');
                }
                ':' => {
                    let kept = kept.trim_end_matches('-');
                    self.out.push_str(&format!("(?{kept}:"));
                    self.modes.pop();
                    self.modes.push(modes);
                    return Ok(());
                }
                ')' if self.out.is_empty() && on => {
                    // There is nothing before it: the flags are those of the whole.
                    if !kept.is_empty() {
                        self.flags.push_str(&format!("(?{kept})"));
                    }
                    self.modes.pop();
                    self.modes.pop();
                    self.modes.push(modes);
                    return Ok(());
                }
                ')' => return Err("global flags not at the start of the expression".into()),
                other => return Err(format!("unknown extension ?{other}")),
            }
            flag = self.rest.next().ok_or("unexpected end of pattern")?;
        }
    }

    fn until(&mut self, end: char) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some(c) if c == end => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(format!("missing {end}, unterminated name")),
            }
        }
    }

    /// Outside of a class.
    fn escape(&mut self) -> Result<()> {
        let c = self.rest.next().ok_or("bad escape (end of pattern)")?;
        let word = match self.modes().ascii {
            true => "a-zA-Z0-9_",
            false => WORD,
        };
        match c {
            'b' => self.out.push_str(&format!(
                "(?:(?<=[{word}])(?![{word}])|(?<![{word}])(?=[{word}]))"
            )),
            // Also of an empty text, as from Python 3.14 on.
            'B' => self.out.push_str(&format!(
                "(?:(?<=[{word}])(?=[{word}])|(?<![{word}])(?![{word}]))"
            )),
            'A' => self.out.push_str(r"\A"),
            'Z' => self.out.push_str(r"\z"),
            '1'..='9' => {
                let mut number = c.to_string();
                if let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
                    number.push(digit);
                    let octal = |digit: &char| ('0'..='7').contains(digit);
                    if number.chars().all(|digit| octal(&digit))
                        && let Some(digit) = self.rest.next_if(octal)
                    {
                        number.push(digit);
                        let code = u32::from_str_radix(&number, 8).unwrap_or(u32::MAX);
                        let c = char::from_u32(code).filter(|_| code < 0o400);
                        let c = c.ok_or("octal escape outside of 0-0o377")?;
                        literal(&mut self.out, c);
                        return Ok(());
                    }
                }
                self.out.push_str(&format!("(?:\\{number})"));
            }
            c => match shorthand(c, self.modes().ascii) {
                Some(class) => self.out.push_str(&format!("[{class}]")),
                None => {
                    let c = self.character(c)?;
                    literal(&mut self.out, c);
                }
            },
        }
        Ok(())
    }

    /// A character that an escape stands for.
    fn character(&mut self, c: char) -> Result<char> {
        let digits = match c {
            'a' => return Ok('\x07'),
            'f' => return Ok('\x0c'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\x0b'),
            '0' => {
                let mut code = 0;
                for _ in 0..2 {
                    let digit = self.rest.next_if(|c| ('0'..='7').contains(c));
                    let Some(digit) = digit.and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    code = 8 * code + digit;
                }
                return char::from_u32(code).ok_or_else(|| "bad escape \\0".into());
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            c if c.is_ascii_alphanumeric() => return Err(format!("bad escape \\{c}")),
            c => return Ok(c),
        };
        let hex: String = (0..digits)
            .map_while(|_| self.rest.next_if(char::is_ascii_hexdigit))
            .collect();
        let code = u32::from_str_radix(&hex, 16).ok();
        let code = code.filter(|_| hex.len() == digits);
        let found = code.and_then(char::from_u32);
        found.ok_or_else(|| format!("incomplete escape \\{c}{hex}"))
    }

    fn class(&mut self) -> Result<()> {
        let ascii = self.modes().ascii;
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or("unterminated character set")?;
            if c == ']' && !first {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            let Some(low) = self.member(c, ascii)? else {
                continue;
            };
            let mut ahead = self.rest.clone();
            let range = ahead.next() == Some('-') && ahead.peek().is_some_and(|c| *c != ']');
            if range {
                self.rest = ahead;
                let c = self.rest.next().ok_or("unterminated character set")?;
                let high = self.member(c, ascii)?.ok_or("bad character range")?;
                if high < low {
                    return Err(format!("bad character range {low}-{high}"));
                }
                literal(&mut self.out, low);
                self.out.push('-');
                literal(&mut self.out, high);
            } else {
                literal(&mut self.out, low);
            }
        }
    }

    /// A member of a class that is one character; a class within it is written at once.
    fn member(&mut self, c: char, ascii: bool) -> Result<Option<char>> {
        if c != '\\' {
            return Ok(Some(c));
        }
        let c = self.rest.next().ok_or("bad escape (end of pattern)")?;
        if let Some(class) = shorthand(c, ascii) {
            self.out.push_str(&format!("[{class}]"));
            return Ok(None);
        }
        match c {
            'b' => Ok(Some('\x08')),
            '1'..='7' => {
                let mut code = c.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let digit = self.rest.next_if(|c| ('0'..='7').contains(c));
                    let Some(digit) = digit.and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    code = 8 * code + digit;
                }
                let c = char::from_u32(code).filter(|_| code < 0o400);
                Ok(Some(c.ok_or("octal escape outside of 0-0o377")?))
            }
            c => self.character(c).map(Some),
        }
    }
}

/// What stands between the brackets for `\d`, `\w`, `\s` and their opposites.
fn shorthand(c: char, ascii: bool) -> Option<String> {
    let class = match (c.to_ascii_lowercase(), ascii) {
        ('d', false) => r"\p{Nd}",
        ('d', true) => "0-9",
        ('w', false) => WORD,
        ('w', true) => "a-zA-Z0-9_",
        ('s', false) => SPACE,
        ('s', true) => r" \t\n\r\x0b\x0c",
        _ => return None,
    };
    let not = if c.is_ascii_uppercase() { "^" } else { "" };
    Some(format!("{not}{class}"))
}

fn literal(out: &mut String, c: char) {
    match c {
        // Written out, so that no mode that skips spaces could ever matter.
        c if c.is_whitespace() || c.is_control() => {
            out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
        }
        c => {
            if r"\.+*?()|[]{}^$#&-~".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
    }
}
