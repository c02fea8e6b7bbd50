//! The picture as an SVG.

use super::scale::{colour, escape, index_step, nice_top, shares, shorten};
use super::{Picture, Row};
use std::fmt::Write;

/// Most labels that have a row of their own; the rest, by rows over all clients, is `other`.
const LABELS: usize = 60;
/// Width of the heat map in pixels that the columns are fitted to, one pixel each at least.
const WIDTH: usize = 960;
/// Height of the bar chart in pixels.
const BARS: usize = 120;
/// Columns that a label may take before it is shortened.
const NAME: usize = 24;
/// Width that one column of text is reckoned to take, in pixels: wide for a sans-serif of 11 pixels.
const COLUMN: usize = 7;
/// Most cells that get a tooltip of their own, each of which is about 120 bytes.
const TOOLTIPS: usize = 3000;
/// Width of the chart's caption in pixels, which is more than that of a few columns.
const CAPTION: usize = 112;
/// Steps of the colour scale.
const STEPS: usize = 32;

/// Where the parts of an SVG lie, in pixels.
struct Layout {
    left: usize,
    cell: usize,
    row: usize,
    rows: usize,
    /// Upper edge of the heat map.
    heat: usize,
    /// Upper edge of the bar chart.
    bars: usize,
    width: usize,
    height: usize,
}

impl Picture<'_> {
    /// The picture as an SVG: a heat map of each label's share of each client's rows (rows are
    /// labels, columns are clients, darker is more) above a bar chart of the clients' sizes.
    ///
    /// The scale is one hue of even steps in OKLab, from pale above 0 to dark at a round share at or
    /// above the largest, which the legend gives; no rows are a light grey. Of more than 60 labels, the
    /// 60 with the most rows are drawn and the rest is summed as `other`, which may be above the scale.
    /// It brings its own background, so it reads on any page.
    pub fn svg(&self) -> String {
        let rows = self.rows(LABELS);
        let layout = self.layout(&rows);
        let mut out = String::new();
        // Writing to a String cannot fail: `write!` into one is infallible here and below.
        let _ = self.draw(&mut out, &rows, &layout);
        out
    }

    fn layout(&self, rows: &[Row]) -> Layout {
        let longest = rows.iter().map(|row| shorten(&row.name, NAME).1).max();
        let ticks = nice_top(self.largest()).to_string().len();
        let left = longest.unwrap_or(0).max(ticks).max(4) * COLUMN + 26;
        let cell = (WIDTH / self.sizes.len().max(1)).clamp(1, 40);
        let row = (600 / rows.len().max(1)).clamp(11, 24);
        let heat = 58;
        let bars = heat + row * rows.len() + if rows.is_empty() { 22 } else { 36 };
        let legend = if rows.is_empty() { 24 } else { 110 };
        Layout {
            left,
            cell,
            row,
            rows: rows.len(),
            heat,
            bars,
            width: (left + (cell * self.sizes.len()).max(CAPTION) + legend).max(520),
            height: bars + BARS + 46,
        }
    }

    fn draw(&self, out: &mut String, rows: &[Row], at: &Layout) -> std::fmt::Result {
        let (width, height) = (at.width, at.height);
        let clients = self.sizes.len();
        let total: u64 = self.sizes.iter().sum();
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut below = format!("{}, {total} rows", plural(clients, "client"));
        if let Some(labels) = self.labels {
            write!(below, ", {}", plural(labels.len(), "label"))?;
        }
        write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width}\" \
             height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"11\" fill=\"#333\">\n<title>{}</title>\n<desc>",
            escape(self.title)
        )?;
        if !rows.is_empty() {
            out.push_str("Heat map of each label's share of each client's rows, above a ");
        } else {
            out.push_str("A ");
        }
        writeln!(
            out,
            "bar chart of the rows of each client: {below}.</desc>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text x=\"16\" y=\"26\" font-size=\"15\" font-weight=\"bold\">{}</text>\n\
             <text x=\"16\" y=\"44\" fill=\"#666\">{below}</text>",
            escape(&shorten(self.title, (width - 32) / 9).0)
        )?;
        if !rows.is_empty() && clients > 0 {
            self.heat(out, rows, at)?;
        }
        self.bars(out, at)?;
        out.push_str("</svg>\n");
        Ok(())
    }

    fn heat(&self, out: &mut String, rows: &[Row], at: &Layout) -> std::fmt::Result {
        let (share, top) = shares(rows, self.sizes);
        let (left, cell, high) = (at.left, at.cell, at.row);
        let tooltips = rows.len() * self.sizes.len() <= TOOLTIPS;
        // Cells of one colour are one path: a tenth of the text of as many rectangles.
        let mut paths = vec![String::new(); STEPS + 1];
        let mut tips = String::new();
        for (r, Row { name, counts, .. }) in rows.iter().enumerate() {
            let y = at.heat + r * high;
            let (short, _) = shorten(name, NAME);
            writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-size=\"{}\">{}<title>{}</title></text>",
                left - 6,
                y + high / 2 + 4,
                if high < 13 { 10 } else { 11 },
                escape(&short),
                escape(name)
            )?;
            for (c, &share) in share[r].iter().enumerate() {
                let x = left + c * cell;
                let mut step = (share / top * STEPS as f64).round().min(STEPS as f64) as usize;
                // A share above 0 is never drawn as none.
                step = step.max(usize::from(share > 0.0));
                // The grid is what is left free between cells that are large enough.
                let (w, h) = (cell - usize::from(cell > 5), high - 1);
                if step > 0 {
                    write!(paths[step], "M{x} {y}h{w}v{h}h-{w}z")?;
                }
                if tooltips {
                    writeln!(
                        tips,
                        "<rect x=\"{x}\" y=\"{y}\" width=\"{cell}\" height=\"{high}\">\
                         <title>client {c}, {}: {} rows ({:.1} %)</title></rect>",
                        escape(name),
                        counts[c],
                        share * 100.0
                    )?;
                }
            }
        }
        out.push_str("<g shape-rendering=\"crispEdges\">\n");
        let (wide, tall) = (cell * self.sizes.len(), high * at.rows);
        writeln!(
            out,
            "<path d=\"M{left} {}h{wide}v{tall}h-{wide}z\" fill=\"#f6f6f6\"/>",
            at.heat
        )?;
        for (step, path) in paths
            .iter()
            .enumerate()
            .filter(|(_, path)| !path.is_empty())
        {
            let fill = colour(step as f64 / STEPS as f64);
            writeln!(out, "<path d=\"{path}\" fill=\"{fill}\"/>")?;
        }
        out.push_str("</g>\n");
        let above = share.iter().flatten().any(|&share| share > top);
        self.legend(out, (left + wide.max(CAPTION) + 20, at.heat), top, above)?;
        writeln!(out, "<g fill-opacity=\"0\">\n{tips}</g>")
    }

    /// The scale at a place, up to `top`, with shares above it or without.
    fn legend(
        &self,
        out: &mut String,
        (x, y): (usize, usize),
        top: f64,
        above: bool,
    ) -> std::fmt::Result {
        let height = 96;
        writeln!(out, "<g shape-rendering=\"crispEdges\">")?;
        for step in 1..=STEPS {
            let fill = colour(step as f64 / STEPS as f64);
            let y = y + 6 + height - step * height / STEPS;
            writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"12\" height=\"{}\" fill=\"{fill}\"/>",
                height / STEPS
            )?;
        }
        out.push_str("</g>\n");
        let most = if above { "≥ " } else { "" };
        for (most, share, y) in [
            (most, top, y),
            ("", top / 2.0, y + height / 2),
            ("", 0.0, y + height),
        ] {
            let percent = (share * 1000.0).round() / 10.0;
            writeln!(
                out,
                "<text x=\"{}\" y=\"{}\">{most}{percent} %</text>",
                x + 18,
                y + 10
            )?;
        }
        let y = y + height + 28;
        writeln!(
            out,
            "<text x=\"{x}\" y=\"{y}\" fill=\"#666\">share of a</text>"
        )?;
        let y = y + 14;
        writeln!(
            out,
            "<text x=\"{x}\" y=\"{y}\" fill=\"#666\">client's rows</text>"
        )
    }

    fn bars(&self, out: &mut String, at: &Layout) -> std::fmt::Result {
        let (left, cell, clients) = (at.left, at.cell, self.sizes.len());
        let top = nice_top(self.largest());
        let (wide, base) = (cell * clients, at.bars + BARS);
        let height = |size: u64| (size as f64 / top as f64 * BARS as f64 * 10.0).round() / 10.0;
        for part in [0, 1, 2] {
            let (y, value) = (base - part * BARS / 2, top * part as u64 / 2);
            // Half of an odd top is no whole number of rows.
            if part == 1 && top % 2 == 1 {
                continue;
            }
            writeln!(
                out,
                "<path d=\"M{} {y}.5h{}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>",
                left - 4,
                wide + 4,
                left - 6,
                y + 4
            )?;
        }
        out.push_str("<g fill=\"#5b6b7f\" shape-rendering=\"crispEdges\">\n");
        for (c, &size) in self.sizes.iter().enumerate() {
            let (x, h) = (left + c * cell, height(size));
            let w = cell - usize::from(cell > 2);
            let y = base as f64 - h;
            writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\">\
                 <title>client {c}: {size} rows</title></rect>"
            )?;
        }
        out.push_str("</g>\n");
        let step = index_step(clients, (cell * clients) / 36);
        for c in (0..clients).step_by(step) {
            let x = left + c * cell + cell / 2;
            writeln!(
                out,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{c}</text>",
                base + 16
            )?;
        }
        writeln!(
            out,
            "<text x=\"{left}\" y=\"{}\" fill=\"#666\">client</text>\n\
             <text x=\"{left}\" y=\"{}\" fill=\"#666\">rows of each client</text>",
            base + 34,
            at.bars - 9
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(clients: usize, labels: usize) -> String {
        let names: Vec<String> = (0..labels).map(|i| format!("<{i}> & \u{1b}")).collect();
        let counts: Vec<Vec<u64>> = (0..clients as u64)
            .map(|c| (0..labels as u64).map(|l| (c + l) % 5).collect())
            .collect();
        let sizes: Vec<u64> = counts.iter().map(|c| c.iter().sum()).collect();
        let picture = Picture {
            title: "a < b",
            labels: Some(&names),
            counts: &counts,
            sizes: &sizes,
        };
        picture.svg()
    }

    #[test]
    fn every_size_is_drawn() {
        for clients in [0, 1, 2, 41, 1000] {
            for labels in [0, 1, 60, 61, 200] {
                let svg = draw(clients, labels);
                assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"));
                assert!(svg.matches("<title>client").count() >= clients);
                assert_eq!(svg.contains(">other ("), labels > 60 && clients > 0);
            }
        }
    }

    #[test]
    fn names_are_escaped() {
        let svg = draw(2, 3);
        assert!(svg.contains("<title>a &lt; b</title>"));
        assert!(svg.contains("client 1, &lt;2&gt; &amp;  : 3 rows (50.0 %)"));
        assert!(!svg.contains('\u{1b}'));
    }

    #[test]
    fn without_labels_there_are_sizes_only() {
        let picture = Picture {
            title: "sizes",
            labels: None,
            counts: &[],
            sizes: &[3, 0, 9],
        };
        let svg = picture.svg();
        assert!(svg.contains("3 clients, 12 rows.") && !svg.contains("share"));
        assert_eq!(svg.matches("<title>client").count(), 3);
    }
}
