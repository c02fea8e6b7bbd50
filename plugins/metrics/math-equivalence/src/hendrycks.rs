//! The rules of Hendrycks MATH, as lm-eval has them, errors included: where its code stops with one, the
//! texts are compared as they are.

/// Whether two answers are the same after [`strip_string`].
pub(crate) fn is_equiv(left: &str, right: &str) -> bool {
    match (strip_string(left), strip_string(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

/// What stands between the first and the last `$`; all where there are less than two.
pub(crate) fn between_dollars(text: &str) -> &str {
    match (text.find('$'), text.rfind('$')) {
        (Some(first), Some(last)) if first < last => &text[first + 1..last],
        _ => text,
    }
}

/// The content of the last `\boxed{}`, or of `\boxed ` up to a `$`.
pub(crate) fn boxed(text: &str) -> Option<&str> {
    remove_boxed(last_boxed_only_string(text)?)
}

/// The last box, with its command. `\boxed ` anywhere takes precedence.
pub(crate) fn last_boxed_only_string(text: &str) -> Option<&str> {
    if let Some(at) = text.rfind("\\boxed ") {
        let box_ = &text[at..];
        return Some(&box_[..box_.find('$').unwrap_or(box_.len())]);
    }
    let start = text.rfind("\\boxed").or_else(|| text.rfind("\\fbox"))?;
    let mut open = 0i64;
    for (at, c) in text[start..].char_indices() {
        match c {
            '{' => open += 1,
            '}' => {
                open -= 1;
                if open == 0 {
                    return Some(&text[start..=start + at]);
                }
            }
            _ => {}
        }
    }
    None
}

/// The content of a box; none where it is not one of `\boxed`.
pub(crate) fn remove_boxed(box_: &str) -> Option<&str> {
    if box_.contains("\\boxed ") {
        return box_.strip_prefix("\\boxed ");
    }
    box_.strip_prefix("\\boxed{")?.strip_suffix('}')
}

/// The normal form of an answer; none where the original stops with an error.
pub(crate) fn strip_string(answer: &str) -> Option<String> {
    let mut text = answer.to_owned();
    for (from, to) in [
        ("\n", ""),
        ("\\!", ""),
        ("\\\\", "\\"),
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        ("\\left", ""),
        ("\\right", ""),
        ("^{\\circ}", ""),
        ("^\\circ", ""),
        ("\\$", ""),
    ] {
        text = text.replace(from, to);
    }
    // Units on the right.
    let parts: Vec<&str> = text.split("\\text{ ").collect();
    text = match parts[..] {
        [_] => text,
        [value, _] => value.to_owned(),
        _ => return None,
    };
    text = text.replace("\\%", "");
    text = text.replace(" .", " 0.").replace("{.", "{0.");
    if text.is_empty() {
        return Some(text);
    }
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    // "k = 5" is 5.
    if let [name, value] = text.split('=').collect::<Vec<_>>()[..]
        && name.chars().count() <= 2
    {
        text = value.to_owned();
    }
    text = fix_sqrt(&text)?;
    text = text.replace(' ', "");
    text = fix_fracs(&text)?;
    if text == "0.5" {
        text = "\\frac{1}{2}".into();
    }
    fix_a_slash_b(text)
}

/// `\sqrt3` is `\sqrt{3}`.
fn fix_sqrt(text: &str) -> Option<String> {
    let mut parts = text.split("\\sqrt");
    let mut fixed = parts.next()?.to_owned();
    for part in parts {
        let first = part.chars().next()?;
        fixed.push_str("\\sqrt");
        match first {
            '{' => fixed.push_str(part),
            first => {
                fixed.push_str(&format!("{{{first}}}{}", &part[first.len_utf8()..]));
            }
        }
    }
    Some(fixed)
}

/// `\frac12` is `\frac{1}{2}`, `\frac1{72}` is `\frac{1}{72}`.
fn fix_fracs(text: &str) -> Option<String> {
    let mut parts = text.split("\\frac");
    let mut fixed = parts.next()?.to_owned();
    for part in parts {
        fixed.push_str("\\frac");
        let mut chars = part.chars();
        let first = chars.next()?;
        if first == '{' {
            fixed.push_str(part);
            continue;
        }
        let Some(second) = chars.next() else {
            return Some(text.to_owned());
        };
        let rest = chars.as_str();
        fixed.push_str(&match second {
            '{' => format!("{{{first}}}{{{rest}"),
            second => format!("{{{first}}}{{{second}}}{rest}"),
        });
    }
    Some(fixed)
}

/// `1/2` is `\frac{1}{2}`, of whole numbers as Python prints them.
fn fix_a_slash_b(text: String) -> Option<String> {
    let [a, b] = text.split('/').collect::<Vec<_>>()[..] else {
        return Some(text);
    };
    let (left, right) = (integer(a)?, integer(b)?);
    match left == a && right == b {
        true => Some(format!("\\frac{{{a}}}{{{b}}}")),
        false => Some(text),
    }
}

/// What Python prints of `int(text)`, as far as it matters whether that is `text` itself; none where it is no
/// whole number. Digits of other scripts are some, so that the result differs from the text.
fn integer(text: &str) -> Option<String> {
    let text = folkmoot_sdk::extract::strip(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut between = false;
    let mut count = 0;
    for c in digits.chars() {
        match c {
            '_' if between => between = false,
            c if decimal(c) => {
                between = true;
                count += 1;
            }
            _ => return None,
        }
    }
    // Python refuses to read more digits than these.
    if !between || count > 4300 {
        return None;
    }
    let plain = digits.chars().all(|c| c.is_ascii_digit());
    let digits = match digits.trim_start_matches('0') {
        _ if !plain => return Some("another way to write it".into()),
        "" => "0",
        digits => digits,
    };
    Some(if digits == "0" {
        "0".into()
    } else {
        format!("{sign}{digits}")
    })
}

/// A decimal digit of any script.
fn decimal(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric() && digits_of_scripts(c))
}

/// Whether a numeric character is a decimal digit (Unicode's category Nd): of the others, none matches `\d`.
fn digits_of_scripts(c: char) -> bool {
    let digit = folkmoot_sdk::extract::Pattern::new(r"\d");
    let found = digit.and_then(|digit| Ok(digit.search(c.encode_utf8(&mut [0; 4]))?.is_some()));
    found.unwrap_or(false)
}
