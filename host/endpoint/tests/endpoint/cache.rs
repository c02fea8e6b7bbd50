//! What is kept, and what is asked no more.

use std::fs;
use std::path::{Path, PathBuf};

use folkmoot_endpoint::{Client, Request};
use serde_json::{Value, json};

use crate::server::{Server, echo, refuse, said};

/// All files under a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn greedy(text: &str) -> Request {
    Request {
        temperature: Some(0.0),
        ..Request::new(text)
    }
}

#[test]
fn what_was_answered_is_not_asked_again() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    let requests = [greedy("a"), Request::new("b"), greedy("c")];
    let first = server.client(folder.path()).complete(&requests).unwrap();
    let again = server.client(folder.path());
    assert_eq!(again.complete(&requests).unwrap(), first);
    let statistics = again.statistics();
    assert_eq!(
        (
            statistics.asked,
            statistics.cached,
            statistics.prompt_tokens
        ),
        (0, 3, 0)
    );
    assert_eq!(server.asked().len(), 3);

    // Settings that change no answer find the same files; what changes one does not.
    let mut endpoint = server.endpoint();
    endpoint.url += "/";
    (endpoint.retries, endpoint.requests_per_minute) = (1, std::num::NonZeroU32::new(6000));
    let same =
        Client::open_with_key(&endpoint, folder.path(), Some("sk-0123456789".into())).unwrap();
    same.complete(&requests).unwrap();
    assert_eq!(same.statistics().asked, 0);
    endpoint.model = "other".into();
    let other = Client::open(&endpoint, folder.path()).unwrap();
    other.complete(&requests[..1]).unwrap();
    assert_eq!(other.statistics().asked, 1);
}

#[test]
fn a_file_shows_what_was_asked_and_answered() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    server
        .client(folder.path())
        .complete(&[greedy("a")])
        .unwrap();
    let files = files(folder.path());
    let [file] = &files[..] else {
        panic!("{files:?}")
    };
    let name = file.strip_prefix(folder.path()).unwrap().to_str().unwrap();
    assert_eq!(
        name.split('/').map(str::len).collect::<Vec<_>>(),
        [2, 62 + ".json".len()]
    );
    let file: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let messages = json!([{ "role": "user", "content": "a" }]);
    assert_eq!(
        file["request"],
        json!({ "model": "m", "messages": messages, "temperature": 0.0 })
    );
    assert_eq!(
        (&file["url"], &file["model"]),
        (&json!(server.url()), &json!("m"))
    );
    assert_eq!((&file["api"], &file["draw"]), (&json!("chat"), &json!(0)));
    assert_eq!(file["answer"]["choices"][0]["message"]["content"], "a/0");
    assert_eq!(file["answer"]["usage"]["prompt_tokens"], 7);
}

#[test]
fn only_what_is_greedy_is_shared() {
    let server = Server::start(|asked| said(&[asked.count.to_string()]));
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    endpoint.extra = json!({ "seed": 40 }).as_object().unwrap().clone();
    let ask = |requests: &[Request]| {
        let client = Client::open(&endpoint, folder.path()).unwrap();
        (
            client.complete(requests).unwrap(),
            client.statistics().asked,
        )
    };
    let (answers, asked) = ask(&[greedy("a"), greedy("b"), greedy("a")]);
    assert_eq!(asked, 2);
    assert_eq!(answers[0], answers[2]);
    assert_ne!(answers[0], answers[1]);

    let hot = Request {
        temperature: Some(0.7),
        ..Request::new("a")
    };
    for request in [hot, Request::new("a")] {
        let draws = [request.clone(), request.clone(), request];
        let (mut answers, asked) = ask(&draws);
        assert_eq!(asked, 3);
        // The same draws again, and one draw more.
        let (again, asked) = ask(&draws);
        assert_eq!((&again, asked), (&answers, 0));
        let (more, asked) = ask(&[&draws[..], &draws[..1]].concat());
        assert_eq!((&more[..3], asked), (&answers[..], 1));
        answers.sort();
        answers.dedup();
        assert_eq!(answers.len(), 3);
    }
    let mut seeds: Vec<_> = server
        .asked()
        .iter()
        .map(|asked| asked.body["seed"].as_u64())
        .collect();
    seeds.sort();
    let seeds: Vec<_> = seeds.into_iter().flatten().collect();
    assert_eq!(seeds, [40, 40, 40, 40, 41, 41, 42, 42, 43, 43]);
}

#[test]
fn what_came_before_a_failure_is_kept() {
    let server = Server::start(|asked| match (asked.prompt(), asked.count) {
        ("7", ..20) => refuse(400, "no sevens"),
        _ => echo(asked),
    });
    let folder = tempfile::tempdir().unwrap();
    let requests: Vec<_> = (0..20).map(|i| greedy(&i.to_string())).collect();
    let first = server.client(folder.path());
    let error = first.complete(&requests).unwrap_err().to_string();
    assert!(
        error.contains("request 8 of 20") && error.ends_with("no sevens"),
        "{error}"
    );
    let kept = first.statistics().asked;
    assert!((4..20).contains(&kept), "{kept}");
    assert_eq!(files(folder.path()).len() as u64, kept);

    // The failures of one call are no failure of the next.
    for _ in server.asked().len()..20 {
        let _ = server.client(folder.path()).complete(&[greedy("7")]);
    }
    let second = server.client(folder.path());
    assert_eq!(second.complete(&requests).unwrap()[7], ["7/0"]);
    assert_eq!(
        (second.statistics().cached, second.statistics().asked),
        (kept, 20 - kept)
    );
}

#[test]
fn damaged_files_are_asked_again() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    let requests = [greedy("a")];
    server.client(folder.path()).complete(&requests).unwrap();
    let file = files(folder.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    for damaged in [
        &[][..],
        &whole[..whole.len() / 2],
        b"\xff\xfe",
        text.replace("choices", "c").as_bytes(),
    ] {
        fs::write(&file, damaged).unwrap();
        let client = server.client(folder.path());
        assert_eq!(client.complete(&requests).unwrap(), [["a/0"]]);
        assert_eq!(client.statistics().damaged, std::slice::from_ref(&file));
        assert_eq!(
            (client.statistics().asked, client.statistics().cached),
            (1, 0)
        );
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Client::open(&server.endpoint(), &file).unwrap_err();
    assert!(format!("{error:#}").contains("file`"), "{error:#}");
    assert!(server.asked().is_empty());
}
