//! Which rows are shown with their answers before a question.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail, ensure};
use folkmoot_params::Seed;
use rand::seq::SliceRandom;
use serde::Deserialize;

use super::ask::{Shown, Texts};
use super::file::Shots;
use super::source::Line;

/// Which of the rows that could be shots.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choose {
    /// The first ones.
    #[default]
    First,
    /// Drawn for each row anew.
    Random,
    /// Drawn once, the same for every row.
    Once,
}

/// The rows that can be shots.
pub(super) struct Pool<'a> {
    shots: &'a Shots,
    shown: Vec<Shown>,
    /// By the value in the column that has to match: rows of the pool in the order in which they are taken.
    order: HashMap<String, Vec<usize>>,
}

impl<'a> Pool<'a> {
    pub(super) fn new(shots: &'a Shots, lines: &[Line], texts: &Texts) -> Result<Self> {
        let mut shown = Vec::with_capacity(lines.len());
        let mut order: HashMap<String, Vec<usize>> = HashMap::new();
        for (row, line) in lines.iter().enumerate() {
            let own = texts.shown(&line.fields);
            shown.push(own.map_err(|error| error.context(format!("shots: {}", line.place)))?);
            order.entry(group(shots, line)?).or_default().push(row);
        }
        if shots.choose == Choose::Once {
            for (name, rows) in &mut order {
                let seed = Seed(shots.seed).derive(&format!("benchmark shots {name}"), 0);
                rows.shuffle(&mut seed.rng());
            }
        }
        Ok(Self {
            shots,
            shown,
            order,
        })
    }

    /// The shots of the row number `row`, which asks `question`: none is that row, nor asks the same. Of fixed ones there
    /// may be less than `count` then.
    pub(super) fn of(&self, row: usize, line: &Line, question: &str) -> Result<Vec<&Shown>> {
        let name = group(self.shots, line)?;
        let rows = self.order.get(&name).map_or(&[][..], Vec::as_slice);
        let drawn: Vec<usize>;
        let rows = match self.shots.choose {
            Choose::Random => {
                let seed = Seed(self.shots.seed).derive("benchmark shots", row as u64);
                let mut order = rows.to_vec();
                order.shuffle(&mut seed.rng());
                drawn = order;
                &drawn
            }
            Choose::First | Choose::Once => rows,
        };
        let others = rows
            .iter()
            .filter(|other| self.shown[**other].question != question);
        let chosen: Vec<&Shown> = others
            .take(self.shots.count)
            .map(|other| &self.shown[*other])
            .collect();
        let fixed = !self.shots.fixed.is_empty() && rows.len() >= self.shots.count;
        if chosen.len() < self.shots.count && !fixed {
            let of = match &self.shots.same {
                Some(column) => format!(" where `{column}` is `{name}`"),
                None => String::new(),
            };
            bail!(
                "`shots.count` is {}, but there are {} rows to show{of} beside {}",
                self.shots.count,
                chosen.len(),
                line.place
            );
        }
        Ok(chosen)
    }
}

fn group(shots: &Shots, line: &Line) -> Result<String> {
    let column = shots.same.as_ref();
    Ok(column
        .map(|column| line.category(column, "shots.match"))
        .transpose()?
        .unwrap_or_default())
}

/// Takes the shots out of the rows that are asked, with the rows that share a value with one; returns the shots.
pub(super) fn set_aside(shots: &Shots, lines: &mut Vec<Line>, texts: &Texts) -> Result<Vec<Line>> {
    let pool = Pool::new(shots, lines, texts)?;
    let mut chosen: Vec<usize> = Vec::new();
    for (name, rows) in &pool.order {
        ensure!(
            rows.len() > shots.count,
            "`shots.count` is {}, but there are {} rows{}",
            shots.count,
            rows.len(),
            match &shots.same {
                Some(column) => format!(" where `{column}` is `{name}`"),
                None => String::new(),
            }
        );
        chosen.extend(&rows[..shots.count]);
    }
    // In the order in which they are shown.
    let rank: HashMap<usize, usize> = pool
        .order
        .values()
        .flat_map(|rows| rows.iter().copied().enumerate())
        .map(|(rank, row)| (row, rank))
        .collect();
    chosen.sort_by_key(|row| (rank[row], *row));
    let mut apart = HashSet::new();
    if let Some(column) = &shots.apart {
        for row in &chosen {
            apart.insert(lines[*row].category(column, "shots.apart")?);
        }
    }
    let aside = chosen.iter().map(|row| lines[*row].clone()).collect();
    let chosen: HashSet<usize> = chosen.into_iter().collect();
    let mut kept = Vec::with_capacity(lines.len());
    for (row, line) in lines.drain(..).enumerate() {
        let near = match &shots.apart {
            Some(column) => apart.contains(&line.category(column, "shots.apart")?),
            None => false,
        };
        if !near && !chosen.contains(&row) {
            kept.push(line);
        }
    }
    ensure!(!kept.is_empty(), "`shots.set_aside` leaves no row to ask");
    *lines = kept;
    Ok(aside)
}
