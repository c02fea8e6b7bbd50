//! What partitioners share: rows by category, cuts at given sizes or shares, Dirichlet draws, and the
//! refusal of empty shards.

use std::borrow::Cow;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, Open01, StandardNormal};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Dataset, Result, log};

/// Draws are repeated at most so often until every client has enough examples.
pub const TRIES: u32 = 100;

/// The smallest concentration that is drawn from.
const LEAST_ALPHA: f64 = 1e-6;

/// The rows that have one value in a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// The value.
    pub name: String,
    /// The rows, ascending.
    pub rows: Vec<u32>,
}

impl Dataset {
    /// All rows, in random order or as they are.
    pub fn rows(&self, shuffle: bool) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..self.examples()).collect();
        if shuffle {
            rows.shuffle(&mut self.rng());
        }
        rows
    }

    /// The rows by their value in `column`, values in order: as numbers where all are, else as text.
    pub fn groups(&self, column: &str) -> Result<Vec<Group>> {
        let (values, names) = self.categories(column)?;
        let empty = |name| Group {
            name,
            rows: Vec::new(),
        };
        let mut groups: Vec<Group> = names.into_iter().map(empty).collect();
        for (row, value) in values.into_iter().enumerate() {
            groups[value as usize].rows.push(row as u32);
        }
        let number = |group: &Group| group.name.trim().parse::<f64>().ok();
        let numbers: Option<Vec<f64>> = groups.iter().map(number).collect();
        let numbers = numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite()));
        if let Some(numbers) = numbers {
            let mut numbered: Vec<(f64, Group)> = numbers.into_iter().zip(groups).collect();
            numbered.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            groups = numbered.into_iter().map(|(_, group)| group).collect();
        }
        Ok(groups)
    }
}

/// Shuffles the rows of every group.
pub fn shuffle(groups: &mut [Group], rng: &mut ChaCha8Rng) {
    groups.iter_mut().for_each(|group| group.rows.shuffle(rng));
}

/// Consecutive pieces of these sizes; rows beyond them are left out, and where `rows` end, pieces do.
pub fn cut(rows: &[u32], sizes: &[usize]) -> Vec<Vec<u32>> {
    let mut rest = rows;
    let piece = |&size: &usize| {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        piece.to_vec()
    };
    sizes.iter().map(piece).collect()
}

/// `total` in equal parts; where that leaves a remainder, the first are larger by one.
pub fn even(total: usize, parts: usize) -> Vec<usize> {
    let size = |part| total / parts + usize::from(part < total % parts);
    (0..parts).map(size).collect()
}

/// `total` cut at the cumulative `shares`, which sum to 1, rounded down; the last part takes the rest.
pub fn at_shares(total: usize, shares: &[f64]) -> Vec<usize> {
    let (mut cumulated, mut from) = (0.0, 0);
    let size = |(part, share)| {
        cumulated += share;
        let to = match part + 1 == shares.len() {
            true => total,
            false => ((cumulated * total as f64) as usize).clamp(from, total),
        };
        let size = to - from;
        from = to;
        size
    };
    shares.iter().enumerate().map(size).collect()
}

/// `total` in parts as near to `shares`, which sum to 1, as whole numbers are: rounded down, and what
/// remains goes to the largest remainders, of equal ones to the first.
pub fn largest_remainder(total: usize, shares: &[f64]) -> Vec<usize> {
    let exact: Vec<f64> = shares.iter().map(|share| share * total as f64).collect();
    let mut sizes: Vec<usize> = exact.iter().map(|exact| *exact as usize).collect();
    let left = total.saturating_sub(sizes.iter().sum());
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&one, &other| exact[other].fract().total_cmp(&exact[one].fract()));
    order
        .into_iter()
        .take(left)
        .for_each(|part| sizes[part] += 1);
    sizes
}

/// `sizes` as given in settings, for a data set of `rows`. What they leave out is logged.
pub fn sizes(sizes: &[u32], rows: u32) -> Result<Vec<usize>> {
    if sizes.is_empty() {
        return Err("`sizes` is empty; give one size per client".into());
    }
    if let Some(client) = sizes.iter().position(|&size| size == 0) {
        return Err(format!(
            "client {client} would be empty; every size must be at least 1"
        ));
    }
    let total: u64 = sizes.iter().map(|&size| u64::from(size)).sum();
    let left = u64::from(rows).checked_sub(total).ok_or_else(|| {
        format!("`sizes` sum to {total}, but there are {rows} examples; lower them")
    })?;
    if left > 0 {
        let message =
            format!("`sizes` sum to {total} of {rows} examples; {left} of them are not used");
        log("warn", &message);
    }
    Ok(sizes.iter().map(|&size| size as usize).collect())
}

/// Sizes in proportion to `unit` of 1 to `clients`, rounded down; what remains goes to the last client.
/// Cuts the rows, shuffled or not, at them.
pub fn by_units(
    data: &Dataset,
    clients: u32,
    shuffle: bool,
    unit: fn(f64) -> f64,
) -> Result<Vec<Vec<u32>>> {
    let rows = data.rows(shuffle);
    let units: Vec<f64> = (1..=clients).map(|id| unit(f64::from(id))).collect();
    let total: f64 = units.iter().sum();
    let size = |unit: &f64| (unit / total * rows.len() as f64) as usize;
    let mut sizes: Vec<usize> = units.iter().map(size).collect();
    let left = rows.len().saturating_sub(sizes.iter().sum());
    if let Some(last) = sizes.last_mut() {
        *last += left;
    }
    full(cut(&rows, &sizes), "fewer clients, or more examples")
}

/// Rows in the order of σz + (1 - σ)ε, z the standardised `values`, σ the `strictness` and ε drawn from
/// N(0, 1), in even parts. Equal values are in random order. `of` names the values.
pub fn by_order(
    values: &[f64],
    strictness: f64,
    clients: u32,
    of: &str,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<u32>>> {
    if !(0.0..=1.0).contains(&strictness) {
        return Err(format!(
            "`strictness` is {strictness}, it must be from 0 to 1"
        ));
    }
    if let Some(row) = values.iter().position(|value| !value.is_finite()) {
        return Err(format!(
            "{of} of row {row} is `{}`, which cannot be ordered; clean or filter the data",
            values[row]
        ));
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = |value: &f64| (value - mean).powi(2);
    let deviation = (values.iter().map(square).sum::<f64>() / count).sqrt();
    if deviation < 1e-6 && strictness > 0.0 {
        return Err(format!(
            "{of} is the same in all examples (standard deviation {deviation}), so it gives no order; choose another, or set strictness = 0"
        ));
    }
    let score = |value: &f64| {
        let noise: f64 = StandardNormal.sample(rng);
        match strictness > 0.0 {
            true => {
                let standard = (value - mean) / deviation;
                (strictness * standard + (1.0 - strictness) * noise, noise)
            }
            false => (noise, noise),
        }
    };
    let scores: Vec<(f64, f64)> = values.iter().map(score).collect();
    let mut rows: Vec<u32> = (0..values.len() as u32).collect();
    rows.sort_by(|&one, &other| {
        let (one, other) = (scores[one as usize], scores[other as usize]);
        one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1))
    });
    let sizes = even(rows.len(), clients as usize);
    full(cut(&rows, &sizes), "fewer clients")
}

/// The shards, each ascending; refused with `hint` where one is empty.
pub fn full(mut shards: Vec<Vec<u32>>, hint: &str) -> Result<Vec<Vec<u32>>> {
    if let Some(client) = shards.iter().position(Vec::is_empty) {
        return Err(format!("client {client} would be empty; {hint}"));
    }
    shards.iter_mut().for_each(|shard| shard.sort_unstable());
    Ok(shards)
}

/// For a partitioner whose number of clients comes from `of`: refuses another number, 0 being none.
pub fn check_clients(asked: u32, found: usize, of: &str) -> Result<()> {
    match asked == 0 || asked as usize == found {
        true => Ok(()),
        false => Err(format!(
            "{of} gives {found} clients, but {asked} are asked for; leave the number of clients out"
        )),
    }
}

/// Concentration of a Dirichlet distribution: one for all, or one each.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Alpha {
    /// The same for all.
    All(f64),
    /// One each.
    Each(Vec<f64>),
}

impl Default for Alpha {
    fn default() -> Self {
        Self::All(0.5)
    }
}

impl JsonSchema for Alpha {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Alpha".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Each keyword speaks of one of the two types only.
        json_schema!({
            "type": ["number", "array"],
            "minimum": LEAST_ALPHA,
            "items": { "type": "number", "minimum": LEAST_ALPHA },
        })
    }
}

impl Alpha {
    /// One value for each of `count` `of` (clients, say).
    pub fn each(&self, count: usize, of: &str) -> Result<Vec<f64>> {
        let alphas = match self {
            Self::All(alpha) => vec![*alpha; count],
            Self::Each(alphas) => alphas.clone(),
        };
        if alphas.len() != count {
            return Err(format!(
                "`alpha` lists {} values for {count} {of}; give one each, or a single number",
                alphas.len()
            ));
        }
        let bad = |alpha: &&f64| !(**alpha >= LEAST_ALPHA && alpha.is_finite());
        match alphas.iter().find(bad) {
            None => Ok(alphas),
            Some(alpha) => Err(format!(
                "`alpha` is {alpha}, it must be at least {LEAST_ALPHA}"
            )),
        }
    }
}

/// Logarithms of independent Gamma(α, 1), one for each of `alphas`, which are above 0; their `softmax`
/// is a draw of Dir(α). A Gamma(α) with α < 1 is a Gamma(α + 1) times U^(1/α), which as a number would
/// be 0 for a small α, but not as a logarithm.
pub fn log_gammas(alphas: &[f64], rng: &mut ChaCha8Rng) -> Result<Vec<f64>> {
    let one = |&alpha: &f64| {
        let small = alpha < 1.0;
        let scale = match small {
            true => {
                let uniform: f64 = Open01.sample(rng);
                uniform.ln() / alpha
            }
            false => 0.0,
        };
        let gamma = Gamma::new(if small { alpha + 1.0 } else { alpha }, 1.0);
        let gamma = gamma.map_err(|error| format!("`alpha` is {alpha}: {error}"))?;
        Ok(gamma.sample(rng).ln() + scale)
    };
    alphas.iter().map(one).collect()
}

/// Shares in proportion to the exponentials of `logs`, at least one of which is finite.
pub fn softmax(logs: &[f64]) -> Vec<f64> {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}

/// One draw of Dir(α); works for every α above 0.
pub fn dirichlet(alphas: &[f64], rng: &mut ChaCha8Rng) -> Result<Vec<f64>> {
    Ok(softmax(&log_gammas(alphas, rng)?))
}

/// An index, drawn with chances in proportion to `weights`, at least one of which is above 0.
pub fn pick(weights: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let mut last = 0;
    for (index, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            last = index;
            if left < weight {
                break;
            }
        }
        left -= weight;
    }
    last
}

/// Label skew: each group is spread over the clients by a draw of Dir(α), one α per client.
pub struct LabelSkew {
    /// The concentration of each client.
    pub alphas: Vec<f64>,
    /// Fewest examples of a client; all is drawn again until every client has them.
    pub min_size: u32,
    /// A client with more than its fair share of all examples gets none of the groups still to come.
    pub self_balancing: bool,
    /// A group is shuffled before it is cut.
    pub shuffle: bool,
}

impl LabelSkew {
    /// The shards, one per α.
    pub fn split(&self, groups: &[Vec<u32>], rng: &mut ChaCha8Rng) -> Result<Vec<Vec<u32>>> {
        let rows: usize = groups.iter().map(Vec::len).sum();
        let least = self.alphas.len().saturating_mul(self.min_size as usize);
        if least > rows {
            return Err(format!(
                "{} clients of at least `min_size` = {} examples are more than the {rows} examples; fewer clients, or \
                 a lower min_size",
                self.alphas.len(),
                self.min_size
            ));
        }
        for _ in 0..TRIES {
            let shards = self.draw(groups, rng)?;
            let smallest = shards.iter().map(Vec::len).min().unwrap_or(0);
            if smallest >= self.min_size as usize {
                return full(
                    shards,
                    "fewer clients, a larger alpha, or a `min_size` of at least 1, which draws again",
                );
            }
        }
        Err(format!(
            "no draw of {TRIES} gave each of {} clients `min_size` = {} of {rows} examples in {} classes; raise alpha or \
             lower min_size",
            self.alphas.len(),
            self.min_size,
            groups.len()
        ))
    }

    fn draw(&self, groups: &[Vec<u32>], rng: &mut ChaCha8Rng) -> Result<Vec<Vec<u32>>> {
        let mut shards = vec![Vec::new(); self.alphas.len()];
        let rows: usize = groups.iter().map(Vec::len).sum();
        let fair = rows as f64 / shards.len() as f64;
        for group in groups {
            let mut group = group.clone();
            if self.shuffle {
                group.shuffle(rng);
            }
            let mut logs = log_gammas(&self.alphas, rng)?;
            if self.self_balancing {
                // Not all clients can have more than the mean, so some share stays above 0.
                for (log, shard) in logs.iter_mut().zip(&shards) {
                    if shard.len() as f64 > fair {
                        *log = f64::NEG_INFINITY;
                    }
                }
            }
            let sizes = at_shares(group.len(), &softmax(&logs));
            for (shard, piece) in shards.iter_mut().zip(cut(&group, &sizes)) {
                shard.extend(piece);
            }
        }
        Ok(shards)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::native::dataset;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(5)
    }

    #[test]
    fn parts_add_up() {
        assert_eq!(even(10, 4), [3, 3, 2, 2]);
        assert_eq!(at_shares(10, &[0.25, 0.25, 0.5]), [2, 3, 5]);
        assert_eq!(largest_remainder(10, &[0.25, 0.25, 0.5]), [3, 2, 5]);
        assert_eq!(cut(&[4, 5, 6, 7], &[1, 2]), [vec![4], vec![5, 6]]);
    }

    #[test]
    fn numbers_are_ordered_as_numbers() {
        let data = dataset(
            &[("id", &["10", "9", "10"]), ("name", &["b10", "b9", "a"])],
            1,
        );
        let names = |column| {
            let groups = data.groups(column).unwrap();
            groups.into_iter().map(|group| (group.name, group.rows))
        };
        let ids = [("9".to_owned(), vec![1]), ("10".to_owned(), vec![0, 2])];
        assert!(names("id").eq(ids));
        assert!(names("name").map(|(name, _)| name).eq(["a", "b10", "b9"]));
    }

    #[test]
    fn a_draw_has_the_moments_of_dirichlet() {
        for alpha in [1e-6, 0.001, 0.05, 0.7, 1.0, 3.0, 1000.0] {
            let (draws, count) = (4000, 4.0);
            let (mut mean, mut square) = (0.0, 0.0);
            let mut rng = rng();
            for _ in 0..draws {
                let shares = dirichlet(&[alpha; 4], &mut rng).unwrap();
                assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                mean += shares[1] / f64::from(draws);
                square += shares[1] * shares[1] / f64::from(draws);
            }
            // Var = m(1 - m) / (α₀ + 1), α₀ = 4α.
            let variance = 0.25 * 0.75 / (count * alpha + 1.0);
            assert!((mean - 0.25).abs() < 0.03, "{alpha}: {mean}");
            let found = square - mean * mean;
            assert!((found / variance - 1.0).abs() < 0.1, "{alpha}: {found}");
        }
    }

    #[test]
    fn picks_follow_the_weights() {
        let mut counts = [0; 4];
        let mut rng = rng();
        for _ in 0..3000 {
            counts[pick(&[0.0, 1.0, 2.0, 0.0], &mut rng)] += 1;
        }
        assert_eq!((counts[0], counts[3]), (0, 0));
        assert!((900..1100).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn the_schema_of_alpha_keeps_its_range() {
        let schema = schemars::schema_for!(Alpha).to_value();
        assert_eq!(schema["minimum"], 1e-6);
        let each: Alpha = serde_json::from_str("[1, 0.5]").unwrap();
        assert_eq!(each.each(2, "clients"), Ok(vec![1.0, 0.5]));
        assert!(each.each(3, "clients").is_err());
        assert!(Alpha::All(0.0).each(3, "clients").is_err());
    }
}
