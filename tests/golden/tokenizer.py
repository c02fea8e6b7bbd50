"""Golden tokenisation of a mixed text with SmolLM2's byte-level BPE.

Makes, in OUT:
  mixed.txt    deterministic text of about 70 kB, built by this script: prose, code,
               digits, dates, URLs, many scripts, emoji, combining marks, CRLF, runs
               of white space, control characters, very long words, special tokens.
               It mixes line endings on purpose: write and read it as bytes.
  tokens.json  {"count", "sha256" (of the ids as little-endian u32), "first" (200 ids),
               "lines" (token count of each line tokenised alone; a line ends after
               each "\n", which belongs to it), "text_sha256", "references"}

Two references tokenise the text, special tokens parsed, no token added:
  1. Hugging Face tokenizers 0.23.3, built from the GGUF's vocabulary and merges as the
     model's own tokenizer.json is: BPE, pre-tokenizer Sequence[Digits(individual),
     ByteLevel(add_prefix_space=false, trim_offsets=true, use_regex=true)], the tokens of
     type 3 as special added tokens.
  2. llama.cpp b9190 through cyllama 0.2.18: its own C++ tokeniser, its own Unicode tables.
The script fails where they differ, over the whole text or any line, and names the lines.
With --without-llama-cpp only the first runs, and the output says so.

Made with Python 3.11, gguf 0.19.0, tokenizers 0.23.3, cyllama 0.2.18.
Run: python tokenizer.py MODEL.gguf OUT
"""

import argparse
import hashlib
import json
import random
import struct
import sys
import unicodedata
from pathlib import Path

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>",
    "<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>", "<issue_closed>",
    "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>",
    "<jupyter_script>", "<empty_output>",
]

PROSE = """\
The moot met on the first market day after the thaw, and nobody could remember who had called it.
By noon the green was full: farmers with mud to the knee, two clerks from the mill, a surveyor who
said "I'm only passing through", and the usual children. It wasn't the first time they'd argued
about the river; it wouldn't be the last. "We've all measured it," said the miller's daughter, "and
we've all measured it differently. Why don't we add up what we know instead of shouting?" Somebody
laughed. Somebody else wrote the number down. They'll say it was planned, but I'd swear it was luck.

A model that has seen one village's weather knows that village's weather. A model that has seen
twenty villages' records knows something about weather. The trouble is that records don't travel:
they are private, or heavy, or simply written in a hand that only the writer can read. So let the
records stay where they are, and let what was learnt from them travel in their place. Each keeps
its own book; each sends a small correction; the corrections are weighed and added. That's all.

IT'S LOUD IN HERE, SHE'LL SAY; I'LL SAY: WE'RE USED TO IT. YOU'VE heard it before, haven't you?
rock 'n' roll, o'clock, 'twas, the '90s, y'all'd've, don't, DON'T, Don't, s's, 's 't 're 've 'm 'll 'd
'S 'T 'RE 'VE 'M 'LL 'D it\u2019s I\u2019LL we\u2019re \u2018quoted\u2019 \u201cdouble\u201d \u2014 dash\u2013range \u2026 ellipsis
"""

CODE = """\
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let xs: Vec<u32> = (0..10).map(|x| x * 2).collect();
\tprintln!("{:>08.3} {xs:?} {}", 3.14159_f64, r#"raw "string""#);
    if xs.len() != 10 && !xs.is_empty() || xs[0] <= 0x1F { return Err("no".into()); }
    Ok(())  // trailing comment
}
def f(x, *args, **kwargs):
    \"\"\"Docstring.\"\"\"
    return {k: v for k, v in kwargs.items() if k != '_' and v is not None}[x]  # noqa: E501


class HTTPServerError2XX(Exception): pass
SELECT a.id, COUNT(*) FROM t1 AS a LEFT JOIN t2 b ON a.id=b.a_id WHERE b.x>=1e-9 GROUP BY 1;
<div class="x" onclick='f()'>&nbsp;&amp;</div><!-- c --><br/>
{"a":[1,2.5,-3e+10,null,true],"b":{"c":"\\u00e9\\n"}}
#include <stdio.h>
int main(void){for(int i=0;i<100;++i)printf("%d%%\\n",i);return 0;}
$ git log --oneline -n5 | sed -E 's/^([0-9a-f]{7}) /\\1: /' > /dev/null 2>&1
x=~y; a??b; a?.b; a:::b; a<<=2; a>>>1; a===b; a!==b; /* */ -- ++ -> => :: ;; ... @@ ## $$ %% ^^ ~~ ``
"""

FIGURES = """\
0 1 12 123 1234 12345 1234567890 1,234,567.89 -1.5e-10 +42 0x7fff_ffff 0b1010 1_000_000 3/4 50% #1 1st 2nd
007 a1b2c3 x86_64 v1.2.3-rc.4+build5 3.14159265358979 1 2  3   4    5 ( 6 ) [7] {8} 9. 10, 11; $12 \u20ac13 \u00a314
2024-02-29T23:59:59.999Z 29/02/2024 02.29.24 12:30pm 1999\u20132000 Feb 29th, 2024 UTC+05:30 20240229
+44 20 7946 0958 (555) 123-4567 192.168.0.1 fe80::1ff:fe23:4567:890a/64 550e8400-e29b-41d4-a716-446655440000
https://example.org/a/b%20c?q=1&r=x+y#frag-2 http://user:pw@localhost:8080/~me/index.html ftp://x.y/z
mailto:first.last+tag@sub.example.co.uk C:\\Users\\me\\file.txt /usr/local/lib/libfoo.so.1.2 ../../up
\u0661\u0662\u0663 \u06f4\u06f5 \u0967\u0968\u0969 \u0e51\u0e52\u0e53 \u4e00\u4e8c\u4e09 \u2160\u2161\u2162 \u2460\u2461 \u00b2\u00b3\u00b9 \u00bd\u00be \u2153 x\u00b2+y\u2083 \uff11\uff12\uff13 \u3007 \u5341\u4e07
H\u2082O CO\u2082 10\u207b\u2079 m\u00b3 \u2167. 5\u20ac 100\u00b0C \u221e \u22481.0 \u00b15 \u03c0\u22483.14 \u2211x\u1d62
"""

SCRIPTS = [
    "Ça va? Où est l'hôtel près de la forêt? Un cœur naïf, à Noël, déjà vu; l'été s'achève aujourd'hui.",
    "Straße, Größe, Übermut, Äpfel und Öl; Fußballweltmeisterschaftsqualifikationsspiel.",
    "El niño comió piñas en la montaña. ¿Qué? ¡Sí! Él está aquí, según dijo la cigüeña.",
    "Zażółć gęślą jaźń. Příliš žluťoučký kůň úpěl ďábelské ódy. Đặng Thị Ngọc Thịnh ăn phở ở Hà Nội.",
    "Þórður ætlar að læra íslensku. Ķekava, šķiņķis. Iğdır'da ışık İstanbul'da. Ő űrhajó.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Їжак, ґанок, ў, ђ, ћ; объём 5 кг.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Τί ἐστιν ἀλήθεια; ᾧ ῥᾷ ΐ. Άνθρωπος.",
    "صِف خَلقَ خَودِ كَمِثلِ الشَمسِ إِذ بَزَغَت، لا إله، مرحبًا بالعالم ٣٫١٤؟ ـــ سلام پدر گچ ژ",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה. שָׁלוֹם עֲלֵיכֶם, ״ציטוט״ ׳א.",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण। क्षत्रिय ज्ञान श्री १२३॥ हिन्दी में",
    "আমার সোনার বাংলা। ਪੰਜਾਬੀ ਵਿੱਚ। ગુજરાતી માં. தமிழ் மொழி. తెలుగు భాష. ಕನ್ನಡ. മലയാളം. සිංහල.",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน ๑๒๓ น้ำ ที่นี่ ฯลฯ ๆ",
    "ພາສາລາວ ຂ້ອຍ. ភាសាខ្មែរ ខ្ញុំ។ မြန်မာဘာသာ၊ ကျွန်ုပ်။ བོད་སྐད་ཡིག། ᠮᠣᠩᠭᠣᠯ.",
    "天地玄黃,宇宙洪荒。日月盈昃,辰宿列張。我们在二〇二四年三月十五日开会,价格是¥1234元(约三千)!",
    "いろはにほへと ちりぬるを。カタカナとｶﾀｶﾅ、東京都千代田区1-2-3。ヴァイオリン「引用」ー〜・々",
    "다람쥐 헌 쳇바퀴에 타고파. 안녕하세요 2024년 3월. ㅋㅋㅋ ㅠㅠ 한국어를 공부합니다",
    "ქართული ენა. Հայերեն լեզու. አማርኛ ቋንቋ። ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ. ⵜⴰⵎⴰⵣⵉⵖⵜ. 𐌰𐌱𐌲 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 𠀋𡈽 ﬁ ﬂ ﷺ",
]

EMOJI = """\
\U0001f600\U0001f602\U0001f923 \U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1eb\U0001f1f7\U0001f1ef\U0001f1f5 1\ufe0f\u20e3#\ufe0f\u20e3 \u2764\ufe0f \u2764 \U0001f9d1\U0001f3ff\u200d\U0001f680 \u263a\ufe0e \u00a9\ufe0f\u2122\u00ae
text\U0001f600text \U0001f600\U0001f600\U0001f600 :-) ;P <3 \u00af\\_(\u30c4)_/\u00af (\u256f\u00b0\u25a1\u00b0)\u256f\ufe35 \u253b\u2501\u253b \u2190\u2192\u21d2 \u25a0\u25cf\u2605\u2713\u2717 \u2500\u2502\u250c\u2588\u2591
"""

COMBINING = """\
e\u0301 vs \u00e9, n\u0303 vs \u00f1, A\u030a vs \u00c5, o\u0302\u0323 vs \u1ed9, \u1112\u1161\u11ab vs \ud55c, \u0301 alone,  \u0308 spaced
Z\u0351\u036b\u0343\u036aa\u0335\u034el\u0321\u034ag\u0334\u0322o\u0489 x\u0305\u0305 a\u20d7 b\u20dd soft\u00adhyphen zero\u200bwidth joiner\u200djoiner non\u200cjoiner bom\ufeffbom word\u2060joiner
\u202eoverride\u202c \u2066isolate\u2069 \u200eltr\u200frtl \ufffdreplacement \ue000private \ufdd0
"""

SPACES = [
    "", " ", "  ", "   ", "\t", "\t\t", " \t ", "\u00a0", "\u00a0\u00a0", "\u3000", "\u2003 ", " \u2009", "\u1680",
    "\u2028", "\u2029", "\u0085", "\u202f", "\u205f", "\u180e", "\u200b", "\x0b", "\x0c", "\r", "\r\n", "\n\r", "\n\n",
    "\r\n\r\n", "\r\r", " \n", "\n ", " \r\n ", "\t\r\n\t", "\x1c", "\x1f", "        ", " " * 33, "\n" * 9, "\t" * 17,
]

WORDS = """the a of moot village council record river mill clerk weight model round client server train learn
sum mean share secret noise label token adapter layer matrix gradient step loss epoch batch plugin bundle signed
private weather number small large first last early late quickly slowly however because although therefore
against between without through measured answered shouted counted agreed refused joined returned can't won't
it's they're we've I'll she'd he's isn't federated quantised low-rank end-to-end state-of-the-art""".split()


def assigned(ranges):
    """Characters of the ranges that Unicode 3.2 had assigned: a fixed list on any Python."""
    table = unicodedata.ucd_3_2_0
    return [chr(c) for low, high in ranges for c in range(low, high + 1)
            if table.category(chr(c)) not in ("Cn", "Cs", "Co")]


def mixed_text():
    rng = random.Random(20240229)

    def pick(items):  # random.choice may change between Python versions; random() may not
        return items[int(rng.random() * len(items))]

    parts = [PROSE, CODE, FIGURES, "\n".join(SCRIPTS) + "\n", EMOJI, COMBINING]

    for gap in SPACES:  # every kind of white space, between and around words, digits and marks
        parts.append(f"a{gap}b {gap}c{gap} 1{gap}2{gap}.{gap}!x{gap}é{gap}中{gap}\U0001f600{gap}'s{gap}<|im_end|>{gap}z{gap}\n")

    for token in SPECIAL:
        parts.append(f"{token}{token} x{token}y {token} z\n{token}\n {token}\t{token}'s 1{token}2 {token[:-1]} {token[1:]} {token.upper()}\n")
    parts.append("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
                 "<|im_start|>user\nName three fruits.<|im_end|>\n<|im_start|>assistant\n")
    parts.append("<|im_start |> < |im_start|> <|im_start|<|im_start|>> <<|im_end|>> <|<|im_end|>|> <|im_start|im_end|>\n")

    # Control characters other than NUL, line feed and carriage return.
    controls = [chr(c) for c in list(range(1, 32)) + list(range(127, 160)) if c not in (10, 13)]
    parts.append("".join(controls) + "\n" + " ".join(controls) + "\n" + "".join(f"a{c}1" for c in controls) + "\n")

    # Very long words, long runs.
    parts.append("a" * 500 + "\n" + "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft" * 12 + "\n")
    parts.append("".join(pick("abcdefghijklmnopqrstuvwxyz") for _ in range(2000)) + "\n")
    parts.append("".join(pick("ACGT") for _ in range(1500)) + "\n" + "ё" * 300 + "漢" * 300 + "\n")
    parts.append("".join(pick("0123456789abcdef") for _ in range(1500)) + "\n" + "=" * 400 + "-" * 333 + "!?" * 100 + "\n")
    parts.append("".join(pick("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") for _ in range(1500)) + "==\n")
    parts.append("x" + " " * 300 + "y" + "\n" * 50 + "z" + "\t" * 60 + "1" + " " * 7 + "\n" + " \n" * 20)

    # Pseudo-prose with all joins of words.
    for _ in range(150):
        line = []
        for _ in range(3 + int(rng.random() * 14)):
            word = pick(WORDS)
            case = rng.random()
            word = word.upper() if case < 0.08 else word.capitalize() if case < 0.25 else word
            if rng.random() < 0.08:
                word = str(int(rng.random() * 10 ** (1 + int(rng.random() * 9))))
            line.append(word + pick(["", "", "", "", "", "", ",", ".", ";", "!", "?", ":", "...", ")", "\""]))
            line.append(pick([" "] * 12 + ["  ", "\t", " (", " \"", "-", "/"]))
        parts.append("".join(line) + pick(["\n", "\n", "\n", "\n\n", "\r\n", " \n"]))

    # Random characters by block, then all blocks stirred together.
    blocks = [
        [(0x20, 0x7E)], [(0xA0, 0x17F)], [(0x180, 0x2FF)], [(0x300, 0x36F), (0x61, 0x7A)], [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
        [(0x400, 0x52F)], [(0x531, 0x5FF)], [(0x600, 0x6FF)], [(0x700, 0x7BF)], [(0x900, 0x97F)], [(0x980, 0xDFF)],
        [(0xE00, 0xEFF)], [(0xF00, 0x10FF)], [(0x1100, 0x18AF)], [(0x1E00, 0x1EFF)], [(0x2000, 0x206F), (0x61, 0x7A)],
        [(0x2070, 0x218F)], [(0x2190, 0x23FF)], [(0x2400, 0x27BF)], [(0x27C0, 0x2FFF)], [(0x3000, 0x33FF)],
        [(0x3400, 0x9FA5)], [(0xA000, 0xA4CF)], [(0xAC00, 0xD7A3)], [(0xF900, 0xFFFD)], [(0x10300, 0x1044F)],
        [(0x1D000, 0x1D7FF)], [(0x20000, 0x2A6D6)],
    ]
    pools = [assigned(block) for block in blocks]
    for pool in pools:
        for _ in range(4):
            parts.append("".join(pick(pool) + (" " if rng.random() < 0.15 else "") for _ in range(70)) + "\n")
    for _ in range(60):
        parts.append("".join(pick(pick(pools)) + pick(["", "", "", " ", "1", "a"]) for _ in range(60)) + "\n")

    parts.append("no newline at the end, two spaces  ")
    return "".join(parts).encode("utf-8")


def tokenize_hugging_face(model):
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    fields = GGUFReader(model).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    special = [t for t, kind in zip(tokens, types) if kind == 3]
    assert special == SPECIAL, special
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
    ])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def tokenize_llama_cpp(model):
    import cyllama.llama.llama_cpp as llama

    llama.disable_logging()
    llama.llama_backend_init()
    params = llama.LlamaModelParams()
    params.n_gpu_layers = 0
    loaded = llama.LlamaModel(model, params)  # the vocabulary refers to it: keep it alive
    vocab = loaded.get_vocab()
    return lambda text, _keep=loaded: list(vocab.tokenize(text, False, True)) if text else []


def split_lines(text):
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--without-llama-cpp", action="store_true")
    args = parser.parse_args()

    data = mixed_text()
    assert b"\0" not in data
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "mixed.txt").write_bytes(data)
    text = data.decode("utf-8")
    lines = split_lines(text)
    assert "".join(lines) == text

    hugging_face = tokenize_hugging_face(args.model)
    ids = hugging_face(text)
    per_line = [hugging_face(line) for line in lines]
    references = ["tokenizers"]

    if not args.without_llama_cpp:
        llama_cpp = tokenize_llama_cpp(args.model)
        differ = 0
        for number, (line, expected) in enumerate(zip(lines, per_line), 1):
            got = llama_cpp(line)
            if got != expected:
                differ += 1
                at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
                print(f"line {number} differs at token {at}: {line[:120]!r}\n  tokenizers {expected[at:at + 8]}"
                      f"\n  llama.cpp  {got[at:at + 8]}", file=sys.stderr)
        whole = llama_cpp(text)
        if differ or whole != ids:
            sys.exit(f"references differ: {differ} of {len(lines)} lines, whole text equal: {whole == ids}")
        references.append("llama.cpp")

    result = {
        "count": len(ids),
        "sha256": hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest(),
        "first": ids[:200],
        "lines": [len(line) for line in per_line],
        "text_sha256": hashlib.sha256(data).hexdigest(),
        "references": references,
    }
    (args.out / "tokens.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(f"{len(data)} bytes, {len(lines)} lines, {len(ids)} tokens, agreed by {' and '.join(references)}")


if __name__ == "__main__":
    main()
