//! Scores from counts per class: expected, said, both.

use std::cell::RefCell;
use std::collections::BTreeMap;

use folkmoot_sdk::statistics::{bootstrap, mean};

/// Every score, in the order of [`Confusion::scores`].
pub(crate) const NAMES: [&str; 12] = [
    "accuracy",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "balanced_accuracy",
    "precision_macro",
    "precision_micro",
    "precision_weighted",
    "recall_macro",
    "recall_micro",
    "recall_weighted",
    "mcc",
];

/// Expected and said class of each example, as numbers.
pub(crate) struct Confusion {
    pairs: Vec<(u32, u32)>,
    classes: usize,
    /// The first so many classes are the label set; without one, all that are met.
    set: Option<usize>,
}

/// How often a class was expected, said, and both.
#[derive(Clone, Copy, Default)]
struct Class {
    expected: f64,
    said: f64,
    hit: f64,
}

/// a / b, 0 where b is.
fn ratio(a: f64, b: f64) -> f64 {
    match b == 0.0 {
        true => 0.0,
        false => a / b,
    }
}

impl Class {
    fn precision(self) -> f64 {
        ratio(self.hit, self.said)
    }

    fn recall(self) -> f64 {
        ratio(self.hit, self.expected)
    }

    /// 2·tp / (2·tp + fp + fn).
    fn f1(self) -> f64 {
        ratio(2.0 * self.hit, self.expected + self.said)
    }
}

impl Confusion {
    /// Of pairs (expected, said). Classes are numbered as in `labels`, the others after them by their text.
    pub(crate) fn new(pairs: &[(String, String)], labels: Option<&[String]>) -> Self {
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let mut next = 0;
        for label in labels.unwrap_or_default() {
            numbers.entry(label).or_insert_with(|| {
                next += 1;
                next - 1
            });
        }
        let set = labels.map(|_| numbers.len());
        let mut others: Vec<&str> = pairs
            .iter()
            .flat_map(|(expected, said)| [expected.as_str(), said.as_str()])
            .filter(|text| !numbers.contains_key(text))
            .collect();
        others.sort_unstable();
        others.dedup();
        numbers.extend(others.into_iter().zip(next..));
        let number = |text: &String| numbers[text.as_str()];
        let pairs = pairs.iter();
        Self {
            pairs: pairs.map(|(a, b)| (number(a), number(b))).collect(),
            classes: numbers.len(),
            set,
        }
    }

    /// The bootstrap's standard error of each score, all from the same resamples.
    pub(crate) fn errors(&self) -> [Option<f64>; 12] {
        let drawn = RefCell::new(Vec::new());
        bootstrap(self.pairs.len(), |times| {
            let scores = self.scores(Some(times));
            drawn.borrow_mut().push(scores);
            scores[0]
        });
        let drawn = drawn.into_inner();
        std::array::from_fn(|index| {
            let values: Vec<f64> = drawn.iter().map(|scores| scores[index]).collect();
            // s/√n times √n.
            let error = mean(&values).1?;
            Some(error * (values.len() as f64).sqrt())
        })
    }

    /// All scores; `drawn` tells how often each example counts, once if not given.
    pub(crate) fn scores(&self, drawn: Option<&[u32]>) -> [f64; 12] {
        let mut classes = vec![Class::default(); self.classes];
        let (mut n, mut right) = (0.0, 0.0);
        for (index, &(expected, said)) in self.pairs.iter().enumerate() {
            let times = drawn.map_or(1.0, |drawn| f64::from(drawn[index]));
            n += times;
            classes[expected as usize].expected += times;
            classes[said as usize].said += times;
            if expected == said {
                right += times;
                classes[said as usize].hit += times;
            }
        }
        let met = |class: &&Class| class.expected + class.said > 0.0;
        let counted: Vec<Class> = match self.set {
            Some(labels) => classes[..labels].to_vec(),
            None => classes.iter().filter(met).copied().collect(),
        };
        let [pm, pi, pw] = averages(&counted, Class::precision);
        let [rm, ri, rw] = averages(&counted, Class::recall);
        let [fm, fi, fw] = averages(&counted, Class::f1);
        // Mean over the classes that are expected at all.
        let expected = classes.iter().filter(|class| class.expected > 0.0);
        let recalls: Vec<f64> = expected.map(|class| class.recall()).collect();
        let balanced = recalls.iter().sum::<f64>() / recalls.len() as f64;
        let mcc = mcc(&classes, n, right);
        [right / n, fm, fi, fw, balanced, pm, pi, pw, rm, ri, rw, mcc]
    }
}

/// Macro, micro, weighted.
fn averages(classes: &[Class], score: fn(Class) -> f64) -> [f64; 3] {
    let sum = classes.iter().map(|class| score(*class)).sum::<f64>();
    let total = classes.iter().fold(Class::default(), |sum, class| Class {
        expected: sum.expected + class.expected,
        said: sum.said + class.said,
        hit: sum.hit + class.hit,
    });
    let weighted = classes.iter().map(|class| class.expected * score(*class));
    [
        ratio(sum, classes.len() as f64),
        score(total),
        ratio(weighted.sum(), total.expected),
    ]
}

/// Matthews' correlation (Gorodkin 2004, eq. 8): (c·n - Σ t·p) / √((n² - Σ p²)(n² - Σ t²)), c the right ones,
/// t and p how often a class is expected and said; 0 where the denominator is.
fn mcc(classes: &[Class], n: f64, right: f64) -> f64 {
    let sum = |term: fn(&Class) -> f64| classes.iter().map(term).sum::<f64>();
    let said = n * n - sum(|class| class.said * class.said);
    let expected = n * n - sum(|class| class.expected * class.expected);
    match said * expected == 0.0 {
        true => 0.0,
        false => (right * n - sum(|class| class.expected * class.said)) / (said * expected).sqrt(),
    }
}
