//! Files of the Hugging Face hub. Endpoint and token are hf-hub's to find (`HF_ENDPOINT`, `HF_TOKEN`), and
//! its own cache is not used, so that a file is on disk once.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use futures::StreamExt;
use hf_hub::repository::{RepoSibling, RepoType};
use hf_hub::{HFClient, HFError, HFRepository};
use tokio::time::timeout;

use super::entry::{Hub, HubKind};
use super::fetch::{Progress, here};

/// For a question, or for the two before the first byte of a file, each with a connection of its own.
const ANSWER: Duration = Duration::from_secs(20);
const CHUNK: Duration = Duration::from_secs(60);

/// One attempt to bring `part` to `size` bytes, from where an earlier one stopped.
pub(super) fn attempt(
    endpoint: Option<&str>,
    hub: &Hub,
    part: &Path,
    size: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let (owner, name) = owner_and_name(&hub.repo)?;
    let (done, arrivals) = channel();
    let download = async move |client: HFClient| match hub.kind {
        HubKind::Model => stream(&client.model(owner, name), hub, part, size, &done).await,
        HubKind::Dataset => stream(&client.dataset(owner, name), hub, part, size, &done).await,
    };
    talk(endpoint, download, || {
        for done in arrivals {
            progress(Progress::Bytes { done, total: size });
        }
    })
}

/// The commit that a revision of a repository stands for now.
pub(super) fn commit(
    endpoint: Option<&str>,
    kind: HubKind,
    repo: &str,
    revision: &str,
) -> Result<String> {
    let (owner, name) = owner_and_name(repo)?;
    let question = async |client: HFClient| match kind {
        HubKind::Model => {
            let model = client.model(owner, name);
            let answer = model.info().revision(revision).send();
            let info = timeout(ANSWER, answer).await.context("no answer")??;
            info.sha.context("the hub names no commit")
        }
        HubKind::Dataset => {
            let dataset = client.dataset(owner, name);
            let answer = dataset.info().revision(revision).send();
            let info = timeout(ANSWER, answer).await.context("no answer")??;
            info.sha.context("the hub names no commit")
        }
    };
    talk(endpoint, question, || ())
}

/// The files of a repository at a commit, with sizes and, where the hub has them, digests.
pub(super) fn files(
    endpoint: Option<&str>,
    kind: HubKind,
    repo: &str,
    commit: &str,
) -> Result<Vec<RepoSibling>> {
    let (owner, name) = owner_and_name(repo)?;
    // hf-hub has no option for `blobs`, without which the hub leaves out sizes and digests, and its listing
    // of the tree reads no digests; what follows the name here becomes part of the address.
    let name = format!("{name}/revision/{commit}?blobs=true");
    let question = async |client: HFClient| {
        let files = match kind {
            HubKind::Model => {
                let model = client.model(owner, name);
                let answer = model.info().send();
                timeout(ANSWER, answer)
                    .await
                    .context("no answer")??
                    .siblings
            }
            HubKind::Dataset => {
                let dataset = client.dataset(owner, name);
                let answer = dataset.info().send();
                timeout(ANSWER, answer)
                    .await
                    .context("no answer")??
                    .siblings
            }
        };
        files.context("the hub lists no files")
    };
    talk(endpoint, question, || ())
}

fn owner_and_name(repo: &str) -> Result<(&str, &str)> {
    repo.split_once('/')
        .with_context(|| format!("`{repo}`: no owner"))
}

/// Talks with the hub at `endpoint`, or at hf-hub's own, on a thread of its own, since the caller may be in a
/// runtime already and one cannot start in another. `meanwhile` runs on this thread.
fn talk<T: Send>(
    endpoint: Option<&str>,
    conversation: impl AsyncFnOnce(HFClient) -> Result<T> + Send,
    meanwhile: impl FnOnce(),
) -> Result<T> {
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut client = HFClient::builder().retry_max_attempts(1);
                if let Some(endpoint) = endpoint {
                    client = client.endpoint(endpoint);
                }
                conversation(client.build()?).await.map_err(shortened)
            })
        });
        meanwhile();
        outcome
            .join()
            .map_err(|_| anyhow!("the hub's client panicked"))?
    })
}

/// Without what hf-hub adds to a transport error: the address and the cause, both of which it has already.
fn shortened(error: Error) -> Error {
    match error.downcast() {
        Ok(HFError::Request { source, .. }) => source.into(),
        Ok(other) => other.into(),
        Err(error) => error,
    }
}

async fn stream<T: RepoType>(
    repository: &HFRepository<T>,
    hub: &Hub,
    part: &Path,
    size: u64,
    arrived: &Sender<u64>,
) -> Result<()> {
    let mut done = here(part);
    let answer = repository
        .download_file_stream()
        .filename(hub.file.clone())
        .revision(hub.revision.clone())
        .range(done..size)
        .send();
    let (_, mut chunks) = timeout(ANSWER, answer).await.context("no answer")??;
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(part)
        .with_context(|| format!("writing `{}`", part.display()))?;
    while let Some(chunk) = timeout(CHUNK, chunks.next())
        .await
        .context("the transfer stopped")?
    {
        let chunk = chunk?;
        file.write_all(&chunk)
            .with_context(|| format!("writing `{}`", part.display()))?;
        done += chunk.len() as u64;
        // The receiver outlives this task, and without one there is nobody to tell.
        let _ = arrived.send(done);
    }
    Ok(())
}
