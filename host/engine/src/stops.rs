//! Texts that end an answer.

use folkmoot_data::Tokenizer;

/// Whether one of `stop` is in the text of `ids`.
pub(crate) fn ended(tokenizer: &Tokenizer, stop: &[String], ids: &[u32]) -> bool {
    // Most answers have none to look for: they are not decoded at every step.
    if stop.is_empty() {
        return false;
    }
    let text = tokenizer.decode(ids);
    text.is_ok_and(|text| first(stop, &text).is_some())
}

/// `text` up to the first of `stop`.
pub(crate) fn cut(mut text: String, stop: &[String]) -> String {
    text.truncate(first(stop, &text).unwrap_or(text.len()));
    text
}

fn first(stop: &[String], text: &str) -> Option<usize> {
    let hits = stop.iter().filter_map(|stop| text.find(stop.as_str()));
    hits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_cuts() {
        let stop = ["\n".to_owned(), "Q:".to_owned()];
        assert_eq!(cut("a Q: b\nc".into(), &stop), "a ");
        assert_eq!(cut("a\nQ:".into(), &stop), "a");
        assert_eq!(cut("abc".into(), &stop), "abc");
    }
}
