//! Downloads over HTTP that go on where an earlier attempt stopped. It does not look at what it gets.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use ureq::http::header::{CONTENT_RANGE, RANGE};

use super::fetch::{Progress, here};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);
/// For one attempt, not for the file: what it brought is kept.
const BODY: Duration = Duration::from_secs(600);

/// One attempt to bring `part` to `size` bytes, from where an earlier one stopped.
pub(super) fn attempt(
    url: &str,
    part: &Path,
    size: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(ANSWER))
        .timeout_recv_body(Some(BODY))
        // Ranges count the bytes of what is sent, so nothing may compress it on the way.
        .accept_encoding("identity")
        .build()
        .new_agent();
    let mut done = here(part);
    let mut request = agent.get(url);
    if done > 0 {
        request = request.header(RANGE, format!("bytes={done}-"));
    }
    let mut response = request.call()?;
    let starts = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned);
    match response.status().as_u16() {
        206 if starts
            .as_deref()
            .is_some_and(|s| s.starts_with(&format!("bytes {done}-"))) => {}
        206 => bail!(
            "asked for the bytes from {done} on, got `{}`",
            starts.unwrap_or_default()
        ),
        // A server that knows no ranges sends the file from its start.
        _ => done = 0,
    }
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(part)
        .and_then(|file| file.set_len(done).map(|()| file))
        .with_context(|| format!("writing `{}`", part.display()))?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;

    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = body.read(&mut buffer).map_err(|e| anyhow!("{e}"))?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..read])
            .with_context(|| format!("writing `{}`", part.display()))?;
        done += read as u64;
        progress(Progress::Bytes { done, total: size });
        if done > size {
            return Ok(());
        }
    }
}
