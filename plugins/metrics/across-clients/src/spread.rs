//! Measures of spread of values of which each counts `times`.

/// n and Σ f(x).
fn sums(values: &[f64], times: &[u32], f: impl Fn(f64) -> f64) -> (f64, f64) {
    let pairs = values.iter().zip(times);
    pairs.fold((0.0, 0.0), |(n, sum), (value, times)| {
        let times = f64::from(*times);
        (n + times, sum + times * f(*value))
    })
}

/// Σ (x - mean)² / n (q-FFL, Li et al. 2020, definition 1).
pub(crate) fn variance(values: &[f64], times: &[u32]) -> f64 {
    let (n, sum) = sums(values, times, |x| x);
    let mean = sum / n;
    sums(values, times, |x| (x - mean).powi(2)).1 / n
}

/// (Σ x)² / (n Σ x²) (Jain et al. 1984); 1 where all are 0, and so alike.
pub(crate) fn jain(values: &[f64], times: &[u32]) -> f64 {
    let (n, sum) = sums(values, times, |x| x);
    let squares = sums(values, times, |x| x * x).1;
    match squares == 0.0 {
        true => 1.0,
        false => sum * sum / (n * squares),
    }
}

/// -Σ p ln p with p = x / Σ x (q-FFL's other measure of uniformity); no number where a value is negative or
/// all are 0.
pub(crate) fn entropy(values: &[f64], times: &[u32]) -> f64 {
    let sum = sums(values, times, |x| x).1;
    let share = |x: f64| match x / sum {
        p if p > 0.0 => -p * p.ln(),
        0.0 => 0.0,
        _ => f64::NAN,
    };
    match values.iter().any(|x| *x < 0.0) {
        true => f64::NAN,
        false => sums(values, times, share).1,
    }
}

/// The mean of the first tenth, rounded up, of the values in the order of `ranked`.
pub(crate) fn decile(values: &[f64], times: &[u32], ranked: impl Iterator<Item = usize>) -> f64 {
    let n: u32 = times.iter().sum();
    let wanted = n.div_ceil(10);
    let (mut left, mut sum) = (wanted, 0.0);
    for index in ranked {
        let taken = times[index].min(left);
        sum += f64::from(taken) * values[index];
        left -= taken;
        if left == 0 {
            break;
        }
    }
    sum / f64::from(wanted)
}
