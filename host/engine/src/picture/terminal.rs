//! The picture for a terminal.

use super::scale::{columns, nice_top, shares, shorten};
use super::{Picture, Row};

/// Most clients in the table.
const CLIENTS: usize = 20;
/// Widest bar of a size, in columns.
const BAR: usize = 24;
/// Shades of a share, from none to the top of the scale.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// Colours of the shades, of the 256 that terminals have: one hue, readable on light and dark.
const COLOURS: [u8; 5] = [0, 110, 74, 32, 26];
/// Colour of the bars.
const GREY: u8 = 245;
/// Bars of 0 to 7 eighths of a column.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// One line: characters, each with its colour (0 is the terminal's own).
#[derive(Default)]
struct Line(Vec<(char, u8)>);

impl Line {
    fn text(mut self, text: &str) -> Self {
        self.0.extend(text.chars().map(|c| (c, 0)));
        self
    }

    fn shade(&mut self, share: f64, top: f64) {
        let step = (share / top * 4.0).ceil().clamp(0.0, 4.0) as usize;
        self.0.push((SHADES[step], COLOURS[step]));
    }

    fn bar(&mut self, eighths: usize, width: usize) {
        for column in 0..width {
            let c = match eighths.saturating_sub(column * 8) {
                full if full >= 8 => '█',
                part => EIGHTHS[part],
            };
            self.0.push((c, GREY));
        }
    }

    /// The line, cut at a width, without spaces at its end.
    fn finish(mut self, width: usize, colour: bool) -> String {
        let mut taken = 0;
        let fits = |&&(c, _): &&(char, u8)| {
            taken += columns(c);
            taken <= width
        };
        let fitting = self.0.iter().take_while(fits).count();
        self.0.truncate(fitting);
        while self.0.last().is_some_and(|&(c, _)| c == ' ') {
            self.0.pop();
        }
        let (mut out, mut current) = (String::new(), 0);
        for (c, wanted) in self.0 {
            if colour && c != ' ' && wanted != current {
                match wanted {
                    0 => out.push_str("\x1b[0m"),
                    wanted => out.push_str(&format!("\x1b[38;5;{wanted}m")),
                }
                current = wanted;
            }
            out.push(c);
        }
        if current != 0 {
            out.push_str("\x1b[0m");
        }
        out.push('\n');
        out
    }
}

impl Picture<'_> {
    /// The picture for a terminal of the given width, in columns, with ANSI colours or without: a line
    /// for each of the first 20 clients, with its number, its rows, a bar of them, and a strip of one
    /// column for each label, the darker the larger the label's share of the client's rows. Where the
    /// labels are more than fit, those with the most rows have a column and the rest shares the last.
    /// Each line ends with a line break, and none is longer than the width.
    pub fn terminal(&self, width: usize, colour: bool) -> String {
        let shown = self.sizes.len().min(CLIENTS);
        let largest = self.largest();
        let number = shown
            .saturating_sub(1)
            .to_string()
            .len()
            .max("client".len());
        let digits = largest.to_string().len().max("rows".len());
        let free = width.saturating_sub(number + digits + 4);
        let labels = self.labels.map_or(0, <[String]>::len);
        // The labels come first, but leave the bar at least a third.
        let strip = match labels {
            0 => 0,
            labels => labels.min(free.saturating_sub(2 + (free / 3).clamp(4, BAR))),
        };
        let gap = match strip {
            0 => 0,
            strip => strip.max("labels".len()) + 2,
        };
        let bar = free.saturating_sub(gap).min(BAR);
        let rows = match strip {
            0 => Vec::new(),
            strip if strip < labels => self.rows(strip - 1),
            strip => self.rows(strip),
        };
        let (share, top) = shares(&rows, self.sizes);

        let line = || Line::default();
        let mut lines = vec![line().text(&shorten(self.title, width).0)];
        let head = format!("{:>number$}  {:>digits$}", "client", "rows");
        let blank = " ".repeat(bar + 4);
        let head = line().text(&head);
        lines.push(if strip == 0 {
            head
        } else {
            head.text(&blank).text("labels")
        });
        for client in 0..shown {
            let size = self.sizes[client];
            let mut row = line().text(&format!("{client:>number$}  {size:>digits$}  "));
            let eighths = size as f64 / nice_top(largest) as f64 * (bar * 8) as f64;
            row.bar((eighths.round() as usize).max(usize::from(size > 0)), bar);
            row = row.text("  ");
            for label in &share {
                row.shade(label[client], top);
            }
            lines.push(row);
        }
        if self.sizes.len() > shown {
            let more = self.sizes.len() - shown;
            let rest: u64 = self.sizes[shown..].iter().sum();
            lines.push(line().text(&format!("... and {more} more with {rest} rows")));
        }
        if strip > 0 {
            // The long form takes up to 66 columns.
            let what = if width < 66 {
                "share:"
            } else {
                "share of a client's rows:"
            };
            let mut key = line().text(what);
            for step in 1..SHADES.len() {
                let upto = (top * step as f64 * 250.0).round() / 10.0;
                key = key.text(" ");
                key.shade(step as f64, 4.0);
                key = match step {
                    step if step + 1 < SHADES.len() => key.text(&format!(" to {upto} %")),
                    _ => key.text(" more"),
                };
            }
            lines.push(key);
            lines.extend(names(&rows, width));
        }
        let ends = lines.into_iter().map(|line| line.finish(width, colour));
        ends.collect()
    }
}

/// Names of the strip's columns in their order, over as many lines as they take, at most four.
fn names(rows: &[Row], width: usize) -> Vec<Line> {
    let mut lines = vec![("labels:".to_string(), "labels:".len())];
    for (i, row) in rows.iter().enumerate() {
        let (name, taken) = shorten(&row.name, 24);
        let comma = usize::from(i + 1 < rows.len());
        let last = lines.len() - 1;
        let (text, length) = &mut lines[last];
        if *length + 1 + taken + comma <= width {
            text.push(' ');
            text.push_str(&name);
            *length += 1 + taken + comma;
        } else if last < 3 {
            lines.push((format!("  {name}"), 2 + taken + comma));
        } else {
            text.push_str(" …");
            break;
        }
        if comma == 1 {
            let last = lines.len() - 1;
            lines[last].0.push(',');
        }
    }
    let line = |(text, _): (String, usize)| Line::default().text(&shorten(&text, width).0);
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_the_width() {
        let names: Vec<String> = (0..70).map(|i| format!("标签 {i}\n")).collect();
        let counts: Vec<Vec<u64>> = (0..30).map(|c| vec![c * 1000, 1, 0, 7]).collect();
        let sizes: Vec<u64> = counts.iter().map(|c| c.iter().sum()).collect();
        for labels in [None, Some(&names[..1]), Some(&names[..4]), Some(&names[..])] {
            let picture = Picture {
                title: "a title of some length, 数据",
                labels,
                counts: &counts,
                sizes: &sizes,
            };
            for width in 0..140 {
                let plain = picture.terminal(width, false);
                for line in plain.lines() {
                    assert!(
                        line.chars().map(columns).sum::<usize>() <= width,
                        "{width}: {line}"
                    );
                }
                let coloured = picture.terminal(width, true);
                let mut parts = coloured.split('\x1b');
                let mut bare = parts.next().unwrap().to_string();
                for part in parts {
                    bare.push_str(part.split_once('m').unwrap().1);
                }
                assert_eq!(bare, plain);
            }
        }
    }

    #[test]
    fn a_small_federation() {
        let labels = ["no".to_string(), "yes".to_string()];
        let picture = Picture {
            title: "two",
            labels: Some(&labels),
            counts: &[vec![4, 0], vec![1, 1]],
            sizes: &[4, 2],
        };
        let expected = "two\n\
                        client  rows               labels\n     \
                        0     4  ███████████  █\n     \
                        1     2  █████▌       ▒▒\n\
                        share: ░ to 25 % ▒ to 50 % ▓ to 7\n\
                        labels: no, yes\n";
        assert_eq!(picture.terminal(33, false), expected);
    }

    #[test]
    fn many_clients_are_summed() {
        let sizes = vec![5; 23];
        let picture = Picture {
            title: "",
            labels: None,
            counts: &[],
            sizes: &sizes,
        };
        let text = picture.terminal(60, false);
        assert!(text.ends_with("... and 3 more with 15 rows\n"));
        assert_eq!(text.lines().count(), 2 + CLIENTS + 1);
    }
}
