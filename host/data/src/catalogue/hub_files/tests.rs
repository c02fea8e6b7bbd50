use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{HubKind, Progress, Wanted, fetch, shards};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SHARD: &str = "model-00001-of-00001.safetensors";
const FILES: [(&str, &[u8]); 8] = [
    ("README.md", b"#"),
    ("chat_template.jinja", b""),
    ("config.json", b"{}"),
    (SHARD, b"0123456789abcdef"),
    (
        "model.safetensors.index.json",
        br#"{"weight_map": {"a": "model-00001-of-00001.safetensors", "b": "model-00001-of-00001.safetensors"}}"#,
    ),
    ("pytorch_model.bin", b"pickle"),
    ("tokenizer.json", b"{\"model\": {}}"),
    ("tokenizer_config.json", b"{\"eos_token\": \"\"}"),
];

const TRAIN: &[u8] = b"{\"a\": 1}\n";
const DATA: [(&str, &[u8]); 6] = [
    ("README.md", b"#"),
    ("data/test-00000-of-00001.jsonl", b"{\"a\": 2}\n"),
    ("data/train-00000-of-00001.jsonl", TRAIN),
    ("dataset_infos.json", b"{}"),
    ("main/test-00000-of-00001.jsonl", b"{\"a\": 3}\n"),
    ("main/train-00000-of-00001.jsonl", b"{\"a\": 4}\n"),
];

/// What a hub has: a model or a data set with these files.
#[derive(Clone, Copy)]
struct Repo {
    kind: HubKind,
    files: &'static [(&'static str, &'static [u8])],
}

const MODEL: Repo = Repo {
    kind: HubKind::Model,
    files: &FILES,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A hub with one repository, whose shard is said to have this digest. It breaks off after half of a file's bytes when
/// asked for all of the shard, and ends when asked for `/end`, returning what else it was asked for.
struct FakeHub {
    address: String,
    thread: thread::JoinHandle<Vec<String>>,
}

impl FakeHub {
    fn start(repo: Repo, shard_sha256: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = thread::spawn(move || {
            let mut asked = Vec::new();
            loop {
                let (stream, _) = listener.accept().unwrap();
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
                let request = head[0].trim_end_matches(" HTTP/1.1");
                if request == "GET /end" {
                    return asked;
                }
                asked.push(format!("{request} {}", range.as_deref().unwrap_or("all")));
                answer(stream, repo, request, range.as_deref(), &shard_sha256);
            }
        });
        Self { address, thread }
    }

    fn fetch(
        &self,
        revision: &str,
        cache: &Path,
        notes: &mut Vec<Progress>,
    ) -> Result<std::path::PathBuf> {
        let endpoint = format!("http://{}", self.address);
        fetch(
            Some(&endpoint),
            "o/n",
            revision,
            Wanted::Model,
            cache,
            &mut |p| {
                notes.push(p);
            },
        )
    }

    fn fetch_data(
        &self,
        revision: &str,
        globs: &[&str],
        split: Option<&str>,
        cache: &Path,
    ) -> Result<std::path::PathBuf> {
        let endpoint = format!("http://{}", self.address);
        data(&endpoint, revision, globs, split, cache)
    }

    fn end(self) -> Vec<String> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /end HTTP/1.1\r\n\r\n").unwrap();
        self.thread.join().unwrap()
    }
}

fn data(
    endpoint: &str,
    revision: &str,
    globs: &[&str],
    split: Option<&str>,
    cache: &Path,
) -> Result<std::path::PathBuf> {
    let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
    let wanted = Wanted::Data {
        globs: &globs,
        split,
    };
    fetch(Some(endpoint), "o/n", revision, wanted, cache, &mut |_| {})
}

fn answer(
    mut stream: TcpStream,
    repo: Repo,
    request: &str,
    range: Option<&str>,
    shard_sha256: &str,
) {
    let (method, path) = request.split_once(' ').unwrap();
    let (before, kind) = match repo.kind {
        HubKind::Model => ("", "models"),
        HubKind::Dataset => ("/datasets", "datasets"),
    };
    let resolved = path.strip_prefix(&format!("{before}/o/n/resolve/{COMMIT}/"));
    let (status, length, body): (_, usize, Vec<u8>) = if let Some(name) = resolved {
        let (_, bytes) = repo.files.iter().find(|(n, _)| *n == name).unwrap();
        let (from, to) = range.map_or((0, bytes.len()), |range| {
            let (from, last) = range.split_once('-').unwrap();
            (from.parse().unwrap(), last.parse::<usize>().unwrap() + 1)
        });
        let sent = match (method, name, from) {
            ("HEAD", ..) => 0..0,
            (_, SHARD, 0) => 0..to / 2,
            _ => from..to,
        };
        ("206 Partial Content", to - from, bytes[sent].to_vec())
    } else {
        let lfs = |name| (name == SHARD).then(|| json!({ "sha256": shard_sha256, "size": 16 }));
        let listed = repo.files.iter().map(
            |(name, bytes)| json!({ "rfilename": name, "size": bytes.len(), "lfs": lfs(*name) }),
        );
        let listed: Vec<Value> = listed.collect();
        let asked = path.strip_prefix(&format!("/api/{kind}/o/n/revision/"));
        let value = match asked {
            Some("refs%2Fpr%2F1") => json!({ "id": "o/n", "sha": COMMIT }),
            Some(rest) if rest == format!("{COMMIT}?blobs=true") => {
                json!({ "id": "o/n", "siblings": listed })
            }
            _ => Value::Null,
        };
        let body = value.to_string().into_bytes();
        let status = if value.is_null() {
            "404 Not Found"
        } else {
            "200 OK"
        };
        (status, body.len(), body)
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"x\"\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&body).unwrap();
}

#[test]
fn a_model_is_brought_once_without_pickles() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(MODEL, hex(&Sha256::digest(b"0123456789abcdef")));
    let mut told = Vec::new();
    let folder = hub.fetch("refs/pr/1", cache.path(), &mut told).unwrap();
    assert_eq!(folder, cache.path().join("hub/o--n").join(COMMIT));
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    let mut wanted: Vec<&str> = FILES.map(|(name, _)| name).into();
    wanted.retain(|name| !["README.md", "pytorch_model.bin"].contains(name));
    wanted.insert(1, "complete");
    assert_eq!(names, wanted);
    for (name, bytes) in FILES.into_iter().filter(|(name, _)| wanted.contains(name)) {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), bytes, "{name}");
    }
    let last = Progress::Bytes {
        done: 16,
        total: 16,
    };
    assert_eq!(told.last(), Some(&last));

    // A branch that stands for the same commit is one question, and the commit itself none.
    hub.fetch("refs/pr/1", cache.path(), &mut told).unwrap();
    let address = hub.address.clone();
    let asked = hub.end();
    assert_eq!(asked[0], "GET /api/models/o/n/revision/refs%2Fpr%2F1 all");
    assert_eq!(asked.last(), Some(&asked[0]));
    let of_shard: Vec<&String> = asked
        .iter()
        .filter(|request| request.starts_with("GET") && request.contains(SHARD))
        .collect();
    assert!(of_shard[0].ends_with(" 0-15") && of_shard[1].ends_with(" 8-15"));
    assert_eq!(of_shard.len(), 2);
    let offline = |revision: &str| {
        let endpoint = format!("http://{address}");
        fetch(
            Some(&endpoint),
            "o/n",
            revision,
            Wanted::Model,
            cache.path(),
            &mut |_| panic!("fetched again"),
        )
    };
    assert_eq!(offline(COMMIT).unwrap(), folder);
    let error = offline("main").unwrap_err().to_string();
    for part in ["`o/n` at `main`: ", "refused", "\nhint: without a network"] {
        assert!(error.contains(part), "{error}");
    }

    // A folder that lost a file is not complete.
    std::fs::remove_file(folder.join("config.json")).unwrap();
    assert!(offline(COMMIT).is_err());
}

#[test]
fn a_shard_with_a_wrong_digest_leaves_no_complete_folder() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(MODEL, "0".repeat(64));
    let mut told = Vec::new();
    let error = hub.fetch(COMMIT, cache.path(), &mut told).unwrap_err();
    let error = error.to_string();
    for part in ["`o/n` at `0123", SHARD, "wrong sha256: expected `000"] {
        assert!(error.contains(part), "{error}");
    }
    let folder = cache.path().join("hub/o--n").join(COMMIT);
    assert!(folder.join("config.json").exists());
    assert!(!folder.join("complete").exists() && !folder.join(SHARD).exists());

    let error = hub.fetch("nosuch", cache.path(), &mut told).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("Revision not found: nosuch in o/n"),
        "{error}"
    );
    hub.end();
}

/// The files below a folder that hold rows, sorted.
fn rows_of(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for inside in ["data", "main"] {
        let Ok(files) = std::fs::read_dir(folder.join(inside)) else {
            continue;
        };
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.extend(files.map(|name| format!("{inside}/{name}")));
    }
    names.sort();
    names
}

#[test]
fn of_a_data_set_only_what_is_asked_for_is_brought_once() {
    let cache = tempfile::tempdir().unwrap();
    let repo = Repo {
        kind: HubKind::Dataset,
        files: &DATA,
    };
    let hub = FakeHub::start(repo, String::new());
    let of_main = hub.fetch_data("main", &["data/*"], Some("train"), cache.path());
    // The hub knows this name of the commit only.
    assert!(of_main.is_err());
    let folder = hub.fetch_data("refs/pr/1", &["data/*"], Some("train"), cache.path());
    let folder = folder.unwrap();
    assert_eq!(folder, cache.path().join("hub/datasets--o--n").join(COMMIT));
    let train = "data/train-00000-of-00001.jsonl";
    assert_eq!(rows_of(&folder), [train]);
    assert_eq!(std::fs::read(folder.join(train)).unwrap(), TRAIN);
    assert!(!folder.join("README.md").exists() && !folder.join("dataset_infos.json").exists());
    // Of several splits the training one is taken where none is asked for, and more comes beside what is there.
    hub.fetch_data(COMMIT, &[], None, cache.path()).unwrap();
    assert_eq!(rows_of(&folder), [train, "main/train-00000-of-00001.jsonl"]);
    hub.fetch_data(COMMIT, &["main/test-*"], None, cache.path())
        .unwrap();
    let error = hub.fetch_data(COMMIT, &["other/*"], None, cache.path());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no file matches `other/*`"), "{error}");
    let endpoint = format!("http://{}", hub.address);
    let asked = hub.end();
    let got = asked
        .iter()
        .filter(|request| request.starts_with("GET /datasets/") && request.contains("train"));
    assert_eq!(got.count(), 2, "{asked:?}");

    // The hub is gone: the commit needs no network, a branch and other files do.
    let offline = |revision: &str, globs: &[&str], split: Option<&str>| {
        data(&endpoint, revision, globs, split, cache.path())
    };
    assert_eq!(offline(COMMIT, &["data/*"], Some("train")).unwrap(), folder);
    assert_eq!(offline(COMMIT, &[], None).unwrap(), folder);
    for error in [
        offline("refs/pr/1", &["data/*"], Some("train")),
        offline(COMMIT, &["data/*"], Some("test")),
    ] {
        let error = error.unwrap_err().to_string();
        for part in [
            "hub data set `o/n` at `",
            "refused",
            "\nhint: without a network",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn files_of_a_data_set_stay_below_their_folder() {
    // `..` is among the hidden names, which are no data.
    let (hidden, outside) = ("no file of a kind", "is not a path inside");
    let cases: [(&[_], &str); 4] = [
        (&[("../x.jsonl", TRAIN)], hidden),
        (&[("data/../../x.jsonl", TRAIN)], hidden),
        (&[("/x.jsonl", TRAIN)], outside),
        (&[("data\\x.jsonl", TRAIN)], outside),
    ];
    for (files, refused) in cases {
        let cache = tempfile::tempdir().unwrap();
        let kind = HubKind::Dataset;
        let hub = FakeHub::start(Repo { kind, files }, String::new());
        let error = hub.fetch_data(COMMIT, &[], None, cache.path());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(refused), "{error}");
        let folder = cache.path().join("hub/datasets--o--n").join(COMMIT);
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
        hub.end();
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for repo in ["n", "../n", "o/..", "o/n/m", "o/n?x", "/n"] {
        let error = fetch(
            None,
            repo,
            "main",
            Wanted::Model,
            folder.path(),
            &mut |_| {},
        )
        .unwrap_err();
        let expected = format!("hub model `{repo}`: not `OWNER/NAME`");
        assert_eq!(error.to_string(), expected);
    }
    let index = folder.path().join("index.json");
    for name in ["../a.safetensors", "b/a.safetensors", "a.bin", ".."] {
        std::fs::write(&index, json!({ "weight_map": { "t": name } }).to_string()).unwrap();
        let error = format!("{:#}", shards(&index).unwrap_err());
        assert!(
            error.contains("tensor `t`") && error.contains(name),
            "{error}"
        );
    }
}
