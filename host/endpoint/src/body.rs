//! Requests as JSON, and the answers in what comes back.

use serde_json::{Map, Value, json};

use crate::request::{Prompt, Request};
use crate::settings::{Api, Endpoint};

/// The body that asks for `request`.
pub(crate) fn body(endpoint: &Endpoint, request: &Request) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    body.insert("model".into(), endpoint.model.as_str().into());
    match (endpoint.api, &request.prompt) {
        (Api::Chat, Prompt::Text(text)) => {
            let messages = json!([{ "role": "user", "content": text }]);
            body.insert("messages".into(), messages);
        }
        (Api::Chat, Prompt::Messages(messages)) if messages.is_empty() => {
            return Err("the conversation is empty".into());
        }
        (Api::Chat, Prompt::Messages(messages)) => {
            body.insert("messages".into(), json!(messages));
        }
        (Api::Completions, Prompt::Text(text)) => {
            body.insert("prompt".into(), text.as_str().into());
        }
        (Api::Completions, Prompt::Messages(_)) => {
            return Err(
                "a conversation needs `api` = \"chat\", whose server applies a template".into(),
            );
        }
    }
    for (name, number) in [
        ("temperature", request.temperature),
        ("top_p", request.top_p),
    ] {
        let Some(number) = number else { continue };
        let number = serde_json::Number::from_f64(number)
            .ok_or_else(|| format!("`{name}` is {number}, which is no number to send"))?;
        body.insert(name.into(), number.into());
    }
    if let Some(most) = request.max_tokens {
        body.insert("max_tokens".into(), most.into());
    }
    if !request.stop.is_empty() {
        body.insert("stop".into(), json!(request.stop));
    }
    match request.n {
        0 => return Err("`n` is 0, so there is nothing to ask for".into()),
        // Some servers know no `n`.
        1 => {}
        n => drop(body.insert("n".into(), n.into())),
    }
    if endpoint.extra.contains_key("max_completion_tokens") {
        body.shift_remove("max_tokens");
    }
    lay_over(&mut body, &endpoint.extra);
    Ok(body)
}

/// The body that asks how likely each token of `text` is. One token is generated, which nobody looks at: many servers
/// refuse to generate none.
pub(crate) fn echo_body(endpoint: &Endpoint, text: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("model".into(), endpoint.model.as_str().into());
    body.insert("prompt".into(), text.into());
    lay_over(&mut body, &endpoint.extra);
    body.shift_remove("max_completion_tokens");
    for (name, value) in [
        ("max_tokens", json!(1)),
        ("temperature", json!(0.0)),
        ("echo", json!(true)),
        ("logprobs", json!(1)),
    ] {
        body.insert(name.into(), value);
    }
    body
}

fn lay_over(body: &mut Map<String, Value>, extra: &Map<String, Value>) {
    for (name, value) in extra {
        match value {
            Value::Null => drop(body.shift_remove(name)),
            value => drop(body.insert(name.clone(), value.clone())),
        }
    }
}

/// Whether the same body has the same answer each time.
pub(crate) fn is_greedy(body: &Map<String, Value>) -> bool {
    body.get("temperature").and_then(Value::as_f64) == Some(0.0)
}

/// Makes `body` that of a later draw: with the same seed it would be the same draw.
pub(crate) fn make_draw(body: &mut Map<String, Value>, draw: u64) {
    let seed = body.get("seed").and_then(Value::as_i64);
    if let Some(seed) = seed.filter(|_| draw > 0) {
        // Wraps rather than fails: any other seed will do.
        let raised = seed.wrapping_add_unsigned(draw);
        body.insert("seed".into(), raised.into());
    }
}

/// The choices of an answer, in the order of their `index`.
pub(crate) fn choices(answer: &Value) -> Result<Vec<&Value>, String> {
    let Some(choices) = answer.get("choices").and_then(Value::as_array) else {
        return Err("the server's answer has no list of `choices`".into());
    };
    let mut choices: Vec<_> = choices.iter().collect();
    choices.sort_by_key(|choice| choice.get("index").and_then(Value::as_u64));
    Ok(choices)
}

/// The `n` texts of an answer.
pub(crate) fn texts(api: Api, answer: &Value, n: u32) -> Result<Vec<String>, String> {
    let choices = choices(answer)?;
    if choices.len() != n as usize {
        return Err(format!(
            "`n` = {n} answers were asked for, and the server gave {}{}",
            choices.len(),
            if choices.len() == 1 {
                "; it may not know `n`: ask n times for one"
            } else {
                ""
            }
        ));
    }
    choices
        .into_iter()
        .map(|choice| text(api, choice))
        .collect()
}

fn text(api: Api, choice: &Value) -> Result<String, String> {
    let missing = |what: &str| Err(format!("a choice in the server's answer has no {what}"));
    if api == Api::Completions {
        return match choice.get("text") {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => missing("`text`"),
        };
    }
    let Some(message) = choice.get("message").and_then(Value::as_object) else {
        return missing("`message`");
    };
    match (message.get("content"), message.get("refusal")) {
        (Some(Value::String(text)), _) => Ok(text.clone()),
        // In parts, as some servers give it.
        (Some(Value::Array(parts)), _) => {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            Ok(texts.collect())
        }
        (Some(Value::Null) | None, Some(Value::String(refusal))) => Ok(refusal.clone()),
        // Nothing was said: the tokens ended while the model was reasoning, or a filter took the answer.
        (Some(Value::Null), _) => Ok(String::new()),
        _ => missing("`message.content`"),
    }
}

/// What a server says about a failure: OpenAI's `error.message`, or one of the other places it is found in.
pub(crate) fn complaint(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|body| {
        let places = ["/error/message", "/error", "/message", "/detail"];
        let mut said = places.iter().filter_map(|place| body.pointer(place));
        said.find_map(|said| match said {
            Value::String(text) => Some(text.clone()),
            Value::Array(_) => Some(said.to_string()),
            _ => None,
        })
    });
    let said = said.as_deref().unwrap_or(&text).trim();
    match said {
        "" => "nothing else".into(),
        said => said.into(),
    }
}

/// The start of a text that may be long, on one line.
pub(crate) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 500;
    let line: Vec<_> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(api: Api, extra: &Value) -> Endpoint {
        let mut endpoint = Endpoint::new("http://localhost/v1", "m");
        endpoint.api = api;
        endpoint.extra = extra.as_object().unwrap().clone();
        endpoint
    }

    #[test]
    fn bodies_hold_what_was_asked_and_nothing_else() {
        let request = Request {
            max_tokens: Some(5),
            temperature: Some(0.0),
            top_p: Some(0.5),
            stop: vec!["\n".into()],
            n: 2,
            ..Request::new("Hi")
        };
        let asked = |extra| body(&endpoint(Api::Completions, &extra), &request).unwrap();
        let all = json!({ "model": "m", "prompt": "Hi", "temperature": 0.0, "top_p": 0.5, "max_tokens": 5,
            "stop": ["\n"], "n": 2, "seed": 1 });
        assert_eq!(Value::from(asked(json!({ "seed": 1 }))), all);
        assert!(is_greedy(&asked(json!({}))) && !is_greedy(&asked(json!({ "temperature": 1 }))));
        let less = asked(json!({ "max_completion_tokens": 9, "top_p": null }));
        assert!(!less.contains_key("max_tokens") && !less.contains_key("top_p"));
        assert_eq!(less["max_completion_tokens"], 9);

        let plain = body(&endpoint(Api::Chat, &json!({})), &Request::new("Hi")).unwrap();
        let messages = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }] });
        assert_eq!(Value::from(plain), messages);
    }

    #[test]
    fn a_seed_is_raised_by_the_draw() {
        let mut body = json!({ "seed": i64::MAX }).as_object().unwrap().clone();
        make_draw(&mut body, 0);
        assert_eq!(body["seed"], i64::MAX);
        make_draw(&mut body, 1);
        assert_eq!(body["seed"], i64::MIN);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let refused =
            |api, request: Request| body(&endpoint(api, &json!({})), &request).unwrap_err();
        let mut request = Request::new("Hi");
        request.temperature = Some(f64::NAN);
        assert!(refused(Api::Chat, request).contains("`temperature` is NaN"));
        assert!(
            refused(
                Api::Chat,
                Request {
                    n: 0,
                    ..Request::new("Hi")
                }
            )
            .contains("`n` is 0")
        );
        assert!(refused(Api::Chat, Request::new(Vec::new())).contains("empty"));
        let turns = vec![crate::Message::new("user", "Hi")];
        assert!(refused(Api::Completions, Request::new(turns)).contains("`api` = \"chat\""));
    }

    #[test]
    fn texts_are_found_wherever_servers_put_them() {
        let said = |message: Value| {
            texts(
                Api::Chat,
                &json!({ "choices": [{ "message": message }] }),
                1,
            )
        };
        for (message, text) in [
            (json!({ "content": "a" }), "a"),
            (
                json!({ "content": [{ "type": "text", "text": "a" }, { "text": "b" }] }),
                "ab",
            ),
            (json!({ "content": null, "refusal": "no" }), "no"),
            (json!({ "content": null, "reasoning_content": "hm" }), ""),
        ] {
            assert_eq!(said(message).unwrap(), [text]);
        }
        assert!(
            said(json!({ "content": 1 }))
                .unwrap_err()
                .contains("`message.content`")
        );
        assert!(said(json!({})).unwrap_err().contains("`message.content`"));
        let two = json!({ "choices": [{ "index": 1, "text": "b" }, { "index": 0, "text": "a" }] });
        assert_eq!(texts(Api::Completions, &two, 2).unwrap(), ["a", "b"]);
        assert!(
            texts(Api::Completions, &two, 3)
                .unwrap_err()
                .contains("gave 2")
        );
        assert!(
            texts(Api::Chat, &json!([]), 1)
                .unwrap_err()
                .contains("`choices`")
        );
    }

    #[test]
    fn complaints_are_found_wherever_servers_put_them() {
        for (body, said) in [
            (r#"{"error":{"message":"too long","code":400}}"#, "too long"),
            (r#"{"error":"no such model"}"#, "no such model"),
            (r#"{"object":"error","message":"bad"}"#, "bad"),
            (r#"{"detail":[{"loc":1}]}"#, r#"[{"loc":1}]"#),
            ("Not Found\n", "Not Found"),
            ("", "nothing else"),
        ] {
            assert_eq!(complaint(body.as_bytes()), said);
        }
        assert_eq!(excerpt(&"é ".repeat(1000)).chars().count(), 503);
    }
}
