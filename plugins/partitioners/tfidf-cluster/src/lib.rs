//! Clusters of text: tf(w) · (ln((1 + n) / (1 + df(w))) + 1) of the most frequent words, scaled to length
//! 1 (scikit-learn's `TfidfVectorizer`), clustered by spherical k-means: the nearest centre is the one of
//! the largest cosine, and a centre is the mean direction of its texts. The first centres are drawn as in
//! k-means++, with chances in proportion to 1 - cos to the nearest one.

mod cluster;
mod tfidf;

use folkmoot_sdk::split::{self, Alpha, LabelSkew};
use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner};
use schemars::JsonSchema;
use serde::Deserialize;

/// Text skew without labels: clusters of TF-IDF vectors are dealt to clients, one each where they are as
/// many, else as classes by a Dirichlet draw.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TfidfCluster {
    /// Number of clusters. Without it as many as clients.
    #[serde(default)]
    #[schemars(range(min = 1))]
    clusters: Option<u32>,
    /// Number of words that count, the most frequent ones.
    #[serde(default = "max_features")]
    #[schemars(range(min = 1))]
    max_features: u32,
    /// Steps of k-means at most; it ends before where no text moves.
    #[serde(default = "iterations")]
    #[schemars(range(min = 1))]
    iterations: u32,
    /// Concentration of the Dirichlet draw: the smaller, the fewer clusters a client has. A number, or a
    /// list with one per client. No effect with as many clusters as clients.
    #[serde(default)]
    alpha: Alpha,
    /// Fewest examples a client may get of the Dirichlet draw, which is repeated until all have them.
    #[serde(default = "min_size")]
    #[schemars(range(min = 1))]
    min_size: u32,
}
export_partitioner!(TfidfCluster);

fn max_features() -> u32 {
    2000
}

fn iterations() -> u32 {
    20
}

fn min_size() -> u32 {
    10
}

impl Partitioner for TfidfCluster {
    const REFERENCES: &'static [&'static str] = &[
        "Dhillon & Modha 2001, Concept Decompositions for Large Sparse Text Data Using Clustering, https://doi.org/10.1023/A:1007612920971",
        "Arthur & Vassilvitskii 2007, k-means++: The Advantages of Careful Seeding, https://dl.acm.org/doi/10.5555/1283383.1283494",
        "Pedregosa et al. 2011, Scikit-learn: Machine Learning in Python, https://arxiv.org/abs/1201.0490",
    ];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let rows = data.examples();
        let count = self.clusters.unwrap_or(clients);
        if count > rows {
            return Err(format!(
                "{count} clusters are more than the {rows} examples; fewer clients, or lower `clusters`"
            ));
        }
        let vectors = tfidf::vectors((0..rows).map(|row| data.text(row)), self.max_features);
        let mut rng = data.rng();
        let own = cluster::spherical(&vectors, count as usize, self.iterations, &mut rng);
        let mut clusters = vec![Vec::new(); count as usize];
        for (row, cluster) in own.into_iter().enumerate() {
            clusters[cluster].push(row as u32);
        }
        if count == clients {
            return split::full(clusters, "fewer clients, or set `clusters`");
        }
        let skew = LabelSkew {
            alphas: self.alpha.each(clients as usize, "clients")?,
            min_size: self.min_size,
            self_balancing: false,
            shuffle: true,
        };
        skew.split(&clusters, &mut rng)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    const TOPICS: [[&str; 5]; 3] = [
        ["court", "judge", "appeal", "verdict", "plaintiff"],
        ["kitchen", "recipe", "onion", "simmer", "garlic"],
        ["engine", "piston", "torque", "gearbox", "exhaust"],
    ];

    /// 90 texts, of the three topics in turn, with words that all share.
    fn texts() -> Vec<String> {
        let text = |row: usize| {
            let topic = TOPICS[row % 3];
            let word = |at: usize| topic[(row / 3 + at * at) % 5];
            format!("The {} and a {}, with the {}.", word(0), word(1), word(2))
        };
        (0..90).map(text).collect()
    }

    fn partition(clusters: Option<u32>, clients: u32) -> Result<Vec<Vec<u32>>> {
        let texts = texts();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let settings = TfidfCluster {
            clusters,
            max_features: 2000,
            iterations: 20,
            alpha: Alpha::All(0.5),
            min_size: 5,
        };
        settings.partition(&dataset(&[("text", &texts)], 7), clients)
    }

    #[test]
    fn topics_are_found() {
        let shards = partition(None, 3).unwrap();
        for shard in &shards {
            assert_eq!(shard.len(), 30);
            assert!(shard.iter().all(|row| row % 3 == shard[0] % 3));
        }
        assert_eq!(shards, partition(Some(3), 3).unwrap());
    }

    #[test]
    fn other_numbers_of_clusters_are_dealt_by_dirichlet() {
        let shards = partition(Some(3), 5).unwrap();
        let mut rows = shards.concat();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..90));
        assert!(shards.iter().all(|shard| shard.len() >= 5));
        assert!(partition(None, 91).unwrap_err().starts_with("91 clusters"));
    }
}
