//! How unlike the clients of a federation are: in labels, and in size.
//!
//! Everything is computed from the table of counts, `counts[client][label]`; rows that are shorter
//! than the longest are read as if zeros followed.

use serde::Serialize;

/// What one client holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Client {
    /// Rows of the client, over all labels.
    pub size: u64,
    /// Shannon entropy of its labels in nats: `H(p) = −Σ pₖ ln pₖ`, from 0 (one label, or no row) to
    /// `ln K`. Shannon, "A Mathematical Theory of Communication", 1948, section 6.
    pub entropy: f64,
    /// Effective number of labels: `exp(H)`, the number of equally frequent labels that has the same
    /// entropy; 0 without rows. Hill, "Diversity and Evenness", 1973: the number of order 1.
    pub effective: f64,
    /// Labels with at least one row.
    pub distinct: usize,
    /// Jensen-Shannon distance from this client's labels to those of all clients together, see
    /// [`jensen_shannon`]; `None` without rows.
    pub distance: Option<f64>,
    /// Label with the most rows, the first of those that tie; `None` without rows.
    pub largest: Option<usize>,
    /// Share of the client's rows that have the largest label, 0 to 1; 0 without rows.
    pub share: f64,
}

/// How the sizes of the clients spread; everything is 0 for no clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sizes {
    /// Number of clients, those without rows too.
    pub clients: usize,
    /// Rows of all clients.
    pub rows: u64,
    /// Rows of the smallest client.
    pub smallest: u64,
    /// Median of the rows of a client; the mean of the middle two for an even number of clients.
    pub median: f64,
    /// Rows of the largest client.
    pub largest: u64,
    /// Mean number of rows of a client.
    pub mean: f64,
    /// Coefficient of variation: `σ / μ` with the population's `σ = √(Σ (xᵢ − μ)² / n)`; 0 where
    /// all sizes are the same. No unit.
    pub variation: f64,
    /// Gini coefficient: `G = Σᵢ Σⱼ |xᵢ − xⱼ| / (2 n² μ)`, from 0 (all sizes the same) to `1 − 1/n`
    /// (one client has it all). Gini, "Variabilità e mutabilità", 1912.
    pub gini: f64,
}

/// How unlike the clients are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heterogeneity {
    /// Each client, in the order given.
    pub clients: Vec<Client>,
    /// The sizes of the clients.
    pub sizes: Sizes,
    /// Mean of [`Client::distance`] over the clients that have rows; 0 for no such client.
    pub mean_distance: f64,
    /// Mean of [`Client::distance`] weighted by size: the distance that a row meets on average.
    pub weighted_distance: f64,
    /// Largest [`Client::distance`].
    pub largest_distance: f64,
}

impl Sizes {
    /// Sizes of clients, summarised.
    pub fn of(sizes: &[u64]) -> Self {
        let (Some(&smallest), Some(&largest)) = (sizes.iter().min(), sizes.iter().max()) else {
            return Self::default();
        };
        let mut sorted = sizes.to_vec();
        sorted.sort_unstable();
        let clients = sizes.len();
        let n = clients as f64;
        let rows: u64 = sizes.iter().sum();
        let mean = rows as f64 / n;
        let middle = (sorted[(clients - 1) / 2] as f64 + sorted[clients / 2] as f64) / 2.0;
        let squares: f64 = sizes.iter().map(|&x| (x as f64 - mean).powi(2)).sum();
        // With the sizes sorted, Σᵢ Σⱼ |xᵢ − xⱼ| = 2 Σᵢ (2i − n − 1) xᵢ, i from 1.
        let spread: f64 = (1..=clients)
            .zip(&sorted)
            .map(|(i, &x)| (2.0 * i as f64 - n - 1.0) * x as f64)
            .sum();
        let over = |value: f64, whole: f64| if rows == 0 { 0.0 } else { value / whole };
        Self {
            clients,
            rows,
            smallest,
            median: middle,
            largest,
            mean,
            variation: over((squares / n).sqrt(), mean),
            gini: over(spread, n * rows as f64),
        }
    }
}

impl Heterogeneity {
    /// Heterogeneity of the clients whose labels are counted in `counts[client][label]`.
    pub fn of(counts: &[Vec<u64>]) -> Self {
        let labels = counts.iter().map(Vec::len).max().unwrap_or(0);
        let mut whole = vec![0u64; labels];
        for client in counts {
            for (sum, &count) in whole.iter_mut().zip(client) {
                *sum += count;
            }
        }
        let clients: Vec<Client> = counts.iter().map(|c| Client::of(c, &whole)).collect();
        let sizes: Vec<u64> = clients.iter().map(|c| c.size).collect();
        let distances: Vec<(f64, f64)> = clients
            .iter()
            .filter_map(|c| Some((c.size as f64, c.distance?)))
            .collect();
        let rows: f64 = distances.iter().map(|&(size, _)| size).sum();
        let mean = |sum: f64, over: f64| if over == 0.0 { 0.0 } else { sum / over };
        Self {
            mean_distance: mean(
                distances.iter().map(|&(_, d)| d).sum(),
                distances.len() as f64,
            ),
            weighted_distance: mean(distances.iter().map(|&(size, d)| size * d).sum(), rows),
            largest_distance: distances.iter().map(|&(_, d)| d).fold(0.0, f64::max),
            sizes: Sizes::of(&sizes),
            clients,
        }
    }
}

impl Client {
    /// Client with the given rows of each label, beside the rows of all clients.
    fn of(counts: &[u64], whole: &[u64]) -> Self {
        let size: u64 = counts.iter().sum();
        // The first of those that tie: `max_by_key` would give the last.
        let largest = (0..counts.len()).rev().max_by_key(|&label| counts[label]);
        let largest = largest.filter(|_| size > 0);
        let entropy = entropy(counts);
        Self {
            size,
            entropy,
            effective: if size == 0 { 0.0 } else { entropy.exp() },
            distinct: counts.iter().filter(|&&count| count > 0).count(),
            distance: jensen_shannon(counts, whole),
            largest,
            share: largest.map_or(0.0, |label| counts[label] as f64 / size as f64),
        }
    }
}

/// Shannon entropy of counts in nats: `−Σ pₖ ln pₖ` with `pₖ = cₖ / Σ c`; 0 where nothing is counted.
pub fn entropy(counts: &[u64]) -> f64 {
    let size: u64 = counts.iter().sum();
    let met = counts.iter().filter(|&&count| count > 0);
    // Summed as p ln(1/p), so that one label gives 0 and not −0.
    met.map(|&count| {
        let p = count as f64 / size as f64;
        p * p.recip().ln()
    })
    .sum()
}

/// Jensen-Shannon distance of two tables of counts: `√JS(p, q)`, with the divergence
/// `JS(p, q) = ½ Σ pₖ log₂(pₖ / mₖ) + ½ Σ qₖ log₂(qₖ / mₖ)` and `m = (p + q) / 2`, so from 0 (the same
/// shares) to 1 (no label in common); `None` where one of them counts nothing.
///
/// The divergence is that of Lin, "Divergence Measures Based on the Shannon Entropy", 1991, with
/// equal weights; that its root is a metric, Endres and Schindelin, "A New Metric for Probability
/// Distributions", 2003. It is `scipy.spatial.distance.jensenshannon(p, q, base=2)`.
pub fn jensen_shannon(a: &[u64], b: &[u64]) -> Option<f64> {
    let (rows_a, rows_b) = (a.iter().sum::<u64>(), b.iter().sum::<u64>());
    if rows_a == 0 || rows_b == 0 {
        return None;
    }
    let share = |counts: &[u64], label: usize, rows: u64| {
        counts
            .get(label)
            .map_or(0.0, |&count| count as f64 / rows as f64)
    };
    let term = |p: f64, m: f64| if p > 0.0 { p * (p / m).log2() } else { 0.0 };
    let divergence: f64 = (0..a.len().max(b.len()))
        .map(|label| {
            let (p, q) = (share(a, label, rows_a), share(b, label, rows_b));
            let m = (p + q) / 2.0;
            (term(p, m) + term(q, m)) / 2.0
        })
        .sum();
    // Rounding can leave the divergence a little outside its range.
    Some(divergence.clamp(0.0, 1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn one_client_is_the_whole() {
        let found = Heterogeneity::of(&[vec![3, 1, 0]]);
        let client = &found.clients[0];
        assert_eq!(
            (client.size, client.distinct, client.largest),
            (4, 2, Some(0))
        );
        assert_eq!((client.distance, client.share), (Some(0.0), 0.75));
        assert!(near(client.entropy, 0.5623351446188083));
        assert!(near(client.effective, client.entropy.exp()));
        assert_eq!((found.sizes.variation, found.sizes.gini), (0.0, 0.0));
    }

    #[test]
    fn nothing_in_common_is_one_apart() {
        assert!(near(jensen_shannon(&[5, 0], &[0, 2]).unwrap(), 1.0));
        assert!(near(jensen_shannon(&[5], &[0, 2]).unwrap(), 1.0));
        assert_eq!(jensen_shannon(&[1, 2, 3], &[10, 20, 30]), Some(0.0));
        assert_eq!(jensen_shannon(&[0, 0], &[1, 2]), None);
        assert_eq!(jensen_shannon(&[], &[]), None);
    }

    #[test]
    fn clients_without_rows_count_in_sizes_only() {
        let with = Heterogeneity::of(&[vec![4, 0], vec![], vec![0, 4], vec![0, 0]]);
        let without = Heterogeneity::of(&[vec![4, 0], vec![0, 4]]);
        assert_eq!(with.mean_distance, without.mean_distance);
        assert_eq!(with.weighted_distance, without.weighted_distance);
        let empty = &with.clients[1];
        assert_eq!(
            (empty.entropy, empty.effective, empty.share),
            (0.0, 0.0, 0.0)
        );
        assert_eq!((empty.distance, empty.largest), (None, None));
        assert_eq!((with.sizes.smallest, with.sizes.median), (0, 2.0));
        assert!(near(with.sizes.gini, 0.5) && near(with.sizes.variation, 1.0));
    }

    #[test]
    fn nothing_at_all() {
        let found = Heterogeneity::of(&[]);
        assert_eq!((found.sizes, found.mean_distance), (Sizes::default(), 0.0));
        let found = Heterogeneity::of(&[vec![0], vec![0]]);
        assert_eq!((found.sizes.gini, found.sizes.variation), (0.0, 0.0));
        assert_eq!(found.weighted_distance, 0.0);
    }

    #[test]
    fn the_first_label_of_a_tie_is_the_largest() {
        assert_eq!(
            Heterogeneity::of(&[vec![1, 7, 7]]).clients[0].largest,
            Some(1)
        );
        assert!(near(entropy(&[2, 2, 2, 2]), 4f64.ln()));
        assert!(entropy(&[9]).is_sign_positive());
    }
}
