//! Scales, colours and texts of the pictures.

use super::Row;

/// Columns that a character takes in a terminal: 2 for East Asian wide ones and pictograms, 0 for
/// marks that join the character before. After Unicode Standard Annex 11, by blocks.
pub(super) fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x0591..=0x05bd | 0x064b..=0x065f | 0x200b..=0x200f => 0,
        0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 => 2,
        0x1f300..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f900..=0x1f9ff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Text in at most so many columns, with an ellipsis where something is cut, and the columns it takes.
/// Control characters become spaces: XML forbids them, and a terminal would obey them.
pub(super) fn shorten(text: &str, most: usize) -> (String, usize) {
    let text: String = text
        .chars()
        .map(|c| {
            if c.is_control() || is_direction(c) {
                ' '
            } else {
                c
            }
        })
        .collect();
    let whole = text.chars().map(columns).sum();
    if whole <= most {
        return (text, whole);
    }
    let (mut short, mut taken) = (String::new(), 0);
    for c in text.chars() {
        // One column is the ellipsis's.
        if taken + columns(c) + 1 > most {
            break;
        }
        taken += columns(c);
        short.push(c);
    }
    if most > 0 {
        short.push('…');
        taken += 1;
    }
    (short, taken)
}

/// Whether a character changes the direction of the text after it, beyond its own line or label.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text for XML, in content or in an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0, section 2.2: no control characters, and not these two.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Smallest of 1, 2, 5, 10, 20, 50, ... that is at least the value; 1 for 0.
pub(super) fn nice(value: f64) -> f64 {
    let mut power = 1.0;
    while power * 10.0 < value {
        power *= 10.0;
    }
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|&step| step >= value)
        .unwrap_or(power * 10.0)
}

/// Top of an axis of whole numbers: the smallest at least the value, and at least 1, of the whole ones
/// among 1, 1.2, 1.6, 2, 3, 4, 5, 6, 8 and 10 times a power of ten.
pub(super) fn nice_top(value: u64) -> u64 {
    let mut power = 1u64;
    while power.saturating_mul(10) < value {
        power = power.saturating_mul(10);
    }
    let steps = [10, 12, 16, 20, 30, 40, 50, 60, 80, 100].map(|step| power.saturating_mul(step));
    let mut tops = steps
        .into_iter()
        .filter(|top| top % 10 == 0)
        .map(|top| top / 10);
    tops.find(|&top| top >= value).unwrap_or(value)
}

/// Step from one numbered column to the next of which at most `most` are numbered.
pub(super) fn index_step(count: usize, most: usize) -> usize {
    nice(count as f64 / most.max(1) as f64) as usize
}

/// Share of each client's rows (inner) that each label (outer) has, 0 to 1, and a round share at or
/// above the largest, which the colours go up to. The sum of the rest is left out of the latter, as
/// it would make single labels pale.
pub(super) fn shares(rows: &[Row], sizes: &[u64]) -> (Vec<Vec<f64>>, f64) {
    let share = |(&count, &size): (&u64, &u64)| match size {
        0 => 0.0,
        size => (count as f64 / size as f64).min(1.0),
    };
    let shares: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.counts.iter().zip(sizes).map(share).collect())
        .collect();
    let single = rows.iter().zip(&shares).filter(|(row, _)| !row.rest);
    let single = single.flat_map(|(_, shares)| shares).copied();
    let most = match single.fold(0.0, f64::max) {
        0.0 => 1.0,
        most => most,
    };
    // A rounding error is no reason for the next step.
    let percent = (most * 100.0 - 1e-9).ceil() as u64;
    (shares, nice_top(percent) as f64 / 100.0)
}

/// Colour of a value from 0 to 1 on a scale of one hue: its lightness in OKLab falls evenly from 0.96
/// to 0.36, so equal steps look equal; its chroma is what fits into sRGB there. As `#rrggbb`.
///
/// Ottosson, "A perceptual color space for image processing", 2020.
pub(super) fn colour(value: f64) -> String {
    let lightness = 0.96 - 0.60 * value;
    let chroma = 0.025 + 0.13 * (value * 1.5).min(1.0) - 0.03 * value;
    let hue = 255f64.to_radians();
    let (a, b) = (chroma * hue.cos(), chroma * hue.sin());
    let l = (lightness + 0.3963377774 * a + 0.2158037573 * b).powi(3);
    let m = (lightness - 0.1055613458 * a - 0.0638541728 * b).powi(3);
    let s = (lightness - 0.0894841775 * a - 1.2914855480 * b).powi(3);
    let linear = [
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    ];
    let byte = |x: f64| {
        let x = x.clamp(0.0, 1.0);
        let gamma = match x {
            x if x <= 0.0031308 => 12.92 * x,
            x => 1.055 * x.powf(1.0 / 2.4) - 0.055,
        };
        (gamma * 255.0).round() as u8
    };
    let [r, g, b] = linear.map(byte);
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(shorten("label", 5), ("label".into(), 5));
        assert_eq!(shorten("labels", 5), ("labe…".into(), 5));
        assert_eq!(shorten("数据集", 5), ("数据…".into(), 5));
        assert_eq!(shorten("数据集", 4), ("数…".into(), 3));
        assert_eq!(shorten("a\u{1b}[2Jb", 9).0, "a [2Jb");
        assert_eq!(shorten("abc", 0), (String::new(), 0));
        assert_eq!(
            escape("<a href=\"x\">&\u{8}"),
            "&lt;a href=&quot;x&quot;&gt;&amp; "
        );
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(
            [0, 1, 7, 10, 11, 61, 747].map(nice_top),
            [1, 1, 8, 10, 12, 80, 800]
        );
        assert_eq!(nice_top(u64::MAX), u64::MAX);
        assert_eq!(
            [0.3, 1.0, 3.0, 34.0, 100.0].map(nice),
            [1.0, 1.0, 5.0, 50.0, 100.0]
        );
        assert_eq!((index_step(3, 3), index_step(747, 20)), (1, 50));
    }

    #[test]
    fn colours_darken() {
        let sum = |value: f64| -> u32 {
            let number = u32::from_str_radix(&colour(value)[1..], 16).unwrap();
            number.to_be_bytes().map(u32::from).iter().sum()
        };
        assert!((0..32).all(|i| sum(f64::from(i) / 32.0) > sum(f64::from(i + 1) / 32.0)));
    }

    #[test]
    fn shares_go_up_to_a_round_one() {
        let row = |counts: [u64; 3], rest| Row {
            name: String::new(),
            counts: counts.to_vec(),
            rest,
        };
        let rows = [row([1, 0, 3], false), row([3, 0, 0], true)];
        let (share, top) = shares(&rows, &[4, 0, 10]);
        assert_eq!(share, [[0.25, 0.0, 0.3], [0.75, 0.0, 0.0]]);
        assert_eq!(top, 0.3);
        assert_eq!(shares(&rows[1..], &[4, 0, 10]).1, 1.0);
    }
}
