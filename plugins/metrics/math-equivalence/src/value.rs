//! Values of simple arithmetic expressions in LaTeX.

/// How far two values may be apart, relative to the larger one.
const TOLERANCE: f64 = 1e-9;

/// Whether both are expressions of numbers with the same value.
pub(crate) fn equal(left: &str, right: &str) -> bool {
    let (Some(left), Some(right)) = (value(left), value(right)) else {
        return false;
    };
    (left - right).abs() <= TOLERANCE * left.abs().max(right.abs())
}

/// The value of an expression of decimal numbers, `\pi`, `+`, `-`, `/`, products (also `\cdot`, `\times`, or
/// by standing side by side), powers, `\frac`, `\sqrt` and `\sqrt[n]`; none of anything else, or where the
/// value is no finite number. Thousands may be separated, a percent sign at the end does not count.
pub(crate) fn value(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches("\\%").trim_end_matches('%');
    let mut text = text.to_owned();
    for (from, to) in [
        ("\\left", ""),
        ("\\right", ""),
        ("dfrac", "frac"),
        ("tfrac", "frac"),
        ("\\!", ""),
        ("\\,", ""),
    ] {
        text = text.replace(from, to);
    }
    let mut parser = Parser {
        rest: &text,
        depth: 0,
    };
    let value = parser.sum()?;
    parser.space();
    (parser.rest.is_empty() && value.is_finite()).then_some(value)
}

/// Recursive descent: sums of products of factors, which are signed powers.
struct Parser<'t> {
    rest: &'t str,
    depth: u32,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let Some(rest) = self.rest.strip_prefix(token) else {
            return false;
        };
        // A command ends where its letters do.
        let letter = rest.starts_with(|c: char| c.is_ascii_alphabetic());
        if token.starts_with('\\') && letter {
            return false;
        }
        self.rest = rest;
        true
    }

    fn sum(&mut self) -> Option<f64> {
        // Bounded, since what a model says may nest without end.
        self.depth += 1;
        if self.depth > 64 {
            return None;
        }
        let mut sum = self.product()?;
        loop {
            if self.take("+") {
                sum += self.product()?;
            } else if self.take("-") || self.take("−") {
                sum -= self.product()?;
            } else {
                self.depth -= 1;
                return Some(sum);
            }
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut product = self.factors()?;
        loop {
            if self.take("\\cdot") || self.take("\\times") || self.take("*") {
                product *= self.factors()?;
            } else if self.take("/") || self.take("\\div") {
                product /= self.factors()?;
            } else {
                return Some(product);
            }
        }
    }

    /// Factors side by side, which bind tighter than a division, as in sympy: 1/2\pi is 1/(2\pi).
    fn factors(&mut self) -> Option<f64> {
        let mut product = self.signed()?;
        while self.at_factor() {
            product *= self.power()?;
        }
        Some(product)
    }

    /// Whether a factor follows without a sign of multiplication: not a digit, so that "2 3" is no number.
    fn at_factor(&mut self) -> bool {
        self.space();
        ["(", "{", "\\frac", "\\sqrt", "\\pi"]
            .iter()
            .any(|start| self.rest.starts_with(start))
    }

    fn signed(&mut self) -> Option<f64> {
        let mut sign = 1.0;
        loop {
            if self.take("-") || self.take("−") {
                sign = -sign;
            } else if !self.take("+") {
                return Some(sign * self.power()?);
            }
        }
    }

    fn power(&mut self) -> Option<f64> {
        let base = self.atom()?;
        if !self.take("^") {
            return Some(base);
        }
        let exponent = match self.take("{") {
            true => self.until("}")?,
            false => self.digit()?,
        };
        Some(base.powf(exponent))
    }

    fn atom(&mut self) -> Option<f64> {
        if self.take("(") {
            return self.until(")");
        }
        if self.take("{") {
            return self.until("}");
        }
        if self.take("\\pi") {
            return Some(std::f64::consts::PI);
        }
        if self.take("\\frac") {
            return Some(self.argument()? / self.argument()?);
        }
        if self.take("\\sqrt") {
            let root = match self.take("[") {
                true => self.until("]")?,
                false => 2.0,
            };
            let argument = self.argument()?;
            return Some(match root {
                2.0 => argument.sqrt(),
                3.0 => argument.cbrt(),
                root => argument.powf(1.0 / root),
            });
        }
        self.number()
    }

    /// What a command is applied to: a group, or one digit.
    fn argument(&mut self) -> Option<f64> {
        match self.take("{") {
            true => self.until("}"),
            false => self.digit(),
        }
    }

    fn until(&mut self, end: &str) -> Option<f64> {
        let value = self.sum()?;
        self.take(end).then_some(value)
    }

    fn digit(&mut self) -> Option<f64> {
        self.space();
        let digit = self.rest.chars().next()?.to_digit(10)?;
        self.rest = &self.rest[1..];
        Some(f64::from(digit))
    }

    /// Digits with or without separated thousands, and decimals.
    fn number(&mut self) -> Option<f64> {
        self.space();
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| {
            let there = bytes[from..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit());
            there.count()
        };
        let mut end = digits(0);
        let mut text = self.rest[..end].to_owned();
        if (1..=3).contains(&end) {
            while bytes.get(end) == Some(&b',') && digits(end + 1) == 3 {
                text.push_str(&self.rest[end + 1..end + 4]);
                end += 4;
            }
        }
        if bytes.get(end) == Some(&b'.') {
            let decimals = digits(end + 1);
            text.push_str(&self.rest[end..=end + decimals]);
            end += 1 + decimals;
        }
        self.rest = &self.rest[end..];
        text.parse().ok()
    }
}
