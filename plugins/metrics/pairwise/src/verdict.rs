//! The verdict in a judge's words.

use crate::python::{Value, literal};

/// Which of the two answers that the judge was shown is the better one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    First,
    Second,
    Tie,
}

impl Verdict {
    /// The same, had the answers been shown the other way round.
    pub(crate) fn swapped(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
            Self::Tie => Self::Tie,
        }
    }
}

/// FastChat's rule: `[[A]]`, else `[[B]]`, else `[[C]]` for a tie, anywhere in the text.
pub(crate) fn letter(words: &str) -> Option<Verdict> {
    let verdicts = [
        ("[[A]]", Verdict::First),
        ("[[B]]", Verdict::Second),
        ("[[C]]", Verdict::Tie),
    ];
    let found = verdicts.into_iter().find(|(mark, _)| words.contains(mark));
    found.map(|(_, verdict)| verdict)
}

/// AlpacaEval's `ranking_parser`: the text is a list of dictionaries in Python; the first whose `model` is
/// `model_1` has `rank` 1 or 2.
pub(crate) fn ranking(words: &str) -> Option<Verdict> {
    let Some(Value::Sequence(models, _)) = literal(words) else {
        return None;
    };
    let names: Option<Vec<&Value>> = models.iter().map(|own| own.get("model")).collect();
    let is_first = |name: &&Value| matches!(name, Value::Text(name) if name == "model_1");
    let first = names?.iter().position(is_first)?;
    let Value::Number(rank, imaginary) = *models[first].get("rank")? else {
        return None;
    };
    match imaginary.is_none_or(|own| own == 0.0) {
        true if rank == 1.0 => Some(Verdict::First),
        true if rank == 2.0 => Some(Verdict::Second),
        _ => None,
    }
}

/// AlpacaEval 2's verdict, a name and nothing else: `m` is the first model, `M` the second.
pub(crate) fn name(words: &str) -> Option<Verdict> {
    match words.trim() {
        "m" => Some(Verdict::First),
        "M" => Some(Verdict::Second),
        _ => None,
    }
}
