//! A client for endpoints that speak OpenAI's HTTP interface (OpenAI, vLLM, llama.cpp, Ollama, TGI, ...), as
//! the judge or as the subject of an evaluation.
//!
//! ```no_run
//! use folkmoot_endpoint::{Client, Endpoint, Request};
//!
//! # fn main() -> anyhow::Result<()> {
//! let endpoint: Endpoint = serde_json::from_str(
//!     r#"{ "url": "http://127.0.0.1:8000/v1", "model": "judge", "requests_per_minute": 600 }"#,
//! )?;
//! let client = Client::open(&endpoint, "cache/answers".as_ref())?;
//! let request = Request {
//!     max_tokens: Some(16),
//!     temperature: Some(0.0),
//!     ..Request::new("Which is larger, 9.9 or 9.11?")
//! };
//! let answers = client.complete(&[request])?;
//! println!("{} ({} asked)", answers[0][0], client.statistics().asked);
//! # Ok(())
//! # }
//! ```
//!
//! The calls block; `parallel` requests are under way at once, over all threads that share a client. Answers come
//! in the order of the requests.
//!
//! **Failures.** Connection errors, time-outs, answers that break off or are no JSON, and the statuses 408, 409,
//! 429 and 5xx are tried again `retries` times: after 0.5 s, 1 s, 2 s, ... up to 60 s, or when `Retry-After` says
//! (up to 10 minutes; all requests wait then). Everything else ends the call with a [`RequestError`] that has the
//! endpoint, the place of the request and the server's own words. What was answered by then stays in the cache, so
//! that a second try asks the rest only.
//!
//! **Cache.** One JSON file per answer, with all that was asked, in a folder named by the first two digits of the
//! SHA-256 digest of endpoint, model, interface, body and draw; nothing of it depends on the key. Requests
//! with `temperature` 0 that are identical are asked once. Others are different draws of one distribution: the
//! second of two identical requests in one call is draw 1, and so on, and a `seed` in `extra` is raised by the draw.
//! A file that cannot be read or does not fit its request is asked again and overwritten ([`Statistics::damaged`]).
//!
//! **The key** is read from the environment, sent in the `Authorization` header and nowhere else. It is taken out of
//! what servers say before that is shown or stored. Redirects are not followed, so it goes to no other host.
//!
//! **Proxies** are those of `ALL_PROXY`, `HTTPS_PROXY` or `HTTP_PROXY` (the first that is set; also in lower case),
//! less the hosts in `NO_PROXY`. Endpoints on this machine (`localhost`, 127.0.0.0/8, `::1`, `0.0.0.0`) are never
//! reached through a proxy.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that panics has failed")
)]

mod body;
mod cache;
mod client;
mod http;
mod key;
mod likelihood;
mod pace;
mod request;
mod settings;
mod wait;

pub use client::{Client, RequestError, Statistics};
pub use likelihood::LogLikelihood;
pub use request::{Message, Prompt, Request};
pub use settings::{Api, Endpoint};
