//! Pictures of a federation's data: labels by client, and sizes, for a page or for a terminal.

mod scale;
mod svg;
mod terminal;

/// What a federation's clients hold, to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// What the picture shows, in a few words.
    pub title: &'a str,
    /// Names of the labels; without them only the sizes are drawn.
    pub labels: Option<&'a [String]>,
    /// Rows of each label (inner) of each client (outer); what is missing counts as 0.
    pub counts: &'a [Vec<u64>],
    /// Rows of each client, those without a label too. It says how many clients there are.
    pub sizes: &'a [u64],
}

/// A label that is drawn.
struct Row {
    name: String,
    /// Rows of each client.
    counts: Vec<u64>,
    /// Whether it sums several labels.
    rest: bool,
}

impl Picture<'_> {
    /// Labels that are drawn, at most `most` and then `other`.
    fn rows(&self, most: usize) -> Vec<Row> {
        let labels = self.labels.unwrap_or_default();
        let count = |client: usize, label: usize| {
            let counts = self.counts.get(client);
            counts.and_then(|c| c.get(label)).copied().unwrap_or(0)
        };
        let clients = 0..self.sizes.len();
        let total = |label: usize| clients.clone().map(|client| count(client, label)).sum();
        let mut order: Vec<(u64, usize)> = (0..labels.len()).map(|l| (total(l), l)).collect();
        order.sort_by_key(|&(total, label)| (std::cmp::Reverse(total), label));
        let rest = order.split_off(most.min(order.len()));
        let mut kept: Vec<usize> = order.into_iter().map(|(_, label)| label).collect();
        kept.sort_unstable();
        let mut rows: Vec<Row> = kept
            .into_iter()
            .map(|l| Row {
                name: labels[l].clone(),
                counts: clients.clone().map(|c| count(c, l)).collect(),
                rest: false,
            })
            .collect();
        if !rest.is_empty() {
            let sum = |c: usize| rest.iter().map(|&(_, l)| count(c, l)).sum();
            rows.push(Row {
                name: format!("other ({})", rest.len()),
                counts: clients.map(sum).collect(),
                rest: true,
            });
        }
        rows
    }

    fn largest(&self) -> u64 {
        self.sizes.iter().copied().max().unwrap_or(0)
    }
}
