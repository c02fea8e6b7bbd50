//! What is asked, and how what comes back is taken.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use folkmoot_endpoint::{Api, Client, Message, Request};
use serde_json::json;

use crate::server::{Reply, Server, echo, said};

#[test]
fn a_chat_is_asked_and_answered() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    endpoint.url += "/";
    endpoint.extra = json!({ "seed": 1 }).as_object().unwrap().clone();
    endpoint.headers = [("X-Team".to_owned(), "folk".to_owned())].into();
    let client = Client::open(&endpoint, folder.path()).unwrap();
    let messages = vec![
        Message::new("system", "Be kind."),
        Message::new("user", "Hi"),
    ];
    let request = Request {
        max_tokens: Some(8),
        temperature: Some(0.0),
        stop: vec!["\n".into()],
        n: 3,
        ..Request::new(messages)
    };
    let answers = client.complete(&[request, Request::new("Ho")]).unwrap();
    assert_eq!(answers, [vec!["Hi/0", "Hi/1", "Hi/2"], vec!["Ho/0"]]);

    let mut asked = server.asked();
    asked.sort_by_key(|asked| asked.prompt().to_owned());
    let [first, second] = &asked[..] else {
        panic!()
    };
    assert_eq!(first.path, "/v1/chat/completions");
    assert_eq!(first.headers["x-team"], "folk");
    assert_eq!(first.headers["content-type"], "application/json");
    assert!(first.headers["user-agent"].starts_with("folkmoot/"));
    assert!(!first.headers.contains_key("authorization"));
    let messages =
        json!([{ "role": "system", "content": "Be kind." }, { "role": "user", "content": "Hi" }]);
    let body = json!({ "model": "m", "messages": messages, "temperature": 0.0, "max_tokens": 8, "stop": ["\n"],
        "n": 3, "seed": 1 });
    assert_eq!(first.body, body);
    let body =
        json!({ "model": "m", "messages": [{ "role": "user", "content": "Ho" }], "seed": 1 });
    assert_eq!(second.body, body);
    let statistics = client.statistics();
    assert_eq!(
        (statistics.asked, statistics.cached, statistics.retried),
        (2, 0, 0)
    );
    assert_eq!(
        (statistics.prompt_tokens, statistics.completion_tokens),
        (14, 4)
    );
}

#[test]
fn a_text_is_gone_on_with() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    endpoint.api = Api::Completions;
    let client = Client::open(&endpoint, folder.path()).unwrap();
    assert_eq!(
        client.complete(&[Request::new("Once")]).unwrap(),
        [["Once/0"]]
    );
    assert_eq!(server.asked()[0].path, "/v1/completions");
    assert_eq!(
        server.asked()[0].body,
        json!({ "model": "m", "prompt": "Once" })
    );
    assert!(client.complete(&[]).unwrap().is_empty());

    let turns = vec![Message::new("user", "Hi")];
    let error = client
        .complete(&[Request::new("a"), Request::new(turns)])
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("request 2 of 2: a conversation needs `api` = \"chat\"")
    );
    assert_eq!(
        server.asked().len(),
        1,
        "nothing is asked when a request is wrong"
    );
}

#[test]
fn answers_keep_their_order_and_no_more_than_parallel_are_under_way() {
    let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = running.clone();
    let server = Server::start(move |asked| {
        let (now, most) = &*seen;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Later ones are answered sooner.
        let number: u64 = asked.prompt().parse().unwrap();
        thread::sleep(Duration::from_millis(5 + (number * 37) % 23));
        now.fetch_sub(1, Ordering::SeqCst);
        echo(asked)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    endpoint.parallel = NonZeroUsize::new(3).unwrap();
    let client = Client::open(&endpoint, folder.path()).unwrap();
    // The limit is the client's, however many threads share it.
    thread::scope(|scope| {
        for part in 0..2 {
            let client = &client;
            scope.spawn(move || {
                let numbers = (0..40).map(|number| (part * 40 + number).to_string());
                let requests: Vec<_> = numbers.map(Request::new).collect();
                let answers = client.complete(&requests).unwrap();
                for (number, answer) in answers.iter().enumerate() {
                    assert_eq!(answer, &[format!("{}/0", part * 40 + number)]);
                }
            });
        }
    });
    assert_eq!(server.asked().len(), 80);
    assert_eq!(running.1.load(Ordering::SeqCst), 3);
}

#[test]
fn the_rate_limit_is_held() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    // One in 100 ms.
    endpoint.requests_per_minute = NonZeroU32::new(600);
    endpoint.parallel = NonZeroUsize::new(8).unwrap();
    let client = Client::open(&endpoint, folder.path()).unwrap();
    let requests: Vec<_> = (0..11).map(|i| Request::new(i.to_string())).collect();
    client.complete(&requests).unwrap();
    let mut times: Vec<_> = server.asked().iter().map(|asked| asked.at).collect();
    times.sort();
    let whole = times[10] - times[0];
    // What arrives may be late, so that two are closer than what was sent.
    assert!(whole >= Duration::from_millis(900), "{whole:?}");
    assert!(whole < Duration::from_secs(5), "{whole:?}");
    let close = times
        .windows(2)
        .filter(|pair| pair[1] - pair[0] < Duration::from_millis(50));
    assert!(close.count() <= 2);
}

#[test]
fn any_text_survives_the_way_there_and_back() {
    let texts = [
        "",
        " ",
        "e\u{301} \u{e9}",
        "\u{1f469}\u{200d}\u{1f52c}",
        "漢字かな",
        "שלום",
        "a\"b\\c\n\r\t\u{0}\u{7f}",
        "\u{feff}\u{fffd}",
        "</s><|im_end|>",
    ];
    let server = Server::start(|asked| said(&[asked.prompt().to_owned()]));
    let folder = tempfile::tempdir().unwrap();
    for asked in [texts.len(), 0] {
        let client = server.client(folder.path());
        let answers = client.complete(&texts.map(Request::new)).unwrap();
        assert_eq!(answers, texts.map(|text| vec![text.to_owned()]));
        assert_eq!(client.statistics().asked, asked as u64);
    }
}

#[test]
fn large_answers_are_taken_up_to_a_bound() {
    // `said` says each text twice.
    const MIB: usize = 1 << 20;
    let server = Server::start(|asked| match asked.prompt() {
        "large" => said(&["x".repeat(15 * MIB)]),
        "larger" => said(&["x".repeat(17 * MIB)]),
        // Without an end, and without a length.
        _ => {
            let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            bytes.resize(200 * MIB, b' ');
            Reply::Raw(bytes)
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let client = server.client(folder.path());
    let answer = client.complete(&[Request::new("large")]).unwrap();
    assert_eq!(answer[0][0].len(), 15 * MIB);
    for prompt in ["larger", "endless"] {
        let error = client.complete(&[Request::new(prompt)]).unwrap_err();
        assert!(
            error.to_string().ends_with("is larger than 32 MiB"),
            "{error}"
        );
    }
    assert_eq!(client.statistics().retried, 0);
}
