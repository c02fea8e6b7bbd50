use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::{Map, Value, json};

use super::{Files, Format, Table, Wanted};

/// All rows with what is wanted of them, or what is wrong.
fn read(table: &Table, wanted: &Wanted) -> Vec<Result<Value, String>> {
    let rows: Vec<u32> = (0..table.len() as u32).collect();
    let value = |_, fields: Result<Map<String, Value>, String>| Ok(fields.map(Value::Object));
    table.map(&rows, wanted, value).unwrap()
}

fn parse(text: &[u8], format: Format) -> Table {
    Table::parse(text, format, &[], "x").unwrap()
}

#[test]
fn broken_rows_are_named_and_the_others_are_read() {
    let table = parse(b"a,b\n1,2\n3\n4,\"\xff\"\n5,6\n", Format::Csv);
    let rows = read(&table, &Wanted::All);
    assert_eq!(rows[0], Ok(json!({ "a": "1", "b": "2" })));
    assert_eq!(
        rows[1],
        Err("1 fields where the 2 columns `a`, `b` were expected".into())
    );
    assert_eq!(rows[2], Err("`b` is not UTF-8 after byte 0".into()));
    assert_eq!(rows[3], Ok(json!({ "a": "5", "b": "6" })));
    assert_eq!(table.place(3), "`x` line 5");

    let table = parse(
        b"{\"a\": 1}\n\n{\"a\": }\n[1]\n{\"a\": \"\xff\"}\n",
        Format::Jsonl,
    );
    let rows = read(&table, &Wanted::All);
    assert_eq!(rows[0], Ok(json!({ "a": 1 })));
    let wrong = |row: usize| rows[row].clone().unwrap_err();
    assert!(
        wrong(1).starts_with("expected value at column"),
        "{}",
        wrong(1)
    );
    assert_eq!(table.place(1), "`x` line 3");
    assert!(wrong(2).contains("expected a JSON object"), "{}", wrong(2));
    assert_eq!(wrong(3), "not UTF-8 after byte 7");
}

#[test]
fn quotes_in_tsv_are_characters() {
    let table = parse(b"\xef\xbb\xbfid\ttext\r\n1\t\"a\r\n2\tb\"\r\n", Format::Tsv);
    assert_eq!(table.columns(), ["id", "text"]);
    assert_eq!(table.row(0).unwrap().fields["text"], "\"a");
    assert_eq!(table.place(1), "`x` line 3");
}

#[test]
fn records_over_several_lines_keep_their_places() {
    let table = parse(b"a,b\n1,\"x\ny\"\n\n2,z\n", Format::Csv);
    assert_eq!(table.row(0).unwrap().fields["b"], "x\ny");
    assert_eq!((table.len(), table.place(1)), (2, "`x` line 5".into()));
}

#[test]
fn lists_by_client_become_a_column() {
    let table = parse(
        br#"{"u1": [{"a": 1}, {"a": 2}], "u0": [{"a": 3}]}"#,
        Format::Json,
    );
    let rows = read(&table, &Wanted::All);
    assert_eq!(rows[0], Ok(json!({ "a": 1, "client": "u1" })));
    assert_eq!(rows[2], Ok(json!({ "a": 3, "client": "u0" })));
    assert_eq!(table.place(2), "`x` row 1 of `u0`");
}

#[test]
fn rows_in_a_field_of_an_object() {
    let text = b"\xef\xbb\xbf{\"n\": 2, \"examples\": [{\"a\": 1}, {\"a\": \"\\u00e9 [\"}], \"c\": {\"u\": [{\"a\": 3}]}}";
    let table = Table::parse_field(text, "examples", "x").unwrap();
    assert_eq!(table.columns(), ["a"]);
    assert_eq!(
        read(&table, &Wanted::All),
        [Ok(json!({ "a": 1 })), Ok(json!({ "a": "\u{e9} [" }))]
    );
    assert_eq!(table.place(1), "`x` row 2");
    let table = Table::parse_field(text, "c", "x").unwrap();
    assert_eq!(
        read(&table, &Wanted::All),
        [Ok(json!({ "a": 3, "client": "u" }))]
    );
    let error = |field: &str| {
        let error = Table::parse_field(text, field, "x").unwrap_err();
        error.to_string()
    };
    assert_eq!(
        error("exampels"),
        "`x`: no field `exampels`, present are `c`, `examples`, `n`, nearest is `examples`"
    );
    assert!(
        error("n").starts_with("`x`: field `n` is not an array of objects: "),
        "{}",
        error("n")
    );
    let error = Table::parse_field(b"[]", "examples", "x").unwrap_err();
    let expected = "`x`: not a JSON object with a field `examples`: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn a_filter_keeps_places_and_what_cannot_be_read() {
    let filter = |text: &str| crate::mapping::Filter::try_from(text.to_owned());
    let lines = b"{\"a\": 1, \"b\": 7}\n{\"a\": null, \"b\": 8}\n{\"a\": }\n{\"a\": 2, \"b\": 9}\n";
    let mut table = parse(lines, Format::Jsonl);
    table.constant("c", &json!("k"));
    let kept = table.clone().keep(&filter("a is not none").unwrap());
    let mut kept = kept.unwrap();
    let rows = read(&kept, &Wanted::only(["b", "c"]));
    assert_eq!(rows[0], Ok(json!({ "b": 7, "c": "k" })));
    assert!(rows[1].is_err());
    assert_eq!(rows[2], Ok(json!({ "b": 9, "c": "k" })));
    assert_eq!((kept.len(), kept.place(2)), (3, "`x` line 4".into()));
    kept.append(table.clone()).unwrap();
    assert_eq!((kept.len(), kept.place(3)), (7, "`x` line 1".into()));

    let error = table.clone().keep(&filter("z == 1").unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "filter: no column `z`, present are `a`, `b`, `c`"
    );
    let error = table.keep(&filter("a.b.c").unwrap()).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.starts_with("`x` line 1: filter `a.b.c`: "), "{error}");
    let error = filter("a is").unwrap_err().to_string();
    assert!(error.starts_with("filter `a is`: "), "{error}");
}

/// A batch of 5,000 rows from `first` on.
fn batch(first: i64) -> RecordBatch {
    let numbers: Vec<i64> = (first..first + 5000).collect();
    let texts = numbers
        .iter()
        .map(|n| (n % 7 != 0).then(|| format!("text {n}")));
    let columns: [(&str, ArrayRef); 2] = [
        ("number", Arc::new(Int64Array::from(numbers.clone()))),
        ("text", Arc::new(StringArray::from_iter(texts))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The same rows in every format: all of them, one column, and a few from the middle.
#[test]
fn every_format_gives_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let batches = [batch(0), batch(5000)];
    let schema = batches[0].schema();
    let mut parquet = parquet::arrow::ArrowWriter::try_new(
        File::create(at("x.parquet")).unwrap(),
        schema.clone(),
        Some(
            parquet::file::properties::WriterProperties::builder()
                .set_max_row_group_row_count(Some(1500))
                .set_compression(parquet::basic::Compression::SNAPPY)
                .build(),
        ),
    )
    .unwrap();
    let mut file =
        arrow_ipc::writer::FileWriter::try_new(File::create(at("x.feather")).unwrap(), &schema)
            .unwrap();
    let mut stream =
        arrow_ipc::writer::StreamWriter::try_new(File::create(at("x.arrow")).unwrap(), &schema)
            .unwrap();
    for batch in &batches {
        parquet.write(batch).unwrap();
        file.write(batch).unwrap();
        stream.write(batch).unwrap();
    }
    parquet.close().unwrap();
    file.finish().unwrap();
    stream.finish().unwrap();
    let rows: Vec<Value> = (0..10_000)
        .map(|n| {
            let text = (n % 7 != 0).then(|| format!("text {n}"));
            json!({ "number": n, "text": text })
        })
        .collect();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(at("x.jsonl"), &lines).unwrap();
    fs::write(at("x.json"), Value::from(rows.clone()).to_string()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(
        File::create(at("x.jsonl.gz")).unwrap(),
        flate2::Compression::fast(),
    );
    gzip.write_all(lines.as_bytes()).unwrap();
    gzip.finish().unwrap();
    fs::write(
        at("x.jsonl.zst"),
        zstd::encode_all(lines.as_bytes(), 1).unwrap(),
    )
    .unwrap();

    let names = [
        "x.parquet",
        "x.feather",
        "x.arrow",
        "x.jsonl",
        "x.json",
        "x.jsonl.gz",
        "x.jsonl.zst",
    ];
    for name in names {
        let table = Table::open(&at(name)).unwrap();
        assert_eq!(table.columns(), ["number", "text"], "{name}");
        let found = read(&table, &Wanted::All);
        assert!(
            found
                .iter()
                .zip(&rows)
                .all(|(found, row)| found.as_ref() == Ok(row)),
            "{name}"
        );
        assert_eq!(found.len(), rows.len(), "{name}");
        let scattered = [3, 4, 1499, 1500, 4999, 5000, 9999];
        let texts = table.map(&scattered, &Wanted::only(["text"]), |row, fields| {
            Ok((row, fields))
        });
        for (row, fields) in texts.unwrap() {
            let expected = json!({ "text": rows[row]["text"] });
            assert_eq!(fields.map(Value::Object), Ok(expected), "{name}");
        }
    }
}

#[test]
fn a_folder_is_its_training_split() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{\"a\": 1}\n").unwrap();
    };
    let names = |globs: &[&str], split: Option<&str>| {
        let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
        let files = Files::find(folder.path(), &globs, split)?;
        let name = |path: &std::path::PathBuf| {
            let name = path.strip_prefix(folder.path()).unwrap_or(Path::new(""));
            name.display().to_string()
        };
        Ok::<_, anyhow::Error>((
            files.paths().iter().map(name).collect::<Vec<_>>(),
            files.assumed,
        ))
    };
    ["b.jsonl", "a.jsonl", "README.md", "dataset_info.json"]
        .iter()
        .for_each(|name| write(name));
    assert_eq!(
        names(&[], None).unwrap(),
        (vec!["a.jsonl".to_owned(), "b.jsonl".into()], None)
    );
    write("main/train-00000-of-00001.jsonl");
    write("main/test-00000-of-00001.jsonl");
    write("socratic/train-00000-of-00001.jsonl");
    let (found, assumed) = names(&["main/*"], Some("train")).unwrap();
    assert_eq!(
        (found, assumed),
        (vec!["main/train-00000-of-00001.jsonl".to_owned()], None)
    );
    let (found, assumed) = names(&[], None).unwrap();
    assert_eq!((found.len(), assumed.as_deref()), (2, Some("train")));
    let error = names(&[], Some("dev")).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("no file of split `dev`"), "{error}");
    let error = names(&["other/*"], None).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("no file matches `other/*`"), "{error}");
}
