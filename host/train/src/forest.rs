//! Rows of tokens that share beginnings, so that what they share goes through the model once.

use std::ops::Range;

/// Tokens that follow one another in every row that has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    /// What stands before it; none: it begins its rows.
    pub(crate) parent: Option<usize>,
    /// Its first token among all.
    pub(crate) first: usize,
    pub(crate) length: usize,
    /// The position of its first token in its rows.
    pub(crate) position: usize,
}

/// Tokens of a row that lie together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    /// The first token among all.
    pub(crate) first: usize,
    pub(crate) length: usize,
    /// The position of the first token in the row.
    pub(crate) position: usize,
}

impl Piece {
    /// The part of it at `positions`, if there is one.
    pub(crate) fn at(self, positions: Range<usize>) -> Option<Self> {
        let from = positions.start.max(self.position);
        let to = positions.end.min(self.position + self.length);
        (from < to).then(|| Self {
            first: self.first + from - self.position,
            length: to - from,
            position: from,
        })
    }
}

/// A forest whose paths from a root are the rows; parents stand before their children.
#[derive(Debug)]
pub(crate) struct Forest {
    segments: Vec<Segment>,
    ids: Vec<u32>,
    /// The last segment of each row; none: it has no token.
    last: Vec<Option<usize>>,
}

impl Forest {
    /// Of `rows`. Which rows stand beside which does not matter.
    pub(crate) fn new(rows: &[&[u32]]) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|a, b| rows[*a].cmp(rows[*b]));
        let mut forest = Self {
            segments: Vec::new(),
            ids: Vec::new(),
            last: vec![None; rows.len()],
        };
        // Rows in order, that begin alike up to a depth, and the segment that ends there.
        let mut open = vec![(0..order.len(), 0, None)];
        while let Some((range, depth, parent)) = open.pop() {
            let mut from = range.start;
            while from < range.end && rows[order[from]].len() == depth {
                forest.last[order[from]] = parent;
                from += 1;
            }
            let mut children = Vec::new();
            while from < range.end {
                let first = rows[order[from]];
                let same = |row: &usize| rows[*row][depth] == first[depth];
                let to = from + order[from..range.end].partition_point(same);
                let last = rows[order[to - 1]];
                // In order, what the first and the last have in common all have.
                let pairs = first[depth..].iter().zip(&last[depth..]);
                let length = pairs.take_while(|(a, b)| a == b).count();
                forest.segments.push(Segment {
                    parent,
                    first: forest.ids.len(),
                    length,
                    position: depth,
                });
                forest.ids.extend_from_slice(&first[depth..depth + length]);
                let own = Some(forest.segments.len() - 1);
                children.push((from..to, depth + length, own));
                from = to;
            }
            open.extend(children.into_iter().rev());
        }
        forest
    }

    /// Every token once.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The position of each token in its rows.
    pub(crate) fn positions(&self) -> Vec<usize> {
        let of = |segment: &Segment| segment.position..segment.position + segment.length;
        self.segments.iter().flat_map(of).collect()
    }

    /// From the row's beginning to the end of `segment`.
    pub(crate) fn path(&self, segment: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut next = Some(segment);
        while let Some(index) = next {
            let Segment {
                parent,
                first,
                length,
                position,
            } = self.segments[index];
            pieces.push(Piece {
                first,
                length,
                position,
            });
            next = parent;
        }
        pieces.reverse();
        pieces
    }

    /// Where the tokens of a row are.
    pub(crate) fn row(&self, row: usize) -> Vec<Piece> {
        self.last[row].map_or_else(Vec::new, |segment| self.path(segment))
    }

    /// The place of each token of a row among all.
    pub(crate) fn places(&self, row: usize) -> Vec<usize> {
        let pieces = self.row(row).into_iter();
        pieces
            .flat_map(|piece| piece.first..piece.first + piece.length)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[&[u32]], tokens: usize, segments: usize) {
        let forest = Forest::new(rows);
        assert_eq!(
            (forest.ids().len(), forest.segments().len()),
            (tokens, segments)
        );
        let positions = forest.positions();
        for (index, row) in rows.iter().enumerate() {
            let places = forest.places(index);
            let ids: Vec<u32> = places.iter().map(|place| forest.ids()[*place]).collect();
            assert_eq!(ids, *row);
            let own: Vec<usize> = places.iter().map(|place| positions[*place]).collect();
            assert_eq!(own, (0..row.len()).collect::<Vec<_>>());
        }
        for (index, segment) in forest.segments().iter().enumerate() {
            assert!(segment.parent.is_none_or(|parent| parent < index));
        }
    }

    #[test]
    fn what_rows_share_is_there_once() {
        check(&[&[1, 2, 3], &[1, 2, 4], &[1, 2]], 4, 3);
        check(&[&[5], &[1, 2], &[5], &[1, 2, 9, 9]], 5, 3);
        check(&[&[], &[7]], 1, 1);
        check(&[], 0, 0);
        check(&[&[1, 1, 1, 1], &[1, 1], &[1, 1, 1, 2]], 5, 4);
    }

    #[test]
    fn a_piece_is_cut_to_positions() {
        let piece = Piece {
            first: 10,
            length: 5,
            position: 3,
        };
        let cut = |from, to| piece.at(from..to).map(|own| (own.first, own.length));
        assert_eq!(cut(0, 4), Some((10, 1)));
        assert_eq!(cut(5, 100), Some((12, 3)));
        assert_eq!(cut(8, 100), None);
        assert_eq!(cut(0, 3), None);
    }
}
