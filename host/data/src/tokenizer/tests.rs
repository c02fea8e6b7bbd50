use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::{Special, Token, Tokenizer};

pub(crate) const CHATML: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
     {{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}{% endif %}\
     {{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}\
     {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Every byte is a token, and there are two special ones.
pub(crate) fn byte_tokenizer(adds_bos: bool) -> Tokenizer {
    tokenizer(adds_bos, CHATML)
}

/// The same with another chat template.
pub(crate) fn with_chat_template(source: &str) -> Tokenizer {
    tokenizer(false, source)
}

fn tokenizer(adds_bos: bool, chat_template: &str) -> Tokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let vocabulary: Vocab = alphabet.into_iter().map(String::from).zip(0..).collect();
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary, Merges::new())
        .build()
        .unwrap();
    let mut inner = tokenizers::Tokenizer::new(bpe);
    inner.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
    inner.with_decoder(Some(ByteLevel::new(false, false, false)));
    inner
        .add_tokens(["<|im_start|>", "<|im_end|>"].map(|text| AddedToken::from(text, true)))
        .unwrap();
    let token = |text: &str| Token {
        id: inner.token_to_id(text).unwrap(),
        text: text.to_owned(),
    };
    let special = Special {
        bos: Some(token("<|im_start|>")),
        adds_bos,
        eos: token("<|im_end|>"),
        chat_template: Some(chat_template.to_owned()),
    };
    Tokenizer::new(inner, special).unwrap()
}

#[test]
fn offsets_are_bytes() {
    let (ids, offsets) = byte_tokenizer(false)
        .encode_with_offsets("aé<|im_end|>")
        .unwrap();
    assert_eq!(ids.len(), 4);
    assert_eq!(offsets, [(0, 1), (1, 2), (2, 3), (3, 13)]);
}
