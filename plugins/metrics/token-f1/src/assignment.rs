//! The linear sum assignment by shortest augmenting paths (Crouse 2016, On implementing 2D rectangular
//! assignment algorithms). Equally good assignments are chosen among as SciPy's `linear_sum_assignment`
//! does: columns are looked at from the last, and one that is free is preferred.

/// One pair (row, column) for each row or column, whichever are fewer, so that the sum of `scores` is
/// greatest.
pub(crate) fn best_pairs(scores: &[Vec<f64>]) -> Vec<(usize, usize)> {
    let (rows, columns) = (scores.len(), scores.first().map_or(0, Vec::len));
    if rows == 0 || columns == 0 {
        return Vec::new();
    }
    let turned = columns < rows;
    let cost = |row: usize, column: usize| match turned {
        true => -scores[column][row],
        false => -scores[row][column],
    };
    let (fewer, more) = (rows.min(columns), rows.max(columns));
    let pairs = assign(fewer, more, cost).into_iter().enumerate();
    pairs
        .map(|(a, b)| if turned { (b, a) } else { (a, b) })
        .collect()
}

/// The column of each row, the sum of `cost` being least; there are at least as many columns as rows.
fn assign(rows: usize, columns: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let (mut row_price, mut column_price) = (vec![0.0; rows], vec![0.0; columns]);
    let mut column_of: Vec<usize> = vec![usize::MAX; rows];
    let mut row_of: Vec<Option<usize>> = vec![None; columns];
    let mut reached_from = vec![0; columns];
    for start in 0..rows {
        let mut length = vec![f64::INFINITY; columns];
        let (mut seen_rows, mut seen_columns) = (vec![false; rows], vec![false; columns]);
        let mut left: Vec<usize> = (0..columns).rev().collect();
        let (mut row, mut shortest) = (start, 0.0);
        let mut end = loop {
            seen_rows[row] = true;
            let (mut next, mut least) = (0, f64::INFINITY);
            for (place, &column) in left.iter().enumerate() {
                let through = shortest + cost(row, column) - row_price[row] - column_price[column];
                if through < length[column] {
                    reached_from[column] = row;
                    length[column] = through;
                }
                let tie = length[column] == least && row_of[column].is_none();
                if length[column] < least || tie {
                    (next, least) = (place, length[column]);
                }
            }
            shortest = least;
            let column = left.swap_remove(next);
            seen_columns[column] = true;
            match row_of[column] {
                Some(taken) => row = taken,
                None => break column,
            }
        };
        row_price[start] += shortest;
        for other in (0..rows).filter(|row| seen_rows[*row] && *row != start) {
            row_price[other] += shortest - length[column_of[other]];
        }
        for column in (0..columns).filter(|column| seen_columns[*column]) {
            column_price[column] -= shortest - length[column];
        }
        // Turn the path around.
        loop {
            let row = reached_from[end];
            row_of[end] = Some(row);
            std::mem::swap(&mut column_of[row], &mut end);
            if row == start {
                break;
            }
        }
    }
    column_of
}
