//! The Porter stemmer in the mode that NLTK calls `NLTK_EXTENSIONS`.
//!
//! Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the changes that
//! `nltk.stem.PorterStemmer()` makes by default. Any text may be stemmed, not only English letters.

use Condition::{Always, Measure};

/// Irregular forms and their stems.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// What must hold of the stem for its suffix to be replaced.
#[derive(Clone, Copy)]
enum Condition {
    Always,
    /// Its measure is more than this.
    Measure(usize),
    /// Its measure is more than 1, and it ends in s or t.
    Adoption,
    /// With the l that follows it, its measure is more than 0.
    Logic,
}

/// Suffix, replacement, condition. The first rule whose suffix fits decides.
type Rule = (&'static str, &'static str, Condition);

const STEP_1A: &[Rule] = &[
    ("sses", "ss", Always),
    ("ies", "i", Always),
    ("ss", "ss", Always),
    ("s", "", Always),
];

const STEP_2: &[Rule] = &[
    ("ational", "ate", Measure(0)),
    ("tional", "tion", Measure(0)),
    ("enci", "ence", Measure(0)),
    ("anci", "ance", Measure(0)),
    ("izer", "ize", Measure(0)),
    ("bli", "ble", Measure(0)),
    ("alli", "al", Measure(0)),
    ("entli", "ent", Measure(0)),
    ("eli", "e", Measure(0)),
    ("ousli", "ous", Measure(0)),
    ("ization", "ize", Measure(0)),
    ("ation", "ate", Measure(0)),
    ("ator", "ate", Measure(0)),
    ("alism", "al", Measure(0)),
    ("iveness", "ive", Measure(0)),
    ("fulness", "ful", Measure(0)),
    ("ousness", "ous", Measure(0)),
    ("aliti", "al", Measure(0)),
    ("iviti", "ive", Measure(0)),
    ("biliti", "ble", Measure(0)),
    ("fulli", "ful", Measure(0)),
    ("logi", "log", Condition::Logic),
];

const STEP_3: &[Rule] = &[
    ("icate", "ic", Measure(0)),
    ("ative", "", Measure(0)),
    ("alize", "al", Measure(0)),
    ("iciti", "ic", Measure(0)),
    ("ical", "ic", Measure(0)),
    ("ful", "", Measure(0)),
    ("ness", "", Measure(0)),
];

const STEP_4: &[Rule] = &[
    ("al", "", Measure(1)),
    ("ance", "", Measure(1)),
    ("ence", "", Measure(1)),
    ("er", "", Measure(1)),
    ("ic", "", Measure(1)),
    ("able", "", Measure(1)),
    ("ible", "", Measure(1)),
    ("ant", "", Measure(1)),
    ("ement", "", Measure(1)),
    ("ment", "", Measure(1)),
    ("ent", "", Measure(1)),
    ("ion", "", Condition::Adoption),
    ("ou", "", Measure(1)),
    ("ism", "", Measure(1)),
    ("ate", "", Measure(1)),
    ("iti", "", Measure(1)),
    ("ous", "", Measure(1)),
    ("ive", "", Measure(1)),
    ("ize", "", Measure(1)),
];

/// The stem of `word`, in lower case.
pub fn stem(word: &str) -> String {
    let lower = word.to_lowercase();
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| *form == lower) {
        return (*stem).into();
    }
    // The word's own length counts, as NLTK has it, not that of its lower case.
    if word.chars().nth(2).is_none() {
        return lower;
    }
    let mut word: Vec<char> = lower.chars().collect();
    step_1a(&mut word);
    step_1b(&mut word);
    step_1c(&mut word);
    // "alli" first, and what it leaves once more.
    while ends(&word, "alli") && measure(&word[..word.len() - 4]) > 0 {
        word.truncate(word.len() - 2);
    }
    apply(&mut word, STEP_2);
    apply(&mut word, STEP_3);
    apply(&mut word, STEP_4);
    step_5(&mut word);
    word.into_iter().collect()
}

fn step_1a(word: &mut Vec<char>) {
    match word.len() == 4 && ends(word, "ies") {
        true => word.truncate(3),
        false => apply(word, STEP_1A),
    }
}

fn step_1b(word: &mut Vec<char>) {
    let length = word.len();
    if ends(word, "ied") {
        word.truncate(if length == 4 { 3 } else { length - 2 });
        return;
    }
    if ends(word, "eed") {
        if measure(&word[..length - 3]) > 0 {
            word.truncate(length - 1);
        }
        return;
    }
    let stripped = ["ed", "ing"].into_iter().find_map(|suffix| {
        let stem = length.checked_sub(suffix.len())?;
        (ends(word, suffix) && vowels(&word[..stem]).any(|vowel| vowel)).then_some(stem)
    });
    let Some(stem) = stripped else { return };
    word.truncate(stem);
    if ["at", "bl", "iz"].iter().any(|suffix| ends(word, suffix)) {
        word.push('e');
    } else if double_consonant(word) {
        if !['l', 's', 'z'].contains(&word[stem - 1]) {
            word.pop();
        }
    } else if ends(word, "*d") {
        // NLTK's mark for the rule above, which it also takes at its word.
        word.remove(stem - 2);
    } else if measure(word) == 1 && consonant_vowel_consonant(word) {
        word.push('e');
    }
}

fn step_1c(word: &mut [char]) {
    let stem = word.len() - usize::from(ends(word, "y"));
    if stem < word.len() && stem > 1 && vowels(&word[..stem]).last() == Some(false) {
        word[stem] = 'i';
    }
}

fn step_5(word: &mut Vec<char>) {
    if ends(word, "e") {
        let stem = &word[..word.len() - 1];
        let measure = measure(stem);
        if measure > 1 || measure == 1 && !consonant_vowel_consonant(stem) {
            word.pop();
        }
    }
    if ends(word, "ll") && measure(&word[..word.len() - 1]) > 1 {
        word.pop();
    }
}

fn apply(word: &mut Vec<char>, rules: &[Rule]) {
    let Some((suffix, replacement, condition)) = rules.iter().find(|rule| ends(word, rule.0))
    else {
        return;
    };
    let length = word.len() - suffix.len();
    let stem = &word[..length];
    let holds = match *condition {
        Always => true,
        Measure(least) => measure(stem) > least,
        Condition::Adoption => measure(stem) > 1 && matches!(stem.last(), Some('s' | 't')),
        Condition::Logic => measure(&word[..=length]) > 0,
    };
    if holds {
        word.truncate(length);
        word.extend(replacement.chars());
    }
}

fn ends(word: &[char], suffix: &str) -> bool {
    let start = word.len().checked_sub(suffix.len());
    start.is_some_and(|start| word[start..].iter().copied().eq(suffix.chars()))
}

/// Of each letter whether it is a vowel: a, e, i, o, u, and y after a consonant. Whatever is no letter
/// is a consonant.
fn vowels(word: &[char]) -> impl Iterator<Item = bool> {
    word.iter().scan(true, |after_vowel, c| {
        *after_vowel = match c {
            'a' | 'e' | 'i' | 'o' | 'u' => true,
            'y' => !*after_vowel,
            _ => false,
        };
        Some(*after_vowel)
    })
}

/// Porter's m: how often a consonant follows a vowel.
fn measure(word: &[char]) -> usize {
    let mut before = false;
    let turns = vowels(word).filter(|&vowel| std::mem::replace(&mut before, vowel) && !vowel);
    turns.count()
}

fn double_consonant(word: &[char]) -> bool {
    matches!(word, [.., a, b] if a == b) && vowels(word).last() == Some(false)
}

/// Porter's *o, and of words of two letters a vowel and a consonant.
fn consonant_vowel_consonant(word: &[char]) -> bool {
    let vowel: Vec<bool> = vowels(word).collect();
    match vowel[..] {
        [.., false, true, false] => !matches!(word.last(), Some('w' | 'x' | 'y')),
        [true, false] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_as_nltk() {
        let pairs = [
            ("flies", "fli"),
            ("dies", "die"),
            ("spied", "spi"),
            ("enjoyment", "enjoy"),
            ("happy", "happi"),
            ("geology", "geolog"),
            ("radically", "radic"),
            ("Adoption", "adopt"),
            ("controlling", "control"),
            ("hoping", "hope"),
            ("oing", "o"),
            ("a*ding", "ad"),
            ("succeed", "succeed"),
            ("yyyyying", "yyyi"),
            ("is", "is"),
            ("Ünders", "ünder"),
            ("", ""),
        ];
        for (word, expected) in pairs {
            assert_eq!(stem(word), expected, "{word}");
        }
    }
}
