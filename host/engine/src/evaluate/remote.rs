//! An endpoint that speaks OpenAI's interface as the one that is asked, or as the judge.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_endpoint::{Api, Client, Endpoint, Message, Request, Statistics};
use folkmoot_plugin::{ChatMessage, Generation, Prompt, Reply};

use super::panel::{Asked, Judge, Judged, Subject, What};

/// A model behind an endpoint.
pub struct Remote(Client);

impl Remote {
    /// Reads the key from the environment; answers are kept in the folder `cache`.
    pub fn open(endpoint: &Endpoint, cache: &Path) -> Result<Self> {
        let client = Client::open(endpoint, cache);
        let client = client.with_context(|| format!("endpoint `{}`", endpoint.url))?;
        Ok(Self(client))
    }

    /// Who it is, for a record: everything but the key.
    pub fn endpoint(&self) -> &Endpoint {
        self.0.endpoint()
    }

    /// What was asked, and what the cache answered.
    pub fn statistics(&self) -> Statistics {
        self.0.statistics()
    }
}

/// Of a text the request of a single user's turn, unless the endpoint goes on with texts.
fn request(prompt: &Prompt, how: &Generation, api: Api) -> Result<Request> {
    ensure!(
        how.top_k.is_none(),
        "the metric draws from the likeliest few tokens (`top_k`), which is no part of OpenAI's interface"
    );
    let request = match (prompt, api) {
        (Prompt::Text(text), _) => Request::new(text.as_str()),
        (Prompt::Chat(messages), Api::Chat) => Request::new(conversation(messages)),
        (Prompt::Chat(_), Api::Completions) => bail!(
            "the metric asks in conversations, and the endpoint has `api = \"completions\"`\n\nhint: \"chat\""
        ),
    };
    Ok(with(request, how))
}

fn conversation(messages: &[ChatMessage]) -> Vec<Message> {
    let message = |own: &ChatMessage| Message::new(own.role.as_str(), own.content.as_str());
    messages.iter().map(message).collect()
}

fn with(request: Request, how: &Generation) -> Request {
    Request {
        max_tokens: Some(how.max_tokens),
        temperature: Some(how.temperature),
        top_p: how.top_p,
        stop: how.stop.clone(),
        n: how.samples,
        ..request
    }
}

impl Subject for Remote {
    fn answer(&self, asked: &[Asked]) -> Result<Vec<Reply>> {
        let mut replies = vec![Reply::default(); asked.len()];
        let (mut texts, mut pairs) = (Vec::new(), Vec::new());
        for (place, asked) in asked.iter().enumerate() {
            match asked.what {
                What::Generate(prompt, how) => {
                    texts.push((place, request(prompt, how, self.0.endpoint().api)?));
                }
                What::Likelihood(context, continuation) => {
                    pairs.push((place, (context, continuation)));
                }
            }
        }
        let (places, requests): (Vec<usize>, Vec<Request>) = texts.into_iter().unzip();
        for (place, texts) in places.into_iter().zip(self.0.complete(&requests)?) {
            replies[place].texts = texts;
        }
        let (places, pairs): (Vec<usize>, Vec<(&str, &str)>) = pairs.into_iter().unzip();
        if pairs.is_empty() {
            return Ok(replies);
        }
        for (place, own) in places.into_iter().zip(self.0.log_likelihoods(&pairs)?) {
            replies[place] = Reply {
                log_likelihood: own.sum,
                tokens: own.tokens as u32,
                greedy: own.greedy,
                ..Reply::default()
            };
        }
        Ok(replies)
    }
}

impl Judge for Remote {
    fn judge(&self, questions: &[Judged]) -> Result<Vec<Vec<String>>> {
        let requests = questions.iter().map(|own| {
            let prompt = Prompt::Chat(own.messages.to_vec());
            request(&prompt, own.how, self.0.endpoint().api)
        });
        self.0.complete(&requests.collect::<Result<Vec<_>>>()?)
    }
}
