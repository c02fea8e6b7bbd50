//! Python literals, as `ast.literal_eval` reads them: AlpacaEval's judge answers with one.

mod number;
mod text;

use number::number;

/// Brackets within brackets that Python reads.
const DEEPEST: usize = 200;

/// A value. What a ranking cannot use is kept as little more than its kind.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Text(String),
    /// Real part, and imaginary part of a complex number; a truth value is 0 or 1.
    Number(f64, Option<f64>),
    /// A list or a tuple; only a list cannot be a key.
    Sequence(Vec<Value>, Kind),
    Pairs(Vec<(Value, Value)>),
    /// `None`, `...`, bytes.
    Other,
    Set,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    List,
    Tuple,
}

impl Value {
    /// The last value that a dictionary has for a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Pairs(pairs) = self else {
            return None;
        };
        let is_key = |own: &&(Self, Self)| matches!(&own.0, Self::Text(text) if text == key);
        pairs.iter().rev().find(is_key).map(|own| &own.1)
    }

    fn hashable(&self) -> bool {
        match self {
            Self::Text(_) | Self::Number(..) | Self::Other => true,
            Self::Sequence(items, Kind::Tuple) => items.iter().all(Self::hashable),
            Self::Sequence(_, Kind::List) | Self::Pairs(_) | Self::Set => false,
        }
    }
}

/// The value that a text spells, if it spells one and nothing else.
pub(crate) fn literal(text: &str) -> Option<Value> {
    let text = text.trim_start_matches([' ', '\t']);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = Reader {
        rest: &text,
        depth: 0,
    };
    reader.line_start()?;
    let first = reader.expression()?;
    reader.space();
    let value = match reader.rest.starts_with(',') {
        true => reader.items(first)?,
        false => first,
    };
    reader.space();
    if reader.take("\n") {
        reader.line_start()?;
    }
    (reader.rest.is_empty() && !text.contains('\0')).then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    /// Passes over spaces; within brackets over line ends and comments too.
    fn space(&mut self) {
        loop {
            let inside = self.depth > 0;
            let is_space = |letter: char| " \t\x0c".contains(letter) || (inside && letter == '\n');
            self.rest = self.rest.trim_start_matches(is_space);
            if let Some(rest) = self
                .rest
                .strip_prefix("\\\n")
                .filter(|rest| !rest.is_empty())
            {
                self.rest = rest;
            } else if self.rest.starts_with('#') {
                self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
                if !inside {
                    return;
                }
            } else {
                return;
            }
        }
    }

    /// At the start of a line: passes over lines that hold spaces and comments only. What follows must
    /// not be indented, not even if it is nothing; a form feed starts the line anew.
    fn line_start(&mut self) -> Option<()> {
        loop {
            let line = self.rest;
            self.space();
            if self.take("\n") {
                continue;
            }
            let margin = &line[..line.len() - self.rest.len()];
            let margin = margin.rsplit('\x0c').next().unwrap_or_default();
            let indented = margin.contains([' ', '\t']) && !margin.contains('#');
            return (!indented).then_some(());
        }
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// A number with its sign, a sum of a real and an imaginary number, or an atom.
    fn expression(&mut self) -> Option<Value> {
        self.space();
        let sign = match () {
            () if self.take("-") => Some(-1.0),
            () if self.take("+") => Some(1.0),
            () => None,
        };
        self.space();
        let plain = self.plain_number();
        let mut value = self.atom()?;
        if let Some(sign) = sign {
            value = match value {
                Value::Number(re, im) if plain => Value::Number(sign * re, im.map(|im| sign * im)),
                _ => return None,
            };
        }
        self.space();
        let sign = match () {
            () if self.take("-") => -1.0,
            () if self.take("+") => 1.0,
            () => return Some(value),
        };
        self.space();
        let both = plain && self.plain_number();
        match (value, self.atom()?) {
            (Value::Number(re, None), Value::Number(_, Some(own))) if both => {
                Some(Value::Number(re, Some(sign * own)))
            }
            _ => None,
        }
    }

    /// Whether a number follows, in parentheses or not, rather than a truth value.
    fn plain_number(&self) -> bool {
        let inner = self
            .rest
            .trim_start_matches(|letter: char| "( \t\n\x0c".contains(letter));
        inner.starts_with(|letter: char| letter == '.' || letter.is_ascii_digit())
    }

    fn atom(&mut self) -> Option<Value> {
        self.space();
        let first = self.rest.chars().next()?;
        let opening = "([{".contains(first);
        if opening {
            self.depth += 1;
            if self.depth > DEEPEST {
                return None;
            }
            self.rest = &self.rest[1..];
            let value = match first {
                '(' => self.parenthesis(),
                '[' => self.list(),
                _ => self.braces(),
            }?;
            self.depth -= 1;
            return Some(value);
        }
        if first.is_ascii_digit() || (first == '.' && !self.rest.starts_with("...")) {
            return self.number();
        }
        if self.take("...") {
            return Some(Value::Other);
        }
        if self.string_prefix().is_some() {
            return self.strings();
        }
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let end = self.rest.find(|letter| !is_word(letter));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match word {
            "None" => Some(Value::Other),
            "True" => Some(Value::Number(1.0, None)),
            "False" => Some(Value::Number(0.0, None)),
            "set" => {
                self.space();
                let open = self.take("(");
                self.depth += 1;
                self.space();
                self.depth -= 1;
                (open && self.take(")")).then_some(Value::Set)
            }
            _ => None,
        }
    }

    /// The rest of a tuple's items after its first: a comma stands next.
    fn items(&mut self, first: Value) -> Option<Value> {
        let mut items = vec![first];
        while self.take(",") {
            self.space();
            if self.rest.is_empty() || self.rest.starts_with([')', '\n', '#']) {
                break;
            }
            items.push(self.expression()?);
            self.space();
        }
        Some(Value::Sequence(items, Kind::Tuple))
    }

    fn parenthesis(&mut self) -> Option<Value> {
        self.space();
        if self.take(")") {
            return Some(Value::Sequence(Vec::new(), Kind::Tuple));
        }
        let first = self.expression()?;
        self.space();
        let value = match self.rest.starts_with(',') {
            true => self.items(first)?,
            false => first,
        };
        self.take(")").then_some(value)
    }

    fn list(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take("]") {
                return Some(Value::Sequence(items, Kind::List));
            }
            items.push(self.expression()?);
            self.space();
            if !self.take(",") && !self.rest.starts_with(']') {
                return None;
            }
        }
    }

    /// A dictionary or a set.
    fn braces(&mut self) -> Option<Value> {
        let mut pairs = Vec::new();
        let mut is_set = false;
        loop {
            self.space();
            if self.take("}") {
                return Some(if is_set {
                    Value::Set
                } else {
                    Value::Pairs(pairs)
                });
            }
            let key = self.expression().filter(Value::hashable)?;
            self.space();
            let paired = self.take(":");
            match paired {
                true if !is_set => pairs.push((key, self.expression()?)),
                false if pairs.is_empty() => is_set = true,
                _ => return None,
            }
            self.space();
            if !self.take(",") && !self.rest.starts_with('}') {
                return None;
            }
        }
    }

    fn number(&mut self) -> Option<Value> {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
        let mut end = self
            .rest
            .find(|letter| !is_part(letter))
            .unwrap_or(self.rest.len());
        let based = ["0x", "0X", "0o", "0O", "0b", "0B"];
        let based = based.iter().any(|base| self.rest.starts_with(base));
        // The sign of an exponent belongs to the number.
        if !based
            && self.rest[..end].ends_with(['e', 'E'])
            && let Some(after) = self.rest[end..].strip_prefix(['+', '-'])
        {
            end += 1 + after.find(|letter| !is_part(letter)).unwrap_or(after.len());
        }
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        number(text)
    }
}
