//! Spherical k-means on sparse vectors.

use folkmoot_sdk::{ChaCha8Rng, split};
use rand::RngExt;

use crate::tfidf::Vectors;

/// 1 - cos of vectors that are the same but for rounding.
const SAME: f64 = 1e-6;

/// Centres, all values of a feature side by side.
struct Centres {
    count: usize,
    values: Vec<f32>,
}

/// The cluster of every vector. None of the `count` clusters, at most as many as vectors, is empty.
pub(crate) fn spherical(
    vectors: &Vectors,
    count: usize,
    iterations: u32,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let seeds = seeds(vectors, count, rng);
    let own = (0..vectors.len()).map(|at| seeds.iter().position(|&seed| seed == at));
    let mut centres = centres(vectors, count, own);
    let mut clusters = Vec::new();
    for _ in 0..iterations {
        let next = assign(vectors, &centres);
        if next == clusters {
            break;
        }
        clusters = next;
        centres = self::centres(vectors, count, clusters.iter().copied().map(Some));
    }
    clusters
}

/// `count` different vectors: the first at random, each other one with a chance in proportion to 1 - cos
/// to the nearest before it.
fn seeds(vectors: &Vectors, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut distances = vec![f64::INFINITY; vectors.len()];
    let mut seeds: Vec<usize> = Vec::new();
    let mut dense = vec![0.0; vectors.features];
    while seeds.len() < count {
        let seed = if seeds.is_empty() {
            rng.random_range(0..vectors.len())
        } else if distances.iter().any(|&distance| distance > 0.0) {
            split::pick(&distances, rng)
        } else {
            // Fewer different vectors than clusters: any that is left.
            let left: Vec<usize> = (0..vectors.len())
                .filter(|at| !seeds.contains(at))
                .collect();
            left[rng.random_range(0..left.len())]
        };
        seeds.push(seed);
        let write = |dense: &mut Vec<f32>, on: bool| {
            for &(feature, value) in vectors.row(seed) {
                dense[feature as usize] = if on { value } else { 0.0 };
            }
        };
        write(&mut dense, true);
        for (at, distance) in distances.iter_mut().enumerate() {
            let product = |&(feature, value): &(u32, f32)| value * dense[feature as usize];
            let cosine: f32 = vectors.row(at).iter().map(product).sum();
            let own = 1.0 - f64::from(cosine);
            *distance = distance.min(if own > SAME { own } else { 0.0 });
        }
        // A vector of length 0 is at distance 1 of itself.
        distances[seed] = 0.0;
        write(&mut dense, false);
    }
    seeds
}

/// The mean direction of each cluster's vectors.
fn centres(
    vectors: &Vectors,
    count: usize,
    clusters: impl Iterator<Item = Option<usize>>,
) -> Centres {
    let mut values = vec![0f32; vectors.features * count];
    for (at, cluster) in clusters.enumerate() {
        let Some(cluster) = cluster else { continue };
        for &(feature, value) in vectors.row(at) {
            values[feature as usize * count + cluster] += value;
        }
    }
    let mut squares = vec![0f64; count];
    for feature in values.chunks(count) {
        for (square, &value) in squares.iter_mut().zip(feature) {
            *square += f64::from(value) * f64::from(value);
        }
    }
    let scale = |square: f64| {
        if square > 0.0 {
            (1.0 / square.sqrt()) as f32
        } else {
            0.0
        }
    };
    let scales: Vec<f32> = squares.into_iter().map(scale).collect();
    for feature in values.chunks_mut(count) {
        for (value, scale) in feature.iter_mut().zip(&scales) {
            *value *= scale;
        }
    }
    Centres { count, values }
}

/// The nearest centre of each vector. A cluster that no vector is nearest to gets the one that fits its
/// own cluster least.
fn assign(vectors: &Vectors, centres: &Centres) -> Vec<usize> {
    let count = centres.count;
    let (mut clusters, mut fits) = (Vec::new(), Vec::new());
    let mut sizes = vec![0; count];
    let mut cosines = vec![0f32; count];
    for at in 0..vectors.len() {
        cosines.fill(0.0);
        for &(feature, value) in vectors.row(at) {
            let from = feature as usize * count;
            let centre = &centres.values[from..from + count];
            for (cosine, centre) in cosines.iter_mut().zip(centre) {
                *cosine += value * centre;
            }
        }
        let (mut nearest, mut fit) = (0, cosines[0]);
        for (cluster, &cosine) in cosines.iter().enumerate() {
            if cosine > fit {
                (nearest, fit) = (cluster, cosine);
            }
        }
        sizes[nearest] += 1;
        clusters.push(nearest);
        fits.push(fit);
    }
    for cluster in 0..count {
        if sizes[cluster] > 0 {
            continue;
        }
        let spare = (0..clusters.len()).filter(|&at| sizes[clusters[at]] > 1);
        if let Some(at) = spare.min_by(|&one, &other| fits[one].total_cmp(&fits[other])) {
            sizes[clusters[at]] -= 1;
            sizes[cluster] = 1;
            (clusters[at], fits[at]) = (cluster, f32::INFINITY);
        }
    }
    clusters
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;
    use crate::tfidf::vectors;

    #[test]
    fn no_cluster_is_empty_even_of_equal_texts() {
        let texts = ["same words", "same words", "", "same words", "other"].map(str::to_owned);
        let vectors = vectors(texts.into_iter(), 10);
        let mut rng = dataset(&[], 3).rng();
        for count in 1..=5 {
            let mut clusters = spherical(&vectors, count, 20, &mut rng);
            assert_eq!(clusters.len(), 5);
            clusters.sort_unstable();
            clusters.dedup();
            assert_eq!(clusters.len(), count);
        }
    }
}
