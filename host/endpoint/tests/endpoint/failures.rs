//! What goes wrong: what is tried again, and what is said in the end.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::{Duration, Instant};

use folkmoot_endpoint::{Client, Endpoint, Request, RequestError};
use serde_json::json;

use crate::server::{Reply, Server, echo, refuse, said};

/// Asks for one answer, with so many retries.
fn ask(server: &Server, retries: u32) -> (Result<Vec<Vec<String>>, String>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    endpoint.retries = retries;
    let client = Client::open(&endpoint, folder.path()).unwrap();
    let answers = client.complete(&[Request::new("Hi")]);
    let answers = answers.map_err(|error| format!("{error:#}"));
    (answers, client.statistics().retried)
}

#[test]
fn retry_after_is_waited_for() {
    let server = Server::start(|asked| match asked.count {
        0 => Reply::Json(429, vec![("Retry-After", "2".into())], json!({})),
        // Both clocks are the server's.
        1 => {
            let until = ("Retry-After", "Sun, 06 Nov 1994 08:49:38 GMT".into());
            let now = ("Date", "Sun, 06 Nov 1994 08:49:37 GMT".into());
            Reply::Json(503, vec![until, now], json!({}))
        }
        _ => echo(asked),
    });
    let (answers, retried) = ask(&server, 2);
    assert_eq!((answers.unwrap(), retried), (vec![vec!["Hi/0".into()]], 2));
    let times: Vec<_> = server.asked().iter().map(|asked| asked.at).collect();
    for (pair, wait) in times.windows(2).zip([2, 1]) {
        let (waited, wait) = (pair[1] - pair[0], Duration::from_secs(wait));
        assert!(waited > wait - Duration::from_millis(50), "{waited:?}");
        assert!(waited < wait + Duration::from_secs(3), "{waited:?}");
    }
}

#[test]
fn a_rest_that_the_server_asks_for_is_all_threads() {
    let server = Server::start(|asked| match asked.count {
        0 => Reply::Json(429, vec![("Retry-After", "1".into())], json!({})),
        _ => {
            std::thread::sleep(Duration::from_millis(100));
            echo(asked)
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    endpoint.parallel = NonZeroUsize::new(2).unwrap();
    let client = Client::open(&endpoint, folder.path()).unwrap();
    let requests: Vec<_> = (0..20).map(|i| Request::new(i.to_string())).collect();
    client.complete(&requests).unwrap();
    let asked = server.asked();
    let start = asked[0].at;
    let early = asked
        .iter()
        .filter(|asked| asked.at - start < Duration::from_millis(900));
    // The refused one, and what was under way with it.
    assert!(early.count() <= 3);
}

#[test]
fn what_may_pass_is_tried_again_and_waits_double() {
    let server = Server::start(|asked| match asked.count {
        0 => refuse(500, "out of memory"),
        1 => refuse(408, "slow"),
        _ => echo(asked),
    });
    let (answers, retried) = ask(&server, 5);
    assert_eq!((answers.unwrap().len(), retried), (1, 2));
    let times: Vec<_> = server.asked().iter().map(|asked| asked.at).collect();
    for (pair, wait) in times.windows(2).zip([0.5, 1.0]) {
        let waited = (pair[1] - pair[0]).as_secs_f64();
        assert!((wait - 0.05..wait + 3.0).contains(&waited), "{waited}");
    }
}

#[test]
fn in_the_end_the_server_s_words_are_shown() {
    for (status, retried) in [
        (409, 1),
        (429, 1),
        (500, 1),
        (502, 1),
        (400, 0),
        (403, 0),
        (404, 0),
        (422, 0),
    ] {
        let server = Server::start(move |_| refuse(status, "the model\nis away"));
        let (answers, tried) = ask(&server, 1);
        let error = answers.unwrap_err();
        let start = format!(
            "`{}` (model `m`), request 1 of 1: the server said ({status}",
            server.url()
        );
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains("): the model is away"), "{error}");
        assert_eq!(
            (tried, error.ends_with("(tried 2 times)")),
            (retried, retried == 1)
        );
        assert_eq!(server.asked().len() as u64, retried + 1);
    }
}

#[test]
fn what_will_not_pass_is_not_waited_for() {
    type Case = (fn() -> Reply, &'static str);
    let cases: [Case; 4] = [
        (
            || {
                Reply::Json(
                    429,
                    vec![("Retry-After", "86400".into())],
                    json!({ "error": "enough for today" }),
                )
            },
            "enough for today (it asks to wait 86400 s, which is too long)",
        ),
        (
            || {
                let error = json!({ "message": "pay", "code": "insufficient_quota" });
                Reply::Json(429, vec![], json!({ "error": error }))
            },
            "): pay",
        ),
        (
            || {
                Reply::Json(
                    200,
                    vec![],
                    json!({ "error": { "code": 403, "message": "flagged" } }),
                )
            },
            "the server said (403 Forbidden): flagged",
        ),
        (
            || Reply::Json(200, vec![], json!({ "choices": 1 })),
            "no list of `choices`",
        ),
    ];
    for (reply, part) in cases {
        let server = Server::start(move |_| reply());
        let (answers, _) = ask(&server, 5);
        let error = answers.unwrap_err();
        assert!(error.contains(part), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn broken_answers_are_asked_again() {
    let broken: [&[u8]; 6] = [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"choices\": [",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cho\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{\"choices\": [{\"mess",
        b"<html>no HTTP</html>",
    ];
    for bytes in broken {
        let server = Server::start(move |asked| match asked.count {
            0 => Reply::Raw(bytes.to_vec()),
            _ => echo(asked),
        });
        let (answers, retried) = ask(&server, 1);
        assert_eq!((answers.unwrap().len(), retried), (1, 1));
    }
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n<html>Welcome</html>";
    let server = Server::start(|_| Reply::Raw(page.to_vec()));
    let error = ask(&server, 1).0.unwrap_err();
    assert!(
        error.contains("is no JSON (") && error.contains("<html>Welcome</html>"),
        "{error}"
    );
}

#[test]
fn silence_ends_with_the_time_that_is_set() {
    let slow = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    let server = Server::start(move |asked| match asked.count {
        0 => Reply::Silence(Duration::from_secs(30)),
        1 => Reply::Stalled(slow.clone(), Duration::from_secs(30)),
        _ => refuse(400, "enough"),
    });
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    endpoint.timeout = NonZeroU64::new(1).unwrap();
    for (retries, part) in [
        (0, "no whole answer within `timeout`"),
        (1, "(400 Bad Request): enough"),
    ] {
        endpoint.retries = retries;
        let client = Client::open(&endpoint, folder.path()).unwrap();
        let start = Instant::now();
        let error = client
            .complete(&[Request::new("Hi")])
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
        assert!(start.elapsed() < Duration::from_secs(15));
    }
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn nobody_there_is_said_so() {
    let mut endpoint = Endpoint::new("http://127.0.0.1:1/v1", "m");
    endpoint.key_env = Some(String::new());
    endpoint.retries = 1;
    let folder = tempfile::tempdir().unwrap();
    let client = Client::open(&endpoint, folder.path()).unwrap();
    let error = client.complete(&[Request::new("Hi")]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("refused") && text.ends_with("(tried 2 times)"),
        "{text}"
    );
    let error: RequestError = error.downcast().unwrap();
    assert_eq!((error.place, error.of, error.url), (0, 1, endpoint.url));
}

#[test]
fn fewer_answers_than_asked_are_a_failure() {
    let server = Server::start(|_| said(&["one".into()]));
    let folder = tempfile::tempdir().unwrap();
    let client = server.client(folder.path());
    let request = Request {
        n: 3,
        ..Request::new("Hi")
    };
    let error = client
        .complete(&[Request::new("Hi"), request])
        .unwrap_err()
        .to_string();
    let part = "request 2 of 2: `n` = 3 answers were asked for, and the server gave 1; it may not know `n`";
    assert!(error.contains(part), "{error}");
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::start(echo);
    let to = format!("{}/chat/completions?token=private", other.url());
    for status in [301, 302, 307, 308] {
        let to = to.clone();
        let server =
            Server::start(move |_| Reply::Json(status, vec![("Location", to.clone())], json!({})));
        let folder = tempfile::tempdir().unwrap();
        let client = Client::open_with_key(
            &server.endpoint(),
            folder.path(),
            Some("sk-0123456789".into()),
        );
        let error = client
            .unwrap()
            .complete(&[Request::new("Hi")])
            .unwrap_err()
            .to_string();
        let part = format!(
            "to `{}/chat/completions`, which is not followed",
            other.url()
        );
        assert!(error.contains(&part), "{error}");
        assert!(!error.contains("private"), "{error}");
    }
    assert!(other.asked().is_empty());
}
