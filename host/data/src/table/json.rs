//! JSON lines and JSON arrays: where each row starts and ends is found when the file is opened, and a row is
//! parsed when it is read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::content::Content;
use super::{Fields, LOOKED_AT, Part, Wanted};
use crate::nearest::{listed, nearest};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The rows of a JSON file.
#[derive(Debug)]
pub(super) struct Json {
    bytes: Content,
    name: String,
    columns: Vec<String>,
    /// Where each row starts and ends.
    spans: Vec<(usize, usize)>,
    places: Places,
}

#[derive(Debug)]
enum Places {
    /// The line of each row.
    Lines(Vec<u32>),
    /// Rows of an array are numbered.
    Rows,
    /// Of an object with a list for each client: the first row of each, and whose it is.
    Clients(Vec<(usize, String)>),
}

impl Json {
    pub(super) fn lines(bytes: Content, name: &str) -> Result<Self> {
        let mut from = after_bom(&bytes);
        let (mut spans, mut lines, mut line) = (Vec::new(), Vec::new(), 1u32);
        let ends = memchr::memchr_iter(b'\n', &bytes).chain([bytes.len()]);
        for end in ends {
            if end >= from && !bytes[from..end].trim_ascii().is_empty() {
                spans.push((from, end));
                lines.push(line);
            }
            (from, line) = (end + 1, line.saturating_add(1));
        }
        Ok(Self::new(bytes, name, spans, Places::Lines(lines)))
    }

    pub(super) fn array(bytes: Content, name: &str) -> Result<Self> {
        let start = after_bom(&bytes);
        let (spans, places) = rows(&bytes, &bytes[start..])
            .map_err(|error| anyhow!("`{name}`: not a JSON array of objects: {error}"))?;
        Ok(Self::new(bytes, name, spans, places))
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
        let (spans, places) = rows(&bytes, value.get().as_bytes()).map_err(|error| {
            anyhow!("`{name}`: field `{field}` is not an array of objects: {error}")
        })?;
        Ok(Self::new(bytes, name, spans, places))
    }

    fn new(bytes: Content, name: &str, spans: Vec<(usize, usize)>, places: Places) -> Self {
        let mut json = Self {
            bytes,
            name: name.to_owned(),
            columns: Vec::new(),
            spans,
            places,
        };
        let mut columns: Vec<String> = Vec::new();
        for row in 0..json.spans.len().min(LOOKED_AT) {
            let Ok(fields) = json.fields(row, &Wanted::All) else {
                continue;
            };
            for (column, _) in fields {
                if !columns.contains(&column) {
                    columns.push(column);
                }
            }
        }
        json.columns = columns;
        json
    }

    fn fields(&self, row: usize, wanted: &Wanted) -> Fields {
        let (from, to) = self.spans[row];
        let mut fields = parse(&self.bytes[from..to], wanted)?;
        if let Places::Clients(firsts) = &self.places
            && wanted.has("client")
        {
            let after = firsts.partition_point(|(first, _)| *first <= row);
            fields.insert("client".into(), Value::from(firsts[after - 1].1.as_str()));
        }
        Ok(fields)
    }
}

fn after_bom(bytes: &[u8]) -> usize {
    match bytes.starts_with(BOM) {
        true => BOM.len(),
        false => 0,
    }
}

/// Where in `bytes` the rows of `text`, a piece of it, start and end: those of a list, or of an object's lists.
fn rows(bytes: &[u8], text: &[u8]) -> serde_json::Result<(Vec<(usize, usize)>, Places)> {
    let base = bytes.as_ptr() as usize;
    // Every value is a piece of the text it was read from.
    let span = |value: &RawValue| {
        let from = value.get().as_ptr() as usize - base;
        (from, from + value.get().len())
    };
    if text.trim_ascii_start().first() != Some(&b'{') {
        let rows: Vec<&RawValue> = serde_json::from_slice(text)?;
        return Ok((rows.into_iter().map(span).collect(), Places::Rows));
    }
    let clients: BTreeMap<String, Vec<&RawValue>> = serde_json::from_slice(text)?;
    let (mut spans, mut firsts) = (Vec::new(), Vec::new());
    for (client, rows) in clients {
        firsts.push((spans.len(), client));
        spans.extend(rows.into_iter().map(span));
    }
    Ok((spans, Places::Clients(firsts)))
}

impl Part for Json {
    fn rows(&self) -> usize {
        self.spans.len()
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
        range.for_each(|row| each(self.fields(row, wanted)));
        Ok(())
    }

    fn place(&self, row: usize) -> String {
        match &self.places {
            Places::Lines(lines) => {
                format!("`{}` line {}", self.name, lines.get(row).unwrap_or(&1))
            }
            Places::Rows => format!("`{}` row {}", self.name, row + 1),
            Places::Clients(firsts) => {
                let after = firsts.partition_point(|(first, _)| *first <= row).max(1);
                let (first, client) = &firsts[after - 1];
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
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
