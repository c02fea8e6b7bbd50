//! What a user says about an endpoint.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ureq::http::{HeaderName, HeaderValue, Uri};

/// Holds the key unless `key_env` says otherwise.
pub(crate) const KEY_ENV: &str = "OPENAI_API_KEY";

/// Fields of a body that say what the answer will look like: `extra` cannot change them.
const OURS: [&str; 7] = [
    "echo", "logprobs", "messages", "model", "n", "prompt", "stream",
];

/// Parts of the names of headers that carry secrets. Headers are shown and kept; a key is not.
const SECRET: [&str; 5] = ["auth", "cookie", "key", "secret", "token"];

/// A server with OpenAI's HTTP interface, and how to ask it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where the interface begins, mostly with the version: `http://127.0.0.1:8000/v1`.
    pub url: String,
    /// The model's name on that server.
    pub model: String,
    /// The environment variable that holds the key. Where it is given, the variable has to be set; else the key is
    /// that of `OPENAI_API_KEY` if that is set, and none otherwise. With "" no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// Which interface is asked.
    #[serde(default)]
    pub api: Api,
    /// At most this many requests a minute, evenly spaced; those that are tried again count. No limit by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Requests that are under way at once (4).
    #[serde(default = "parallel")]
    pub parallel: NonZeroUsize,
    /// How often a request is tried again after a failure that may pass (5).
    #[serde(default = "retries")]
    pub retries: u32,
    /// Seconds until an attempt counts as failed, from connecting to the answer's last byte (120).
    #[serde(default = "timeout")]
    pub timeout: NonZeroU64,
    /// Sent with every request. Not for secrets: records show them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Fields laid over the body of every request: `{ seed = 1 }`. They win over those of the request, and null takes
    /// a field away. Where `max_completion_tokens` is given, `max_tokens` is not sent. Log-likelihoods keep their own
    /// `max_tokens` and `temperature`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// The two ways to ask for text.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// `/chat/completions`: the server applies the model's template to a conversation.
    #[default]
    Chat,
    /// `/completions`: the model goes on with a text. Log-likelihoods need this one.
    Completions,
}

impl Api {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completions => "/completions",
        }
    }
}

fn parallel() -> NonZeroUsize {
    const { NonZeroUsize::new(4).unwrap() }
}

fn retries() -> u32 {
    5
}

fn timeout() -> NonZeroU64 {
    const { NonZeroU64::new(120).unwrap() }
}

impl Endpoint {
    /// The endpoint at `url` with every other setting at its default.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            key_env: None,
            api: Api::default(),
            requests_per_minute: None,
            parallel: parallel(),
            retries: retries(),
            timeout: timeout(),
            headers: BTreeMap::new(),
            extra: Map::new(),
        }
    }

    /// Finds what is wrong with the settings, without the network and the environment.
    pub fn check(&self) -> Result<()> {
        self.base()?;
        ensure!(!self.model.is_empty(), "`model` is empty");
        ensure!(
            self.timeout.get() <= 86_400,
            "`timeout` is over a day (86400 seconds)"
        );
        ensure!(self.parallel.get() <= 1024, "`parallel` is over 1024");
        self.checked_headers()?;
        if let Some(field) = OURS.iter().find(|field| self.extra.contains_key(**field)) {
            bail!("`extra` cannot set `{field}`");
        }
        Ok(())
    }

    /// `url` without a slash at its end, and where it leads.
    pub(crate) fn base(&self) -> Result<(&str, Uri)> {
        let base = self.url.trim_end_matches('/');
        let wrong = "`url` has to be like http://127.0.0.1:8000/v1";
        let uri: Uri = base.parse().with_context(|| wrong.to_owned())?;
        ensure!(
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|h| !h.is_empty()),
            "{wrong}, with http:// or https:// and a host"
        );
        // Records and errors show the address.
        ensure!(
            !uri.authority().is_some_and(|a| a.as_str().contains('@')),
            "`url` must hold no user name and no password: a key is read from the variable that `key_env` names"
        );
        ensure!(
            uri.query().is_none() && !base.contains('#'),
            "{wrong}, with nothing after `?` or `#`"
        );
        if let Some(start) = base
            .strip_suffix("/completions")
            .map(|b| b.strip_suffix("/chat").unwrap_or(b))
        {
            bail!("`url` is only the start of the address: `{start}`");
        }
        Ok((base, uri))
    }

    pub(crate) fn checked_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let own = [
            "content-type",
            "content-length",
            "transfer-encoding",
            "host",
        ];
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let parsed: HeaderName = name
                .parse()
                .with_context(|| format!("`headers`: `{name}` is no name of a header"))?;
            ensure!(
                !SECRET.iter().any(|part| parsed.as_str().contains(part)),
                "`headers` are no place for secrets such as `{name}`: the key is read from the variable that \
                 `key_env` names"
            );
            ensure!(
                !own.contains(&parsed.as_str()),
                "`headers` cannot set `{name}`"
            );
            let value = value
                .parse()
                .with_context(|| format!("`headers`: the value of `{name}` cannot be sent"))?;
            headers.push((parsed, value));
        }
        Ok(headers)
    }
}

/// Whether an address leads to this machine, where no proxy stands between.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<std::net::IpAddr>() {
        return address.to_canonical().is_loopback() || address.is_unspecified();
    }
    let name = bare.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_documented_and_unknown_fields_are_refused() {
        let endpoint: Endpoint =
            toml::from_str("url = \"http://localhost:1/v1\"\nmodel = \"m\"").unwrap();
        assert_eq!(endpoint, Endpoint::new("http://localhost:1/v1", "m"));
        let (parallel, timeout) = (endpoint.parallel.get(), endpoint.timeout.get());
        assert_eq!((parallel, endpoint.retries, timeout), (4, 5, 120));
        for wrong in [
            "keyenv = 1",
            "parallel = 0",
            "api = \"chats\"",
            "timeout = 0",
        ] {
            let text = format!("url = \"http://localhost:1/v1\"\nmodel = \"m\"\n{wrong}");
            toml::from_str::<Endpoint>(&text).unwrap_err();
        }
        endpoint.check().unwrap();
    }

    #[test]
    fn addresses_are_checked() {
        for (url, part) in [
            ("", "`url` has to be like"),
            ("127.0.0.1:8000/v1", "`url` has to be like"),
            ("ftp://host/v1", "with http:// or https://"),
            ("http://me:secret@host/v1", "no user name"),
            ("http://host/v1?version=2", "nothing after"),
            ("http://host/v1/chat/completions/", "`http://host/v1`"),
            ("http://host/v1/completions", "`http://host/v1`"),
        ] {
            let error = Endpoint::new(url, "m").check().unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("secret"), "{text}");
        }
        for url in ["https://api.example.com", "http://[::1]:8000/v1/"] {
            Endpoint::new(url, "m").check().unwrap();
        }
    }

    #[test]
    fn headers_and_extra_cannot_replace_what_is_ours() {
        let mut endpoint = Endpoint::new("http://localhost/v1", "m");
        for name in ["Authorization", "X-Api-Key", "Cookie", "Host", "a b"] {
            endpoint.headers = BTreeMap::from([(name.to_owned(), "v".to_owned())]);
            let error = format!("{:#}", endpoint.check().unwrap_err());
            assert!(error.contains(name), "{error}");
        }
        endpoint.headers = BTreeMap::from([("OpenAI-Organization".into(), "folk".into())]);
        endpoint.check().unwrap();
        for field in OURS {
            endpoint.extra = Map::from_iter([(field.to_owned(), Value::Null)]);
            endpoint.check().unwrap_err();
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (url, local) in [
            ("http://localhost/v1", true),
            ("http://LOCALHOST:80", true),
            ("http://127.8.0.1", true),
            ("http://[::1]:9", true),
            ("http://[::ffff:127.0.0.1]:9", true),
            ("http://0.0.0.0:8000", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1.example.com", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), local, "{url}");
        }
    }
}
