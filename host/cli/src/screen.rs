//! What the user sees: a progress bar on a terminal, plain lines elsewhere; tables; errors.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use folkmoot_data::Progress;
use folkmoot_engine::{Event, Row, Spread};
use folkmoot_plugin::{Listener, Said};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two lines about the same download, where there is no terminal.
const QUIET: Duration = Duration::from_secs(5);

/// Where progress goes: stderr.
pub(crate) struct Screen {
    bar: ProgressBar,
    terminal: bool,
    fetched: Mutex<Option<Instant>>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            None,
            match terminal {
                true => ProgressDrawTarget::stderr(),
                false => ProgressDrawTarget::hidden(),
            },
        );
        Self {
            bar,
            terminal,
            fetched: Mutex::new(None),
        }
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        match self.terminal {
            true => self.bar.println(text),
            false => eprintln!("{text}"),
        }
    }

    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::Note(text) | Event::Fetch(Progress::Note(text)) => self.line(text),
            Event::Fetch(Progress::Bytes { done, total }) => self.bytes(*done, *total),
            Event::Round {
                number,
                total,
                clients,
            } => {
                self.start(
                    *clients as u64,
                    "{prefix} {bar:30} {pos}/{len} clients, {elapsed}",
                );
                self.bar.set_prefix(format!("round {number}/{total}"));
            }
            Event::Trained { .. } => self.bar.inc(1),
            Event::Closed {
                number,
                loss,
                seconds,
                training,
            } => {
                self.bar.finish_and_clear();
                self.line(&format!(
                    "round {number}: loss {loss:.4}, {seconds:.1} s ({training:.1} s training)"
                ));
            }
            Event::Scored(row) => {
                let scores = row
                    .scores
                    .iter()
                    .map(|score| format!("{} {:.4}", score.name, score.value));
                self.line(&format!(
                    "{}: {}",
                    row.name,
                    scores.collect::<Vec<_>>().join(", ")
                ));
            }
        }
    }

    fn bytes(&self, done: u64, total: u64) {
        if self.terminal {
            if self.bar.length() != Some(total) || self.bar.is_finished() {
                self.start(total, "{bar:30} {bytes}/{total_bytes}, {eta} left");
            }
            self.bar.set_position(done);
            if done == total {
                self.bar.finish_and_clear();
            }
            return;
        }
        let Ok(mut fetched) = self.fetched.lock() else {
            return;
        };
        if done == total || fetched.is_none_or(|last| last.elapsed() > QUIET) {
            *fetched = Some(Instant::now());
            eprintln!("{} of {}", HumanBytes(done), HumanBytes(total));
        }
    }

    fn start(&self, length: u64, template: &str) {
        self.bar.reset();
        self.bar.set_length(length);
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }
}

/// What plugins say outside of a run, a line each.
pub(crate) fn said() -> Listener {
    Arc::new(|note| match note.said {
        Said::Log { level, message } => eprintln!("{level}: {}: {message}", note.plugin),
        Said::Report { name, value } => eprintln!("{}: {name} = {value}", note.plugin),
    })
}

/// `error: …`, its causes under it, and what hint there is on a line of its own.
pub(crate) fn error(error: &anyhow::Error) {
    let mut hints = Vec::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        let (body, hint) = match text.split_once("hint: ") {
            Some((body, hint)) => (body.trim_end().to_owned(), Some(hint.to_owned())),
            None => (text, None),
        };
        hints.extend(hint);
        match depth {
            0 => eprintln!("error: {body}"),
            _ => eprintln!("  {}", body.replace('\n', "\n  ")),
        }
    }
    for hint in hints {
        eprintln!("\nhint: {hint}");
    }
}

/// The final table: one line per model, one column per score.
pub(crate) fn table(rows: &[Row], examples: usize) -> String {
    let names: Vec<String> = match rows.first() {
        Some(row) => row.scores.iter().map(|score| score.name.clone()).collect(),
        None => Vec::new(),
    };
    let mut lines = vec![
        std::iter::once(format!("model ({examples} held-out rows)"))
            .chain(names)
            .collect(),
    ];
    for row in rows {
        let scores = row.scores.iter().map(|score| match score.standard_error {
            Some(error) => format!("{:.3} ± {error:.3}", score.value),
            None => format!("{:.3}", score.value),
        });
        lines.push(std::iter::once(row.name.clone()).chain(scores).collect());
    }
    columns(&lines)
}

/// What the global model's scores are like across clients: one line per score.
pub(crate) fn spread(spreads: &[Spread]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for score in spreads.iter().flat_map(|own| &own.scores) {
        if !names.contains(&score.name.as_str()) {
            names.push(&score.name);
        }
    }
    let head = ["score across clients", "clients"].map(str::to_owned);
    let mut lines: Vec<Vec<String>> = vec![
        head.into_iter()
            .chain(names.iter().map(|own| own.replace('_', " ")))
            .collect(),
    ];
    for own in spreads {
        let value = |name: &&str| {
            let own = own.scores.iter().find(|score| score.name == *name);
            own.map_or_else(|| "-".into(), |score| format!("{:.3}", score.value))
        };
        let first = [own.of.clone(), own.clients.to_string()];
        lines.push(first.into_iter().chain(names.iter().map(value)).collect());
    }
    columns(&lines)
}

/// Cells in columns as wide as their widest; the first row is a head.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut lines: Vec<String> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
        if index == 0 {
            let rule = widths.iter().map(|width| "-".repeat(*width));
            lines.push(rule.collect::<Vec<_>>().join("  "));
        }
    }
    lines.join("\n")
}

/// Whether what is printed may have colours: a terminal, and nobody objects (`NO_COLOR`).
pub(crate) fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// Columns of the terminal, where it says them.
pub(crate) fn width() -> usize {
    let said = std::env::var("COLUMNS")
        .ok()
        .and_then(|own| own.parse().ok());
    said.unwrap_or(100)
}

/// 1,234,567
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn size(bytes: usize) -> String {
    HumanBytes(bytes as u64).to_string()
}
