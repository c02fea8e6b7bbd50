//! Scores of one example and of the bins.

/// What an example says of the model.
pub(crate) struct Said {
    /// The probability of what it holds likeliest.
    pub(crate) confidence: f64,
    /// Whether that is right.
    pub(crate) right: bool,
    pub(crate) brier: f64,
    pub(crate) nll: f64,
}

impl Said {
    /// Of the probabilities of all choices; of equal ones the first is said. Brier: Σ (y - p)², halved where
    /// there are but two choices, as scikit-learn's `brier_score_loss` does.
    pub(crate) fn among(probabilities: &[f64], answer: usize) -> Self {
        let mut said = 0;
        for (index, p) in probabilities.iter().enumerate() {
            if *p > probabilities[said] {
                said = index;
            }
        }
        let off = probabilities.iter().enumerate().map(|(index, p)| {
            let truth = f64::from(u8::from(index == answer));
            (truth - p).powi(2)
        });
        let scale = if probabilities.len() < 3 { 0.5 } else { 1.0 };
        Self {
            confidence: probabilities[said],
            right: said == answer,
            brier: scale * off.sum::<f64>(),
            nll: nll(probabilities[answer]),
        }
    }

    /// Of a confidence in one prediction: right or wrong are the two choices.
    pub(crate) fn alone(confidence: f64, right: bool) -> Self {
        let p = if right { confidence } else { 1.0 - confidence };
        Self {
            confidence,
            right,
            brier: (1.0 - p).powi(2),
            nll: nll(p),
        }
    }
}

/// -ln p, p clipped to ε ≤ p ≤ 1 - ε with ε = 2⁻⁵² as in scikit-learn's `log_loss`, so that it is finite.
fn nll(p: f64) -> f64 {
    -p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// exp(x) / Σ exp(x).
pub(crate) fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The edges between bins, i·(1/bins) as numpy's `linspace` has them.
pub(crate) fn edges(bins: u32) -> Vec<f64> {
    let width = 1.0 / f64::from(bins);
    (1..bins).map(|index| f64::from(index) * width).collect()
}

/// Expected and largest calibration error (Guo et al. 2017, eq. 3 and 5): Σ over bins |B|/n·|acc(B) - conf(B)|
/// and the maximum of |acc(B) - conf(B)| over bins that hold examples. Examples are (bin, confidence, right);
/// a bin is open below and closed above, the first holds 0 too. `drawn` tells how often each counts.
pub(crate) fn errors(
    examples: &[(usize, f64, f64)],
    bins: usize,
    drawn: Option<&[u32]>,
) -> (f64, f64) {
    // Examples, confidence and hits of each bin.
    let mut sums = vec![[0.0; 3]; bins];
    for (index, &(bin, confidence, right)) in examples.iter().enumerate() {
        let times = drawn.map_or(1.0, |drawn| f64::from(drawn[index]));
        sums[bin][0] += times;
        sums[bin][1] += times * confidence;
        sums[bin][2] += times * right;
    }
    let n: f64 = sums.iter().map(|sum| sum[0]).sum();
    let filled = sums.iter().filter(|sum| sum[0] > 0.0);
    let distance = |sum: &[f64; 3]| (sum[2] - sum[1]).abs();
    let ece = filled.clone().map(distance).sum::<f64>() / n;
    let most = filled.map(|sum| distance(sum) / sum[0]);
    (ece, most.fold(0.0, f64::max))
}
