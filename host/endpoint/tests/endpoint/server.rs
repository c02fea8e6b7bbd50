//! A small HTTP server whose answers a test decides, and which remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use folkmoot_endpoint::{Client, Endpoint};
use serde_json::{Value, json};

/// What came in.
#[derive(Clone)]
pub(crate) struct Asked {
    pub at: Instant,
    /// How many came before.
    pub count: usize,
    pub path: String,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Asked {
    /// The prompt, or the last message.
    pub(crate) fn prompt(&self) -> &str {
        let message = self.body["messages"].as_array().and_then(|m| m.last());
        let prompt = message.map_or(&self.body["prompt"], |message| &message["content"]);
        prompt.as_str().unwrap()
    }

    pub(crate) fn n(&self) -> usize {
        self.body["n"]
            .as_u64()
            .map_or(1, |n| usize::try_from(n).unwrap())
    }
}

/// What goes out.
pub(crate) enum Reply {
    Json(u16, Vec<(&'static str, String)>, Value),
    /// Bytes as they are; then the connection is closed.
    Raw(Vec<u8>),
    /// Nothing for so long; then the connection is closed.
    Silence(Duration),
    /// Some bytes, and then silence.
    Stalled(Vec<u8>, Duration),
}

/// An answer with these texts, whichever interface was asked.
pub(crate) fn said(texts: &[String]) -> Reply {
    let choices = texts.iter().enumerate().map(|(index, text)| {
        json!({ "index": index, "text": text, "message": { "role": "assistant", "content": text } })
    });
    let choices: Vec<_> = choices.collect();
    let usage = json!({ "prompt_tokens": 7, "completion_tokens": texts.len() });
    Reply::Json(200, vec![], json!({ "choices": choices, "usage": usage }))
}

/// Repeats the prompt, with the number of the choice.
pub(crate) fn echo(asked: &Asked) -> Reply {
    let texts = (0..asked.n()).map(|choice| format!("{}/{choice}", asked.prompt()));
    said(&texts.collect::<Vec<_>>())
}

pub(crate) fn refuse(status: u16, message: &str) -> Reply {
    Reply::Json(status, vec![], json!({ "error": { "message": message } }))
}

pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            stop: Arc::default(),
        };
        let (asked, stop) = (server.asked.clone(), server.stop.clone());
        let (handler, count) = (Arc::new(handler), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (asked, handler, count) = (asked.clone(), handler.clone(), count.clone());
                thread::spawn(move || {
                    // A client that leaves early is no matter here.
                    let _ = serve(stream.unwrap(), &asked, &count, &*handler);
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        let mut endpoint = Endpoint::new(self.url(), "m");
        endpoint.key_env = Some(String::new());
        endpoint
    }

    pub(crate) fn client(&self, cache: &Path) -> Client {
        Client::open(&self.endpoint(), cache).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    all: &Mutex<Vec<Asked>>,
    count: &AtomicUsize,
    handler: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let at = Instant::now();
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let asked = Asked {
            at,
            count: count.fetch_add(1, Ordering::SeqCst),
            path,
            headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        all.lock().unwrap().push(asked.clone());
        match handler(&asked) {
            Reply::Json(status, headers, body) => {
                let body = body.to_string();
                let mut head = format!("HTTP/1.1 {status} \r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                let text = format!("{head}Content-Type: application/json\r\n\r\n{body}");
                reader.get_mut().write_all(text.as_bytes())?;
            }
            Reply::Raw(bytes) => return reader.get_mut().write_all(&bytes),
            Reply::Stalled(bytes, wait) => {
                reader.get_mut().write_all(&bytes)?;
                thread::sleep(wait);
                return Ok(());
            }
            Reply::Silence(wait) => {
                thread::sleep(wait);
                return Ok(());
            }
        }
    }
}
