//! How Python spells a number.

use super::Value;

/// Digits of a decimal integer that Python reads.
const LONGEST: usize = 4300;

/// A number without a sign.
pub(super) fn number(text: &str) -> Option<Value> {
    let lower = text.to_ascii_lowercase();
    let grouped = |digits: &str| {
        let bad = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
        (!bad).then(|| digits.replace('_', ""))
    };
    for (base, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(base) {
            // One underscore may follow the base.
            let digits = grouped(digits.strip_prefix('_').unwrap_or(digits))?;
            let mut each = digits.chars().map(|digit| digit.to_digit(radix));
            let sum = each.try_fold(0.0, |sum, digit| {
                Some(sum * f64::from(radix) + f64::from(digit?))
            });
            return sum
                .filter(|_| !digits.is_empty())
                .map(|sum| Value::Number(sum, None));
        }
    }
    let imaginary = lower.strip_suffix('j');
    let real = imaginary.unwrap_or(&lower);
    let (mantissa, exponent) = match real.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (real, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_integer = imaginary.is_none() && exponent.is_none() && fraction.is_none();
    let digits = |text: &str| {
        let digits = grouped(text)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(digits)
    };
    let whole = digits(whole)?;
    let fraction = digits(fraction.unwrap_or_default())?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let leading_zero = whole.starts_with('0') && whole.bytes().any(|digit| digit != b'0');
    if is_integer && (leading_zero || whole.len() > LONGEST) {
        return None;
    }
    let exponent = match exponent {
        Some(text) => {
            let (sign, text) = match text.strip_prefix('-') {
                Some(text) => ("-", text),
                None => ("", text.strip_prefix('+').unwrap_or(text)),
            };
            let digits = digits(text).filter(|digits| !digits.is_empty())?;
            format!("e{sign}{digits}")
        }
        None => String::new(),
    };
    let value = format!("{whole}.{fraction}0{exponent}").parse().ok()?;
    Some(match imaginary {
        Some(_) => Value::Number(0.0, Some(value)),
        None => Value::Number(value, None),
    })
}
