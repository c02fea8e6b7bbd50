//! Duplicates by where they lie: within a client, across clients, between training and evaluation.

use serde::Serialize;

use super::Clusters;

/// Most example pairs kept of each kind.
const EXAMPLES: usize = 5;

/// Rows that have a duplicate of one kind, counted once however many duplicates they have.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Found {
    /// Rows with an exact duplicate.
    pub exact: usize,
    /// Rows with a near duplicate and no exact one.
    pub near: usize,
    /// Up to 5 pairs of exact duplicates, each with the smaller index first.
    pub exact_pairs: Vec<(u32, u32)>,
    /// Up to 5 pairs of rows in one cluster of near duplicates, each with the smaller index first.
    pub near_pairs: Vec<(u32, u32)>,
}

/// Duplicates of a federation's rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Training rows.
    pub training: usize,
    /// Evaluation rows.
    pub evaluation: usize,
    /// Training rows with a duplicate among the training rows of their own client.
    pub within: Found,
    /// Training rows with a duplicate among the training rows of another client.
    pub across: Found,
    /// Evaluation rows with a duplicate among the training rows of any client.
    pub leaked: Found,
}

/// Which duplicates [`keep`] removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Training rows after the first of their cluster in their own client.
    pub within: bool,
    /// Training rows whose cluster's first training row is another client's.
    pub across: bool,
    /// Training rows with a duplicate among the evaluation rows.
    pub leaked: bool,
}

/// The client of a row that no client holds: it is nobody's duplicate, and stays.
pub const NOBODY: u32 = u32::MAX;
/// Stands for no row: there are fewer than 2³² rows.
const NONE: u32 = u32::MAX;

/// The training rows of each cluster.
struct Members {
    /// First training row, by the cluster's name.
    first: Vec<u32>,
    /// First training row of another client than the first's, by the cluster's name.
    other: Vec<u32>,
    /// Training rows by cluster, then client, then index.
    order: Vec<u32>,
}

impl Members {
    fn of(names: &[u32], owners: &[u32], evaluation: &[bool]) -> Self {
        let mut first = vec![NONE; names.len()];
        let mut other = vec![NONE; names.len()];
        let training = |&i: &u32| !evaluation[i as usize] && owners[i as usize] != NOBODY;
        let mut order: Vec<u32> = (0..names.len() as u32).filter(training).collect();
        for &i in &order {
            let name = names[i as usize] as usize;
            if first[name] == NONE {
                first[name] = i;
            } else if other[name] == NONE && owners[first[name] as usize] != owners[i as usize] {
                other[name] = i;
            }
        }
        order.sort_unstable_by_key(|&i| (names[i as usize], owners[i as usize], i));
        Self {
            first,
            other,
            order,
        }
    }

    /// For each training row another one of its client and cluster, the first where it can be.
    fn beside(&self, names: &[u32], owners: &[u32]) -> Vec<u32> {
        let mut beside = vec![NONE; names.len()];
        let same = |a: u32, b: u32| {
            let (a, b) = (a as usize, b as usize);
            (names[a], owners[a]) == (names[b], owners[b])
        };
        for group in self.order.chunk_by(|&a, &b| same(a, b)) {
            for pair in group.windows(2) {
                beside[pair[1] as usize] = group[0];
            }
            if let [first, second, ..] = *group {
                beside[first as usize] = second;
            }
        }
        beside
    }
}

impl Found {
    /// Counts a row, given its exact and its near duplicate, [`NONE`] for none.
    fn count(&mut self, row: u32, exact: u32, near: u32) {
        let (number, pairs, partner) = match (exact, near) {
            (NONE, NONE) => return,
            (NONE, near) => (&mut self.near, &mut self.near_pairs, near),
            (exact, _) => (&mut self.exact, &mut self.exact_pairs, exact),
        };
        *number += 1;
        let pair = (row.min(partner), row.max(partner));
        if pairs.len() < EXAMPLES && !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
}

impl Report {
    /// Report on clustered rows, each with its client and whether it is for evaluation. The client of
    /// an evaluation row is not looked at.
    ///
    /// # Panics
    /// The three differ in length.
    pub fn of(clusters: &Clusters, owners: &[u32], evaluation: &[bool]) -> Self {
        let rows = clusters.near.len();
        assert!(
            clusters.exact.len() == rows && owners.len() == rows && evaluation.len() == rows,
            "each row has a cluster, a client and a use"
        );
        let kinds = [&clusters.exact, &clusters.near].map(|names| {
            let members = Members::of(names, owners, evaluation);
            let beside = members.beside(names, owners);
            (names, members, beside)
        });
        let mut report = Self::default();
        for row in 0..rows {
            let within = kinds.each_ref().map(|(_, _, beside)| beside[row]);
            let first = kinds
                .each_ref()
                .map(|(names, m, _)| m.first[names[row] as usize]);
            let across = kinds.each_ref().map(|(names, members, _)| {
                let name = names[row] as usize;
                match members.first[name] {
                    first if first != NONE && owners[first as usize] != owners[row] => first,
                    _ => members.other[name],
                }
            });
            let index = row as u32;
            if evaluation[row] {
                report.evaluation += 1;
                report.leaked.count(index, first[0], first[1]);
            } else if owners[row] != NOBODY {
                report.training += 1;
                report.within.count(index, within[0], within[1]);
                report.across.count(index, across[0], across[1]);
            }
        }
        report
    }
}

/// Which rows stay if duplicates are removed: `names` is [`Clusters::exact`] or [`Clusters::near`].
/// Evaluation rows always stay; of training rows, the first by index stays. With `within` and `across`
/// one training row of each cluster is left, with `across` alone all those of the first one's client,
/// with `within` alone one of each client.
///
/// # Panics
/// The three differ in length.
pub fn keep(names: &[u32], owners: &[u32], evaluation: &[bool], removal: Removal) -> Vec<bool> {
    assert!(
        owners.len() == names.len() && evaluation.len() == names.len(),
        "each row has a cluster, a client and a use"
    );
    let members = Members::of(names, owners, evaluation);
    let mut evaluated = vec![false; names.len()];
    for (&name, _) in names.iter().zip(evaluation).filter(|&(_, &e)| e) {
        evaluated[name as usize] = true;
    }
    let mut stays = vec![true; names.len()];
    let mut last = None;
    for &row in &members.order {
        let i = row as usize;
        let (name, owner) = (names[i], owners[i]);
        let later = last.replace((name, owner)) == Some((name, owner));
        let foreign = owners[members.first[name as usize] as usize] != owner;
        stays[i] = !(removal.within && later
            || removal.across && foreign
            || removal.leaked && evaluated[name as usize]);
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows 0, 1, 3 equal; 2 and 5 near them; 4 alone; 6 (evaluation) near 7; 8, 9 equal, both for
    /// evaluation.
    fn rows() -> (Clusters, Vec<u32>, Vec<bool>) {
        let clusters = Clusters {
            exact: vec![0, 0, 2, 0, 4, 5, 6, 7, 8, 8],
            near: vec![0, 0, 0, 0, 4, 0, 6, 6, 8, 8],
        };
        let owners = vec![0, 0, 0, 1, 1, 2, 9, 2, 9, 9];
        let evaluation = (0..10).map(|i| [6, 8, 9].contains(&i)).collect();
        (clusters, owners, evaluation)
    }

    #[test]
    fn each_row_is_counted_once_of_a_kind() {
        let (clusters, owners, evaluation) = rows();
        let report = Report::of(&clusters, &owners, &evaluation);
        assert_eq!((report.training, report.evaluation), (7, 3));
        assert_eq!((report.within.exact, report.within.near), (2, 1));
        assert_eq!(report.within.exact_pairs, [(0, 1)]);
        assert_eq!(report.within.near_pairs, [(0, 2)]);
        assert_eq!((report.across.exact, report.across.near), (3, 2));
        assert_eq!(report.across.exact_pairs, [(0, 3), (1, 3)]);
        assert_eq!(report.across.near_pairs, [(2, 3), (0, 5)]);
        assert_eq!((report.leaked.exact, report.leaked.near), (0, 1));
        assert_eq!(report.leaked.near_pairs, [(6, 7)]);
    }

    #[test]
    fn what_stays() {
        let (clusters, owners, evaluation) = rows();
        let gone = |names: &[u32], within, across, leaked| {
            let removal = Removal {
                within,
                across,
                leaked,
            };
            let stays = keep(names, &owners, &evaluation, removal);
            (0..stays.len()).filter(|&i| !stays[i]).collect::<Vec<_>>()
        };
        let Clusters { exact, near } = &clusters;
        assert_eq!(gone(near, false, false, false), [0usize; 0]);
        assert_eq!(gone(near, true, false, false), [1, 2]);
        assert_eq!(gone(near, false, true, false), [3, 5]);
        assert_eq!(gone(near, true, true, false), [1, 2, 3, 5]);
        assert_eq!(gone(near, false, false, true), [7]);
        assert_eq!(gone(exact, true, true, true), [1, 3]);
    }

    #[test]
    fn examples_are_few() {
        let clusters = Clusters {
            exact: vec![0; 100],
            near: vec![0; 100],
        };
        let owners: Vec<u32> = (0..100).map(|i| i % 2).collect();
        let report = Report::of(&clusters, &owners, &[false; 100]);
        assert_eq!((report.within.exact, report.across.exact), (100, 100));
        assert_eq!(report.within.exact_pairs.len(), EXAMPLES);
        assert_eq!(report.across.exact_pairs.len(), EXAMPLES);
    }
}
