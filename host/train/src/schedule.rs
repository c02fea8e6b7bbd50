//! The learning rate over rounds.

/// η_t = η_min + ½(η₀ - η_min)(1 + cos(π t/T)), t = 0 … T-1: cosine annealing without restarts
/// (Loshchilov & Hutter 2017), constant within a round.
pub fn cosine(peak: f64, floor: f64, round: u32, rounds: u32) -> f64 {
    let t = f64::from(round.saturating_sub(1)) / f64::from(rounds.max(1));
    floor + 0.5 * (peak - floor) * (1.0 + (std::f64::consts::PI * t).cos())
}

#[cfg(test)]
mod tests {
    use super::cosine;

    /// OpenFedLLM's own schedule: η₀ = 5e-5, η_min = 1e-6, T = 200.
    #[test]
    fn matches_the_reference_schedule() {
        let close =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-5, "{found}");
        close(cosine(5e-5, 1e-6, 1, 200), 5e-5);
        close(cosine(5e-5, 1e-6, 2, 200), 4.99970e-5);
        close(cosine(5e-5, 1e-6, 101, 200), 2.55e-5);
        close(cosine(5e-5, 1e-6, 200, 200), 1.00302e-6);
    }
}
