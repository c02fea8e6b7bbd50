//! JSON lines and JSON arrays: where each row starts and ends is found when the file is opened, and a row is
//! parsed when it is read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::content::Content;
use super::{Fields, LOOKED_AT, Part, Wanted};
use crate::nearest::{listed, nearest};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Rows of lines between two that are remembered.
const STRIDE: usize = 64;
/// Bytes of lines that one thread looks through at a time.
const SEGMENT: usize = 1 << 20;

/// The rows of a JSON file.
#[derive(Debug)]
pub(super) struct Json {
    bytes: Content,
    name: String,
    columns: Vec<String>,
    layout: Layout,
}

/// Where rows are.
#[derive(Debug)]
enum Layout {
    Lines(Vec<Segment>),
    /// Where each element starts and ends.
    Array(Vec<(usize, usize)>),
    /// Of an object with a list for each client: the elements, the first of each client, and whose it is.
    Clients(Vec<(usize, usize)>, Vec<(usize, String)>),
}

/// Some of the lines.
#[derive(Debug, Default)]
struct Segment {
    /// Number of its first row, and of its first line, from 0.
    row: usize,
    line: usize,
    rows: usize,
    lines: usize,
    /// Where every [`STRIDE`]th row starts, and on which line of the segment.
    marks: Vec<(usize, u32)>,
    end: usize,
}

impl Segment {
    /// Looks through the lines of `bytes`, which start with a line and end with one, and lie at `start` of the file.
    fn new(bytes: &[u8], start: usize) -> Self {
        let mut segment = Self {
            end: start + bytes.len(),
            ..Self::default()
        };
        for line in lines(bytes, 0..bytes.len()) {
            if !bytes[line.clone()].trim_ascii().is_empty() {
                if segment.rows.is_multiple_of(STRIDE) {
                    segment
                        .marks
                        .push((start + line.start, segment.lines as u32));
                }
                segment.rows += 1;
            }
            segment.lines += 1;
        }
        segment
    }

    /// The rows from `row` (of the segment) on, each with its bytes and its line of the segment.
    fn rows<'a>(&self, bytes: &'a [u8], row: usize) -> impl Iterator<Item = (&'a [u8], usize)> {
        let (start, line) = self
            .marks
            .get(row / STRIDE)
            .copied()
            .unwrap_or((self.end, 0));
        let numbered = lines(bytes, start..self.end).zip(line as usize..);
        let rows = numbered.map(|(line, number)| (&bytes[line], number));
        let rows = rows.filter(|(text, _)| !text.trim_ascii().is_empty());
        rows.skip(row % STRIDE)
    }
}

/// Where the line ends that `from` is in.
fn line_end(bytes: &Content, from: usize, buffer: &mut Vec<u8>) -> Result<usize> {
    const STEP: usize = 4096;
    for start in (from..bytes.len()).step_by(STEP) {
        let own = bytes.passing(start..(start + STEP).min(bytes.len()), buffer)?;
        if let Some(at) = memchr::memchr(b'\n', own) {
            return Ok(start + at + 1);
        }
    }
    Ok(bytes.len())
}

/// Whether a JSON file is one of JSON lines, as many on the hub are: its first line is a whole object, and not its last.
fn are_lines(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii();
    let end = memchr::memchr(b'\n', text);
    text.first() == Some(&b'{')
        && end.is_some_and(|end| serde_json::from_slice::<IgnoredAny>(&text[..end]).is_ok())
}

/// The lines of `range`, without their ends.
fn lines(bytes: &[u8], range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut from = range.start;
    let ends = memchr::memchr_iter(b'\n', &bytes[range.clone()]).map(move |at| range.start + at);
    ends.chain([range.end]).filter_map(move |end| {
        let line = from..end;
        from = end + 1;
        (line.start <= line.end).then_some(line)
    })
}

impl Json {
    pub(super) fn lines(bytes: Content, name: &str) -> Result<Self> {
        let mut starts = vec![after_bom(&bytes)];
        let (mut next, mut buffer) = (SEGMENT, Vec::new());
        while next < bytes.len() {
            let end =
                line_end(&bytes, next, &mut buffer).with_context(|| format!("reading `{name}`"))?;
            starts.push(end);
            next = end + SEGMENT;
        }
        starts.push(bytes.len());
        let ranges: Vec<Range<usize>> = starts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let look = |buffer: &mut Vec<u8>, range: Range<usize>| {
            let start = range.start;
            Ok(Segment::new(bytes.passing(range, buffer)?, start))
        };
        let looked = ranges.into_par_iter().map_init(Vec::new, look);
        let segments = looked.collect::<Result<Vec<_>>>();
        let mut segments = segments.with_context(|| format!("reading `{name}`"))?;
        let (mut row, mut line) = (0, 0);
        for segment in &mut segments {
            (segment.row, segment.line) = (row, line);
            row += segment.rows;
            // What follows the last line end of a segment is the next one's first line.
            line += segment.lines - 1;
        }
        segments.retain(|segment| segment.rows > 0);
        Ok(Self::new(bytes, name, Layout::Lines(segments)))
    }

    pub(super) fn array(bytes: Content, name: &str) -> Result<Self> {
        if are_lines(&bytes[after_bom(&bytes)..]) {
            return Self::lines(bytes, name);
        }
        let layout = rows(&bytes, &bytes[after_bom(&bytes)..])
            .map_err(|error| {
                anyhow!(
                    "`{name}`: not a JSON array of objects: {error}\nhint: an object with a list of objects for each \
                     client is read too, and JSON lines, in a file that ends in `.jsonl`"
                )
            })?;
        Ok(Self::new(bytes, name, layout))
    }

    /// The rows in one field of an object.
    pub(super) fn field(bytes: Content, field: &str, name: &str) -> Result<Self> {
        let start = after_bom(&bytes);
        let object: BTreeMap<String, &RawValue> =
            serde_json::from_slice(&bytes[start..]).map_err(|error| {
                anyhow!("`{name}`: not a JSON object with a field `{field}`: {error}")
            })?;
        let value = object.get(field).with_context(|| {
            let present = || object.keys().map(String::as_str);
            format!(
                "`{name}`: no field `{field}`, present are {}{}",
                listed(present()),
                nearest(field, present())
            )
        })?;
        let layout = rows(&bytes, value.get().as_bytes()).map_err(|error| {
            anyhow!("`{name}`: field `{field}` is not an array of objects: {error}")
        })?;
        Ok(Self::new(bytes, name, layout))
    }

    fn new(bytes: Content, name: &str, layout: Layout) -> Self {
        let mut json = Self {
            bytes,
            name: name.to_owned(),
            columns: Vec::new(),
            layout,
        };
        let mut columns: Vec<String> = Vec::new();
        json.each(0..json.rows().min(LOOKED_AT), &Wanted::All, &mut |fields| {
            for column in fields.iter().flat_map(|fields| fields.keys()) {
                if !columns.contains(column) {
                    columns.push(column.clone());
                }
            }
        });
        json.columns = columns;
        json
    }

    fn each(&self, range: Range<usize>, wanted: &Wanted, each: &mut dyn FnMut(Fields)) {
        match &self.layout {
            Layout::Lines(segments) => {
                let mut next = range.start;
                while next < range.end {
                    let segment = segment(segments, next);
                    let count = range.end.min(segment.row + segment.rows) - next;
                    let rows = segment.rows(&self.bytes, next - segment.row);
                    rows.take(count)
                        .for_each(|(text, _)| each(parse(text, wanted)));
                    next += count;
                }
            }
            Layout::Array(spans) => {
                let own = spans[range].iter();
                own.for_each(|(from, to)| each(parse(&self.bytes[*from..*to], wanted)));
            }
            Layout::Clients(spans, firsts) => {
                for row in range {
                    let (from, to) = spans[row];
                    let mut fields = parse(&self.bytes[from..to], wanted);
                    if let Ok(fields) = &mut fields
                        && wanted.has("client")
                    {
                        let (_, client) = owner(firsts, row);
                        fields.insert("client".into(), Value::from(client));
                    }
                    each(fields);
                }
            }
        }
    }
}

fn after_bom(bytes: &[u8]) -> usize {
    match bytes.starts_with(BOM) {
        true => BOM.len(),
        false => 0,
    }
}

/// Where in `bytes` the rows of `text`, a piece of it, start and end: those of a list, or of an object's lists.
fn rows(bytes: &[u8], text: &[u8]) -> serde_json::Result<Layout> {
    let base = bytes.as_ptr() as usize;
    // Every value is a piece of the text it was read from.
    let span = |value: &RawValue| {
        let from = value.get().as_ptr() as usize - base;
        (from, from + value.get().len())
    };
    if text.trim_ascii_start().first() != Some(&b'{') {
        let rows: Vec<&RawValue> = serde_json::from_slice(text)?;
        return Ok(Layout::Array(rows.into_iter().map(span).collect()));
    }
    let Clients(clients) = serde_json::from_slice(text)?;
    let (mut spans, mut firsts) = (Vec::new(), Vec::new());
    for (client, rows) in clients {
        firsts.push((spans.len(), client));
        spans.extend(rows.into_iter().map(span));
    }
    Ok(Layout::Clients(spans, firsts))
}

/// The rows of each client, in the order of the file.
struct Clients<'a>(Vec<(String, Vec<&'a RawValue>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Clients<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Clients<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a list of objects for each client")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut clients = Vec::new();
                while let Some(client) = map.next_entry()? {
                    clients.push(client);
                }
                Ok(Clients(clients))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The segment that holds a row.
fn segment(segments: &[Segment], row: usize) -> &Segment {
    &segments[segments.partition_point(|segment| segment.row <= row) - 1]
}

/// The first row of the client that a row is of, and the client.
fn owner(firsts: &[(usize, String)], row: usize) -> (usize, &str) {
    let (first, client) = &firsts[firsts.partition_point(|(first, _)| *first <= row) - 1];
    (*first, client)
}

impl Part for Json {
    fn rows(&self) -> usize {
        match &self.layout {
            Layout::Lines(segments) => segments.last().map_or(0, |own| own.row + own.rows),
            Layout::Array(spans) | Layout::Clients(spans, _) => spans.len(),
        }
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn read(
        &self,
        range: Range<usize>,
        wanted: &Wanted,
        each: &mut dyn FnMut(Fields),
    ) -> Result<()> {
        self.each(range, wanted, each);
        Ok(())
    }

    fn place(&self, row: usize) -> String {
        match &self.layout {
            _ if row >= self.rows() => format!("`{}`", self.name),
            Layout::Lines(segments) => {
                let segment = segment(segments, row);
                let mut rows = segment.rows(&self.bytes, row - segment.row);
                let line = rows.next().map_or(0, |(_, line)| line);
                format!("`{}` line {}", self.name, segment.line + line + 1)
            }
            Layout::Array(_) => format!("`{}` row {}", self.name, row + 1),
            Layout::Clients(_, firsts) => {
                let (first, client) = owner(firsts, row);
                format!("`{}` row {} of `{client}`", self.name, row + 1 - first)
            }
        }
    }
}

/// The wanted fields of one object.
pub(super) fn parse(text: &[u8], wanted: &Wanted) -> Fields {
    let text = std::str::from_utf8(text)
        .map_err(|error| format!("not UTF-8 after byte {}", error.valid_up_to()))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = Object(wanted).deserialize(&mut deserializer);
    let fields = fields.and_then(|fields| deserializer.end().map(|()| fields));
    // serde_json counts lines from the start of its input, which here is always the first one.
    fields.map_err(|error| {
        error
            .to_string()
            .replace(" at line 1 column ", " at column ")
    })
}

struct Object<'a>(&'a Wanted);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<Name<'de>>()? {
            match self.0.has(&key.0) {
                true => {
                    fields.insert(key.0.into_owned(), map.next_value()?);
                }
                false => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
