//! Decimal numbers as they are written, compared exactly.

use std::fmt;

/// A number: a sign that belongs to no word or number before it, digits with or without separated
/// thousands, decimals, an exponent, a percent sign.
pub(crate) const PATTERN: &str = concat!(
    r"(?:(?<![\w.)%])[-−+])?(?:\$[-−]?)?",
    r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)",
    r"(?:[eE][-+]?[0-9]+)?(?:\s?%)?",
);

/// ±`digits`·10^`exponent`, the digits without zeros at either end; 0 has none.
#[derive(Clone, PartialEq)]
pub(crate) struct Number {
    negative: bool,
    digits: String,
    exponent: i64,
    percent: bool,
}

impl Number {
    /// What [`PATTERN`] matched; none where the exponent is out of all bounds.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let sign = text.trim_start_matches('$');
        let negative = sign.starts_with(['-', '−']) || text.starts_with(['-', '−']);
        let percent = text.ends_with('%');
        let kept = |c: &char| c.is_ascii_digit() || ".eE-+".contains(*c);
        let text: String = text
            .trim_start_matches(['-', '−', '+', '$'])
            .chars()
            .filter(kept)
            .collect();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (text.as_str(), 0i64),
        };
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{decimals}");
        let digits = all.trim_start_matches('0').trim_end_matches('0');
        let zeros = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent
            .checked_sub(decimals.len() as i64)?
            .checked_add(zeros as i64)?;
        let zero = digits.is_empty();
        Some(Self {
            negative: negative && !zero,
            exponent: if zero { 0 } else { exponent },
            digits: digits.to_owned(),
            percent,
        })
    }

    /// Whether they are the same number. 50% is both 50 and 0.5 to a number without a percent sign, since
    /// a question may ask for either; of two percentages the numbers count.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let value = |number: &Self, shift: i64| {
            let zero = number.digits.is_empty();
            let exponent = number.exponent.checked_sub(if zero { 0 } else { shift });
            (number.negative, number.digits.clone(), exponent)
        };
        let hundredth = |number: &Self| if number.percent { 2 } else { 0 };
        value(self, 0) == value(other, 0)
            || (self.percent != other.percent
                && value(self, hundredth(self)) == value(other, hundredth(other)))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let percent = if self.percent { "%" } else { "" };
        match (self.digits.is_empty(), usize::try_from(self.exponent)) {
            (true, _) => write!(f, "0{percent}"),
            (_, Ok(zeros)) if zeros <= 20 => {
                write!(f, "{sign}{}{}{percent}", self.digits, "0".repeat(zeros))
            }
            _ => write!(f, "{sign}{}e{}{percent}", self.digits, self.exponent),
        }
    }
}

/// The number that most texts gave, of equally frequent ones the first. Texts without a number vote for
/// none.
pub(crate) fn most_frequent(numbers: &[Option<Number>]) -> Option<&Number> {
    let votes = |number: &Option<Number>| numbers.iter().filter(|other| *other == number).count();
    let best = numbers.iter().map(votes).max();
    let winner = numbers.iter().find(|number| Some(votes(number)) == best);
    winner?.as_ref()
}
