//! Parquet and Arrow: only the columns that are wanted are decoded.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, StreamDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer};
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};

use super::content::Content;
use super::{Fields, Part, Wanted, json};

/// Rows that are decoded at once.
const BATCH: usize = 1024;

/// A Parquet file.
pub(super) struct Parquet {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    name: String,
    columns: Vec<String>,
    rows: usize,
}

impl Parquet {
    pub(super) fn new(content: Content, name: &str) -> Result<Self> {
        let at = || format!("`{name}`: not a readable Parquet file");
        let bytes = Bytes::from_owner(content);
        let metadata =
            ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).with_context(at)?;
        let rows = metadata.metadata().file_metadata().num_rows();
        let rows = usize::try_from(rows).with_context(at)?;
        let mut groups = metadata.metadata().row_groups().iter();
        let held = groups.try_fold(0usize, |held, group| {
            held.checked_add(usize::try_from(group.num_rows()).ok()?)
        });
        ensure!(
            held == Some(rows),
            "`{name}`: its row groups do not hold the {rows} rows that it says"
        );
        let columns = metadata.schema().fields().iter();
        Ok(Self {
            columns: columns.map(|field| field.name().clone()).collect(),
            rows,
            bytes,
            metadata,
            name: name.to_owned(),
        })
    }
}

impl fmt::Debug for Parquet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parquet").field("name", &self.name).finish()
    }
}

impl Part for Parquet {
    fn rows(&self) -> usize {
        self.rows
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
        let at = || {
            format!(
                "reading rows {} to {} of `{}`",
                range.start + 1,
                range.end,
                self.name
            )
        };
        // Row groups that have none of the rows are left out, so that their pages are not touched.
        let (mut groups, mut before, mut skip) = (Vec::new(), 0, 0);
        for (index, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let rows = usize::try_from(group.num_rows()).with_context(at)?;
            if before < range.end && before + rows > range.start {
                if groups.is_empty() {
                    skip = range.start - before;
                }
                groups.push(index);
            }
            before += rows;
        }
        let roots = self.columns.iter().enumerate();
        let roots = roots.filter(|(_, column)| wanted.has(column));
        let roots = roots.map(|(index, _)| index).collect::<Vec<_>>();
        if roots.is_empty() {
            range.for_each(|_| each(Ok(serde_json::Map::new())));
            return Ok(());
        }
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.bytes.clone(),
            self.metadata.clone(),
        );
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let selection = [RowSelector::skip(skip), RowSelector::select(range.len())];
        let reader = builder
            .with_row_groups(groups)
            .with_projection(mask)
            .with_row_selection(RowSelection::from(selection.to_vec()))
            .with_batch_size(BATCH)
            .build()
            .with_context(at)?;
        let mut count = 0;
        for batch in reader {
            let batch = batch.with_context(at)?;
            count += batch.num_rows();
            objects(&batch, wanted, each).with_context(at)?;
        }
        ensure!(
            count == range.len(),
            "`{}`: {count} of {} rows",
            self.name,
            range.len()
        );
        Ok(())
    }

    fn place(&self, row: usize) -> String {
        format!("`{}` row {}", self.name, row + 1)
    }
}

/// An Arrow file, or a stream, which is what the library `datasets` writes. Buffers of batches that are not
/// compressed are pieces of the mapped file.
pub(super) struct Arrow {
    batches: Batches,
    name: String,
    columns: Vec<String>,
    /// The first row of each batch, and the number of all.
    starts: Vec<usize>,
}

enum Batches {
    File(FileDecoder, Buffer, Vec<Block>),
    Stream(Vec<RecordBatch>),
}

impl Arrow {
    pub(super) fn new(content: Content, name: &str) -> Result<Self> {
        let at = || format!("`{name}`: not a readable Arrow file");
        let names = |schema: &arrow_schema::Schema| {
            let fields = schema.fields().iter();
            fields.map(|field| field.name().clone()).collect()
        };
        let mut starts = vec![0];
        let mut note = |rows: usize| starts.push(starts.last().copied().unwrap_or(0) + rows);
        let in_file = content.starts_with(b"ARROW1");
        let mut all = Buffer::from(Bytes::from_owner(content));
        let (batches, columns) = if in_file {
            let (decoder, blocks, schema) = footer(&all).with_context(at)?;
            for block in &blocks {
                note(decoded(&decoder, &all, block).with_context(at)?.num_rows());
            }
            (Batches::File(decoder, all, blocks), names(&schema))
        } else {
            let (mut decoder, mut batches) = (StreamDecoder::new(), Vec::new());
            while let Some(batch) = decoder.decode(&mut all).with_context(at)? {
                note(batch.num_rows());
                batches.push(batch);
            }
            decoder.finish().with_context(at)?;
            let schema = decoder.schema().with_context(at)?;
            (Batches::Stream(batches), names(&schema))
        };
        Ok(Self {
            batches,
            name: name.to_owned(),
            columns,
            starts,
        })
    }

    fn batch(&self, index: usize, wanted: &[usize]) -> Result<RecordBatch> {
        let batch = match &self.batches {
            Batches::File(decoder, all, blocks) => decoded(decoder, all, &blocks[index])?,
            Batches::Stream(batches) => batches[index].clone(),
        };
        Ok(batch.project(wanted)?)
    }
}

/// What the end of a file says: the decoder for its batches, where they are, and their columns.
fn footer(all: &Buffer) -> Result<(FileDecoder, Vec<Block>, SchemaRef)> {
    const TRAILER: usize = 10;
    let trailer = all.len().checked_sub(TRAILER).context("cut off")?;
    let length = read_footer_length(all[trailer..].try_into()?)?;
    let start = trailer.checked_sub(length).context("cut off")?;
    let footer = root_as_footer(&all[start..trailer]).map_err(|error| anyhow!("{error}"))?;
    let schema = Arc::new(try_fb_to_schema(footer.schema().context("no schema")?)?);
    let mut decoder = FileDecoder::new(schema.clone(), footer.version());
    for block in footer.dictionaries().into_iter().flatten() {
        let bytes = piece(all, block).context("a dictionary lies outside of the file")?;
        decoder.read_dictionary(block, &bytes)?;
    }
    let blocks = footer.recordBatches().context("no batches")?;
    Ok((decoder, blocks.iter().copied().collect(), schema))
}

fn decoded(decoder: &FileDecoder, all: &Buffer, block: &Block) -> Result<RecordBatch> {
    let bytes = piece(all, block).context("a batch lies outside of the file")?;
    let batch = decoder.read_record_batch(block, &bytes)?;
    batch.context("a batch is none")
}

/// The bytes of a block, if they are in the file.
fn piece(all: &Buffer, block: &Block) -> Option<Buffer> {
    let from = usize::try_from(block.offset()).ok()?;
    let head = usize::try_from(block.metaDataLength()).ok()?;
    let size = head.checked_add(usize::try_from(block.bodyLength()).ok()?)?;
    let whole = from.checked_add(size)? <= all.len();
    whole.then(|| all.slice_with_length(from, size))
}

impl fmt::Debug for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrow").field("name", &self.name).finish()
    }
}

impl Part for Arrow {
    fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
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
        let own = self.columns.iter().enumerate();
        let own = own.filter(|(_, column)| wanted.has(column));
        let own: Vec<usize> = own.map(|(index, _)| index).collect();
        if own.is_empty() {
            range.for_each(|_| each(Ok(serde_json::Map::new())));
            return Ok(());
        }
        for index in 0..self.starts.len() - 1 {
            let (first, end) = (self.starts[index], self.starts[index + 1]);
            let (from, to) = (range.start.max(first), range.end.min(end));
            if from < to {
                let batch = self.batch(index, &own);
                let batch = batch.with_context(|| format!("reading `{}`", self.name))?;
                objects(&batch.slice(from - first, to - from), wanted, each)?;
            }
        }
        Ok(())
    }

    fn place(&self, row: usize) -> String {
        format!("`{}` row {}", self.name, row + 1)
    }
}

/// The rows of a batch as objects: what is null is a field all the same.
fn objects(batch: &RecordBatch, wanted: &Wanted, each: &mut dyn FnMut(Fields)) -> Result<()> {
    let writer = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = writer.build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let lines = writer.into_inner();
    let mut count = 0;
    for line in lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        each(json::parse(line, wanted));
        count += 1;
    }
    ensure!(
        count == batch.num_rows(),
        anyhow!("{count} of {} rows", batch.num_rows())
    );
    Ok(())
}
