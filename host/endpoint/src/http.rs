//! One attempt: a request out, an answer or a reason in.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use ureq::{Agent, Body};

use crate::body::{complaint, excerpt};
use crate::key::Key;
use crate::settings::{Endpoint, is_loopback};
use crate::wait::{LONGEST, retry_after};

/// An answer with more bytes than this is none.
const LARGEST: u64 = 32 << 20;
/// Of what a server says about a failure, so much is read.
const COMPLAINT: u64 = 64 << 10;

/// The way to an endpoint.
pub(crate) struct Wire {
    agent: Agent,
    base: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    key: Key,
}

/// Why there is no answer.
pub(crate) enum Refusal {
    /// The next attempt may have one.
    Again {
        cause: String,
        /// As the server asks.
        after: Option<Duration>,
    },
    Never(String),
}

impl Refusal {
    fn again(cause: impl Into<String>) -> Self {
        Self::Again {
            cause: cause.into(),
            after: None,
        }
    }
}

impl Wire {
    pub(crate) fn new(endpoint: &Endpoint, key: Key) -> Result<Self> {
        let (base, uri) = endpoint.base()?;
        let parallel = endpoint.parallel.get();
        let mut config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(endpoint.timeout.get())))
            .http_status_as_error(false)
            // A redirect would carry the key to where the user has not sent it, and a POST is not redirected anyway.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(parallel)
            .max_idle_connections_per_host(parallel)
            .user_agent(concat!("folkmoot/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&uri) {
            config = config.proxy(None);
        }
        let mut headers = endpoint
            .checked_headers()
            .context("the endpoint's settings")?;
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        headers.extend(key.header().map(|value| (AUTHORIZATION, value)));
        Ok(Self {
            agent: config.build().new_agent(),
            base: base.to_owned(),
            headers,
            key,
        })
    }

    /// Sends `body` to `path`. Nothing that comes back holds the key.
    pub(crate) fn post(&self, path: &str, body: &str) -> Result<Value, Refusal> {
        let answer = self.attempt(path, body);
        let hide = |cause: String| excerpt(&self.key.hide(&cause));
        match answer {
            Ok(mut answer) => {
                self.key.hide_in(&mut answer);
                Ok(answer)
            }
            Err(Refusal::Never(cause)) => Err(Refusal::Never(hide(cause))),
            Err(Refusal::Again { cause, after }) => Err(Refusal::Again {
                cause: hide(cause),
                after,
            }),
        }
    }

    fn attempt(&self, path: &str, body: &str) -> Result<Value, Refusal> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send(body).map_err(broken)?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            // What is missing of a complaint changes nothing.
            let (said, _) = read(body, COMPLAINT);
            return Err(refused(head.status, &head.headers, &said));
        }
        let (text, end) = read(body, LARGEST + 1);
        end.map_err(broken)?;
        if text.len() as u64 > LARGEST {
            let most = LARGEST >> 20;
            return Err(Refusal::Never(format!(
                "the server's answer is larger than {most} MiB"
            )));
        }
        let answer: Value = serde_json::from_slice(&text).map_err(|error| {
            let text = String::from_utf8_lossy(&text);
            Refusal::again(format!("the server's answer is no JSON ({error}): {text}"))
        })?;
        // Some that pass requests on answer 200 and put the failure inside.
        match answer.get("error") {
            None | Some(Value::Null) => Ok(answer),
            Some(error) => {
                let code = error.get("code").and_then(Value::as_u64);
                let code = code.and_then(|code| u16::try_from(code).ok());
                let status = code.and_then(|code| StatusCode::from_u16(code).ok());
                let status = status.unwrap_or(head.status);
                Err(refused(status, &head.headers, &text))
            }
        }
    }
}

/// The first `most` bytes of a body, and whether reading them went well.
fn read(body: Body, most: u64) -> (Vec<u8>, Result<(), ureq::Error>) {
    let mut bytes = Vec::new();
    let body = body.into_with_config().limit(u64::MAX).reader();
    let end = body.take(most).read_to_end(&mut bytes);
    (bytes, end.map(drop).map_err(ureq::Error::from))
}

fn broken(error: ureq::Error) -> Refusal {
    use ureq::Error::{
        BadUri, Http, InvalidProxyUrl, Io, LargeResponseHeader, Pem, Rustls, Timeout, Tls,
        TlsRequired,
    };
    match error {
        // What TLS finds wrong with a certificate comes as invalid data.
        Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Refusal::Never(format!("the connection failed: {error}"))
        }
        Io(error) => Refusal::again(format!("the connection failed: {error}")),
        Timeout(_) => Refusal::again("there was no whole answer within `timeout`"),
        BadUri(_)
        | Http(_)
        | InvalidProxyUrl
        | LargeResponseHeader(..)
        | Pem(_)
        | Rustls(_)
        | Tls(_)
        | TlsRequired => Refusal::Never(error.to_string()),
        _ => Refusal::again(format!("the connection failed: {error}")),
    }
}

/// What a status means, with what the server says about it.
fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if status.is_redirection() {
        return Refusal::Never(redirected(status, header(LOCATION)));
    }
    let cause = format!("the server said ({status}): {}", complaint(body));
    let may_pass = matches!(status.as_u16(), 408 | 409 | 429 | 500..=599);
    if !may_pass || is_spent(body) {
        return Refusal::Never(cause);
    }
    let after = header(RETRY_AFTER).and_then(|value| retry_after(value, header(DATE)));
    match after.filter(|after| *after > LONGEST) {
        Some(after) => Refusal::Never(format!(
            "{cause} (it asks to wait {} s, which is too long)",
            after.as_secs()
        )),
        None => Refusal::Again { cause, after },
    }
}

/// OpenAI answers 429 as well when an account has nothing left, which does not pass.
fn is_spent(body: &[u8]) -> bool {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    ["/error/code", "/error/type"]
        .iter()
        .any(|place| body.pointer(place) == Some(&Value::from("insufficient_quota")))
}

fn redirected(status: StatusCode, to: Option<&str>) -> String {
    // Without the query, which is where secrets are.
    let to = to.and_then(|to| {
        let uri: Uri = to.parse().ok()?;
        let host = uri.host().map(str::to_owned).unwrap_or_default();
        let port = uri
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let scheme = uri
            .scheme_str()
            .map(|s| format!("{s}://"))
            .unwrap_or_default();
        Some(format!("`{scheme}{host}{port}{}`", uri.path()))
    });
    format!(
        "the server redirects ({status}) to {}, which is not followed: `url` has to be the address itself",
        to.unwrap_or_else(|| "somewhere".into())
    )
}
