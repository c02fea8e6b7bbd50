//! The key goes to the endpoint and nowhere else.

use std::fs;
use std::process::Command;

use folkmoot_endpoint::{Client, Endpoint, Request};
use serde_json::json;

use crate::cache::files;
use crate::server::{Reply, Server, echo, refuse, said};

const KEY: &str = "sk-\"Secret\\0123456789/abcdef";
/// Set in the process that a test starts of itself, as a process cannot safely change its own environment.
const CHILD: &str = "FOLKMOOT_TEST_CHILD";

#[test]
fn nothing_that_is_shown_or_kept_holds_the_key() {
    // A server that repeats what it got wherever it can.
    let server = Server::start(|asked| {
        let key = asked.headers["authorization"].clone();
        match asked.prompt() {
            "fine" => {
                let Reply::Json(status, headers, mut body) = said(&[format!("You sent {key}")])
                else {
                    panic!()
                };
                body["debug"] = json!({ "headers": { (key.as_str()): [&key] } });
                Reply::Json(status, headers, body)
            }
            "wrong" => refuse(
                401,
                &format!("Incorrect API key provided: {key}. It is wrong"),
            ),
            "masked" => refuse(401, "Incorrect API key provided: sk-\"Sec*******cdef."),
            "deep" => Reply::Json(400, vec![], json!({ "detail": [{ "headers": key }] })),
            "page" => {
                let page = format!("HTTP/1.1 403 No\r\n\r\n<p>{}{key}</p>", "x".repeat(490));
                Reply::Raw(page.into_bytes())
            }
            "no JSON" => Reply::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{key}").into_bytes()),
            "status" => Reply::Raw(format!("HTTP/1.1 {key}\r\n\r\n").into_bytes()),
            _ => {
                let to = format!("http://127.0.0.1:1/{}", key.replace(['"', '\\', ' '], ""));
                Reply::Json(302, vec![("Location", to)], json!({}))
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = server.endpoint();
    endpoint.retries = 0;
    let client = Client::open_with_key(&endpoint, folder.path(), Some(format!("{KEY}\n"))).unwrap();
    let answers = client.complete(&[Request::new("fine")]).unwrap();
    assert_eq!(answers, [["You sent Bearer [key]"]]);
    assert_eq!(
        server.asked()[0].headers["authorization"],
        format!("Bearer {KEY}")
    );

    let mut shown = vec![format!("{client:?}"), format!("{:?}", client.statistics())];
    for prompt in [
        "wrong",
        "masked",
        "deep",
        "page",
        "no JSON",
        "status",
        "elsewhere",
    ] {
        let error = client.complete(&[Request::new(prompt)]).unwrap_err();
        if prompt == "wrong" {
            let part = "request 1 of 1: the server said (401 Unauthorized): Incorrect API key provided: Bearer [key]. It";
            assert!(error.to_string().contains(part), "{error}");
        }
        shown.extend([
            format!("{error:?}"),
            format!("{error:#?}"),
            format!("{error:#}"),
        ]);
    }
    let files = files(folder.path());
    assert_eq!(files.len(), 1);
    shown.extend(files.iter().map(|file| fs::read_to_string(file).unwrap()));
    shown.extend(files.iter().map(|file| file.display().to_string()));
    for text in shown {
        for part in ["Secret", "sk-\"", "cdef"] {
            // The address that a redirect names is the server's; only its quotes were taken out here.
            let part = if text.contains("redirects") {
                KEY
            } else {
                part
            };
            assert!(!text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_key_in_the_wrong_place_is_refused_before_it_is_kept() {
    let server = Server::start(echo);
    let folder = tempfile::tempdir().unwrap();
    let key = "sk-0123456789abcdef";
    let open =
        |endpoint: &Endpoint| Client::open_with_key(endpoint, folder.path(), Some(key.into()));
    let mut endpoint = server.endpoint();
    endpoint.extra.insert("user".into(), key.into());
    let error = format!("{:#}", open(&endpoint).unwrap_err());
    assert!(
        error.contains("settings hold the key") && !error.contains(key),
        "{error}"
    );

    let client = open(&server.endpoint()).unwrap();
    let error = client
        .complete(&[Request::new(format!("My key is {key}"))])
        .unwrap_err();
    assert!(error.to_string().contains("it holds the key") && !error.to_string().contains(key));
    assert!(server.asked().is_empty() && files(folder.path()).is_empty());
}

#[test]
fn a_variable_that_is_named_has_to_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = Endpoint::new("http://127.0.0.1:1/v1", "m");
    endpoint.key_env = Some("FOLKMOOT_TEST_UNSET".into());
    let error = Client::open(&endpoint, folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("environment variable `FOLKMOOT_TEST_UNSET`, which is not set"),
        "{error}"
    );
}

#[test]
fn the_environment_has_the_key_and_proxies_are_not_for_this_machine() {
    let server = Server::start(echo);
    for (named, values, sent) in [
        ("", vec![], None),
        (
            "",
            vec![("OPENAI_API_KEY", "sk-0123456789")],
            Some("Bearer sk-0123456789"),
        ),
        (
            "OTHER",
            vec![("OPENAI_API_KEY", "no"), ("OTHER", "token")],
            Some("Bearer token"),
        ),
        ("-", vec![("OPENAI_API_KEY", "no")], None),
    ] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "key::child", "--nocapture"]);
        child
            .env_remove("OPENAI_API_KEY")
            .env_remove("NO_PROXY")
            .env_remove("no_proxy");
        child
            .env(CHILD, format!("{} {named}", server.url()))
            .envs(values);
        for proxy in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "http_proxy"] {
            // Nobody listens there.
            child.env(proxy, "http://127.0.0.1:1");
        }
        let output = child.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let asked = server.asked();
        let header = asked.last().unwrap().headers.get("authorization");
        assert_eq!(header.map(String::as_str), sent, "{named}");
    }
    assert_eq!(server.asked().len(), 4);
}

/// Does nothing but in the process that the test above starts.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (url, named) = told.split_once(' ').unwrap();
    let mut endpoint = Endpoint::new(url, "m");
    endpoint.key_env = match named {
        "" => None,
        "-" => Some(String::new()),
        named => Some(named.into()),
    };
    endpoint.retries = 0;
    let folder = tempfile::tempdir().unwrap();
    let client = Client::open(&endpoint, folder.path()).unwrap();
    assert_eq!(client.complete(&[Request::new("Hi")]).unwrap(), [["Hi/0"]]);

    // An endpoint elsewhere is reached through the proxy, which is not there.
    endpoint.url = "http://192.0.2.1/v1".into();
    let client = Client::open(&endpoint, folder.path()).unwrap();
    let error = client
        .complete(&[Request::new("Hi")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("refused"), "{error}");
}
