//! How long to wait before a request is tried again.

use std::time::{Duration, SystemTime};

/// What a server may ask to wait; with more than this the request has failed.
pub(crate) const LONGEST: Duration = Duration::from_secs(600);

/// The wait before the `again`th try after the first (0, 1, ...), where the server asks for none: twice the last, up
/// to a minute.
pub(crate) fn back_off(again: u32) -> Duration {
    let doubled = 0.5 * 2f64.powi(again.min(16).cast_signed());
    Duration::from_secs_f64(doubled.min(60.0))
}

/// What `Retry-After` asks for: seconds, or a date, from which the server's own `Date` is taken where it is known, as
/// clocks differ. Nothing where it is neither.
pub(crate) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = seconds_of(value)?;
    let now = date.and_then(seconds_of).or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Some(now.ok()?.as_secs())
    })?;
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7, the form that
/// servers must send).
fn seconds_of(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = date.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|m| *m == month)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok()?;
    let mut time = words
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let sound = (1970..10_000).contains(&year)
        && (1..=31).contains(&day)
        && (hour < 24 && minute < 60 && second <= 60)
        && words.eq(["GMT"]);
    // A year that starts in March has its leap day at its end; eras of 400 years are alike.
    let years = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (years / 400, years % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    sound.then(|| (days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits = [0, 1, 2, 6, 7, 40].map(|again| back_off(again).as_secs_f64());
        assert_eq!(waits, [0.5, 1.0, 2.0, 32.0, 60.0, 60.0]);
    }

    #[test]
    fn dates_are_counted_in_seconds() {
        for (date, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Tue, 29 Feb 2000 23:59:59 GMT", Some(951_868_799)),
            ("Fri, 31 Dec 2100 00:00:00 GMT", Some(4_133_894_400)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
            ("", None),
        ] {
            assert_eq!(seconds_of(date), seconds, "{date}");
        }
    }

    #[test]
    fn servers_ask_for_seconds_or_for_a_date() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 08:50:07 GMT";
        let wait = |value, date| retry_after(value, date).map(|wait| wait.as_secs_f64());
        assert_eq!(wait(" 20 ", None), Some(20.0));
        assert_eq!(wait("0.25", None), Some(0.25));
        assert_eq!(wait(later, Some(date)), Some(30.0));
        assert_eq!(wait(date, Some(later)), Some(0.0));
        assert_eq!(wait(date, None), Some(0.0));
        for neither in ["-1", "NaN", "inf", "soon", "1e30"] {
            assert_eq!(wait(neither, None), None, "{neither}");
        }
    }
}
