//! What a run makes of its evaluations: the best round, and whether to go on.

use anyhow::{Context, Result};
use folkmoot_plugin::Score;
use serde::{Deserialize, Serialize};

use crate::evaluate::Evaluation;
use crate::evaluate::panel::Scores;

/// What was seen so far. Part of the checkpoint, so that a run that goes on decides as one that never stopped.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) best: Option<Best>,
    /// The value to beat, and evaluations since then.
    patience: Option<(f64, u32)>,
    /// The run ended early.
    pub(crate) stopped: bool,
}

/// The best evaluation so far.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Best {
    pub(crate) round: u32,
    pub(crate) scores: Vec<Score>,
}

/// What an evaluation says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Verdict {
    /// It is better than all before.
    pub(crate) best: bool,
    /// The run ends here.
    pub(crate) stop: bool,
}

impl Watch {
    /// Takes the scores of the held-out rows after `round`; refused where a watched one is not among them.
    pub(crate) fn see(&mut self, how: &Evaluation, round: u32, scores: &Scores) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        let find = |scores: &[Score], name: &str| {
            let own = scores.iter().find(|own| own.name == name);
            own.map(|own| (own.value, own.higher_is_better))
        };
        let watched = |name: &str| {
            find(scores, name).with_context(|| {
                let known: Vec<&str> = scores.iter().map(|own| own.name.as_str()).collect();
                format!(
                    "there is no score `{name}`, which the run watches; there are: {}",
                    known.join(", ")
                )
            })
        };
        if let Some(name) = &how.best {
            let (own, higher) = watched(name)?;
            let before = self.best.as_ref();
            let before = before.and_then(|best| find(&best.scores, name));
            if before.is_none_or(|(before, _)| better(own, before, higher, 0.0)) {
                verdict.best = true;
                let scores = scores.clone();
                self.best = Some(Best { round, scores });
            }
        }
        if let Some(stop) = &how.stop {
            let (own, higher) = watched(&stop.score)?;
            let (best, without) = match self.patience {
                Some((best, without)) if !better(own, best, higher, stop.min_change) => {
                    (best, without + 1)
                }
                _ => (own, 0),
            };
            self.patience = Some((best, without));
            verdict.stop = without >= stop.patience;
            self.stopped |= verdict.stop;
        }
        Ok(verdict)
    }
}

fn better(own: f64, before: f64, higher: bool, by: f64) -> bool {
    match higher {
        true => own - before > by,
        false => before - own > by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Stop;

    fn scores(value: f64) -> Scores {
        vec![Score {
            name: "accuracy".into(),
            value,
            higher_is_better: true,
            standard_error: None,
        }]
    }

    #[test]
    fn it_stops_after_as_many_as_it_waits_for() {
        let how = Evaluation {
            every: 1,
            batch: 1,
            metrics: Vec::new(),
            execute: false,
            judge: None,
            best: Some("accuracy".into()),
            stop: Some(Stop {
                score: "accuracy".into(),
                patience: 2,
                min_change: 0.05,
            }),
            clients: None,
        };
        let mut watch = Watch::default();
        let mut see = |round, value| {
            let verdict = watch.see(&how, round, &scores(value)).unwrap();
            (verdict.best, verdict.stop)
        };
        assert_eq!(see(1, 0.5), (true, false));
        assert_eq!(see(2, 0.54), (true, false), "better, yet not by enough");
        assert_eq!(see(3, 0.56), (true, false), "enough");
        assert_eq!(see(4, 0.56), (false, false));
        assert_eq!(see(5, 0.1), (false, true));
        assert!(watch.see(&how, 6, &Scores::new()).is_err());
        assert_eq!(watch.best.unwrap().round, 3);
    }
}
