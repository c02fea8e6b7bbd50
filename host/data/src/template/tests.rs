use super::{Template, missing_bos};
use crate::tokenizer::tests::byte_tokenizer;

const ALL: [Template; 4] = [
    Template::Plain,
    Template::Alpaca,
    Template::Vicuna,
    Template::Model,
];

#[test]
fn trained_are_the_response_and_one_end_of_text() {
    for (template, adds_bos) in ALL.into_iter().flat_map(|t| [(t, false), (t, true)]) {
        let tokenizer = byte_tokenizer(adds_bos);
        // A response that also occurs in the instruction cannot be found by looking for it.
        let tokenized = template
            .tokenize(&tokenizer, "naïve? ### Response: naïve", "naïve", 999)
            .unwrap();
        let pairs = || tokenized.ids.iter().zip(&tokenized.trained);
        let trained: Vec<u32> = pairs().filter(|(_, t)| **t).map(|(id, _)| *id).collect();
        let (end, response) = trained.split_last().unwrap();
        assert_eq!(*end, tokenizer.eos());
        assert_eq!(
            tokenizer.decode(response).unwrap().trim_start_matches(' '),
            "naïve"
        );
        assert_eq!(*end, template.end_of_response(&tokenizer).unwrap());

        let prompt = template
            .prompt_ids(&tokenizer, "naïve? ### Response: naïve")
            .unwrap();
        assert!(tokenized.ids.starts_with(&prompt));
        assert!(
            tokenized.trained[..prompt.len()].iter().all(|t| !t) && tokenized.trained[prompt.len()]
        );
    }
}

#[test]
fn prompt_and_continuation_end_with_the_last_trained_token() {
    for (template, adds_bos) in ALL.into_iter().flat_map(|t| [(t, false), (t, true)]) {
        let tokenizer = byte_tokenizer(adds_bos);
        let tokenized = template.tokenize(&tokenizer, "naïve?", "naïve ", 999);
        let tokenized = tokenized.unwrap();
        let last = tokenized.trained.iter().rposition(|t| *t).unwrap();

        let prompt = template.prompt(&tokenizer, "naïve?").unwrap();
        let continuation = template.continuation(&tokenizer, "naïve?", "naïve ");
        let continuation = continuation.unwrap();
        assert_eq!(continuation.trim_start(), "naïve <|im_end|>");
        let spelt = tokenizer.encode(&(prompt + &continuation)).unwrap();
        let bos = missing_bos(&tokenizer, &spelt);
        let ids: Vec<u32> = bos.into_iter().chain(spelt).collect();
        assert_eq!(ids, tokenized.ids[..=last]);
    }
}

#[test]
fn the_tail_is_cut_and_never_the_whole_response() {
    let tokenizer = byte_tokenizer(false);
    let tokenized = Template::Plain
        .tokenize(&tokenizer, "abc", "def<|im_end|>", 6)
        .unwrap();
    assert!(tokenized.truncated);
    assert_eq!(tokenizer.decode(&tokenized.ids).unwrap(), "abc de");
    assert!(
        !Template::Plain
            .tokenize(&tokenizer, "abc", "def<|im_end|>", 8)
            .unwrap()
            .truncated
    );
    let error = Template::Plain
        .tokenize(&tokenizer, "abc", "def", 3)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "no token of the response is among the first 3 of 8");
}
