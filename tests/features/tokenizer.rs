use folkmoot_data::Tokenizer;
use sha2::{Digest, Sha256};

use crate::bench::{golden, here, ids, model_file};

/// The tokenizer rebuilt from GGUF metadata gives the ids of Hugging Face's tokenizers and of llama.cpp
/// on a large mixed text.
#[test]
fn ids_are_those_of_the_references() {
    let golden = golden("tokens.json");
    let text = std::fs::read(here().join("golden/mixed.txt")).unwrap();
    let digest: String = Sha256::digest(&text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        digest,
        golden["text_sha256"].as_str().unwrap(),
        "mixed.txt is not the text of the golden file"
    );
    let text = String::from_utf8(text).unwrap();
    let tokenizer = Tokenizer::from_gguf(&model_file()).unwrap();
    let lines = ids(&golden["lines"]);
    for (number, (line, expected)) in text.split_inclusive('\n').zip(&lines).enumerate() {
        let found = tokenizer.encode(line).unwrap().len();
        assert_eq!(found as u32, *expected, "line {}: {line:?}", number + 1);
    }
    let found = tokenizer.encode(&text).unwrap();
    assert_eq!(found.len() as u64, golden["count"].as_u64().unwrap());
    assert_eq!(found[..200], ids(&golden["first"]));
    let bytes: Vec<u8> = found.iter().flat_map(|id| id.to_le_bytes()).collect();
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(digest, golden["sha256"].as_str().unwrap());
}
