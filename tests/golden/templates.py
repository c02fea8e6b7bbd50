"""Golden tokens and masks of texts, instructions, conversations and preferences under templates.

What a row's tokens are, and which of them are trained, as transformers and TRL have it: by TRL's own
preparation of data sets (SFTTrainer and DPOTrainer), not by the templates of host/data/templates,
which are compared with it. Makes, in OUT_DIR:
  templates.json                 described by its own "about", and below
  llama-like/tokenizer.json, llama-like/tokenizer_config.json   with --train-tokenizer only

References, for each template:
  plain, alpaca, vicuna, one turn   TRL's prompt-completion type, standard format: prompt and
        completion are strings made here in Python, the completion beginning with the space
  the same, several turns    text made here; where an answer starts and ends is where the tokens of
        the text up to there part from those of the whole text (TRL's common_prefix_length, by which
        it finds a completion)
  the others    TRL's conversational type with assistant_only_loss: transformers' apply_chat_template
        with {% generation %} in the template. llama-3 and gemma take theirs from TRL's folder
        chat_templates, gemma's with the newline after <end_of_turn> moved out of the trained part;
        those below are written after the models' own (see CHAT)
  preference    DPOTrainer's preparation: standard format for the first three, conversational for the
        others, without the newline that chatml, gemma and zephyr put after the end of a turn. Not so
        llama-3 under smollm2, whose prompt ends with "\\n\\n", one token at the end of a text and two
        in front of a word: there TRL begins every response at those newlines. Its prompts and
        responses are taken apart by the masks of the two conversations instead
  text          TRL's language-modelling type; its label of the beginning-of-text token is left out,
        since nothing predicts that token

A mask covers the response with what ends the turn. TRL trains, in the gemma case, and keeps, in
preferences, the newline behind that as well.

The project's templates are then rendered by jinja2, tokenised, masked by the rule (a token is trained
if it overlaps the text of a response or of what ends it) and compared with the references. Rows where
those depart from the rule for a reason are in "excluded"; for any other difference the script fails.

smollm2 is built as in tokenizer.py, llama-like as in train_llama_like, and read from its files.

Made with Python 3.11, trl 1.16.0, transformers 5.23.0, tokenizers 0.23.3, datasets 5.2.0, jinja2
3.1.6, gguf 0.19.0. Run: python templates.py MODEL.gguf GSM8K_TEST.jsonl OUT_DIR [--train-tokenizer]
(about 3 minutes). MODEL is SmolLM2-135M-Instruct.Q4_1.gguf; GSM8K_TEST is what the catalogue's
gsm8k-test names.
"""

import argparse
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import datasets
import trl
from datasets import Dataset
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from trl import DPOTrainer, SFTTrainer
from trl.data_utils import common_prefix_length

ROWS = 1000
TEXT_TEMPLATES = ["plain", "alpaca", "vicuna"]
CHAT_TEMPLATES = ["chatml", "llama-2", "llama-3", "mistral", "gemma", "zephyr"]
TEMPLATES = TEXT_TEMPLATES + CHAT_TEMPLATES
WITHOUT_SYSTEM = ["gemma"]
SYSTEM = "You are a helpful tutor."

# The chat templates that TRL has no training variant of: what is rendered is what the models' own
# templates render (chatml: teknium/OpenHermes-2.5-Mistral-7B; llama-2: meta-llama/Llama-2-7b-chat-hf;
# mistral: mistralai/Mistral-7B-Instruct-v0.2; zephyr: HuggingFaceH4/zephyr-7b-beta), with the tags
# around the assistant's text.
CHAT = {
    "chatml": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
        "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}"
        "{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"),
    "llama-2": (
        "{% set ns = namespace(system='') %}{% for m in messages %}"
        "{% if m['role'] == 'system' %}{% set ns.system = '<<SYS>>\n' + m['content'] + '\n<</SYS>>\n\n' %}"
        "{% elif m['role'] == 'user' %}{{ bos_token + '[INST] ' + (ns.system + m['content']).strip() + ' [/INST]' }}"
        "{% set ns.system = '' %}"
        "{% else %}{% generation %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endgeneration %}"
        "{% endif %}{% endfor %}"),
    "mistral": (
        "{% set ns = namespace(system='') %}{{ bos_token }}{% for m in messages %}"
        "{% if m['role'] == 'system' %}{% set ns.system = m['content'] + '\n\n' %}"
        "{% elif m['role'] == 'user' %}{{ ' [INST] ' + ns.system + m['content'] + ' [/INST]' }}{% set ns.system = '' %}"
        "{% else %}{% generation %}{{ ' ' + m['content'] + eos_token }}{% endgeneration %}{% endif %}{% endfor %}"),
    "zephyr": (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '<|assistant|>\n' }}"
        "{% generation %}{{ m['content'] + eos_token }}{% endgeneration %}{{ '\n' }}"
        "{% else %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"),
}

ABOUT = {
    "rows": "Row i is made from lines i, i+1, ... (from 0) of the GSM8K test file, question and answer as they are; "
            "1,000 rows of each shape. Any message may also have `input`.",
    "instruction": "user: question i, assistant: answer i",
    "instruction-input": "the same, and where i % 3 == 0 the user's message has the field `input`: question (i + 1318) % "
                         "1319, the one before",
    "chat": "where i % 4 == 0 and the template takes one (all but gemma), system: 'You are a helpful tutor.'; then "
            "user and assistant with question and answer i, then i+1, then, where i % 3 == 0, i+2",
    "preference": "user: question i; chosen: answer i; rejected: answer i+1",
    "text (shape)": "one message, of the assistant: question i, a newline, answer i",
    "adversarial": "the rows of adversarial.rows; conversations, one digest for each, null where the template takes no "
                   "system message or the row is in `excluded`",
    "adversarial-preference": "the single-turn rows of adversarial.pairs: user: prompt, chosen, rejected",
    "digest": "first 12 hex digits of the SHA-256 of 'id,id,...|0101...': ids in decimal, mask, 1 where trained; for "
              "preferences of 'prompt ids|chosen ids|rejected ids'. `digests` is all of them without anything between, "
              "12 characters a row; an excluded row's are 12 hyphens",
    "smollm2": "the tokenizer in SmolLM2-135M-Instruct.Q4_1.gguf; eos_token <|im_end|>; bos_token <|im_start|>, which it "
               "does not add but templates spell",
    "llama-like": "llama-like/tokenizer.json beside this file, 2,000 tokens; <s>, </s>, adds <s>; none of the other "
                  "templates' markers is a token",
    "bos": "what puts the beginning-of-text token in front: `tokenizer` (it is not in the text), `template` (it is), or "
           "`none`: transformers tokenises a chat template's text as it is, so that chatml and zephyr, which do not "
           "spell the token, go without, whatever the tokenizer adds to other text",
    "max_length": "none, nothing is cut",
    "first": "ids and mask (for preferences the three lists) of rows 0 and 1",
    "text": "the text of row 0 (for preferences with the chosen response), without a token that the tokenizer adds",
}


def smollm2(model):
    """As tokenizer.py makes it. bos_token is what the GGUF and the model's own files say; it is not added."""
    from gguf import GGUFReader

    fields = GGUFReader(model).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind == 3])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>",
        clean_up_tokenization_spaces=False)


def train_llama_like(lines, folder):
    """
    A small vocabulary of Llama 2's kind: BPE over characters with U+2581 for a space and one in front of the text,
    bytes for what it lacks (a newline always), merges never across a space but for runs of two and four.
    """
    first = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    runs = ["\u2581\u2581", "\u2581\u2581\u2581\u2581"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(
        vocab_size=2000 - len(first) - len(runs), limit_alphabet=110, show_progress=False)
    trained.train_from_iterator([part for line in lines for part in line.split("\n")], trainer)
    made = json.loads(trained.to_str())["model"]
    order = sorted(made["vocab"], key=made["vocab"].get)
    vocabulary = {token: i for i, token in enumerate(first + order + runs)}
    assert len(vocabulary) == 2000 and "\n" not in vocabulary and "\u2581" in vocabulary
    merges = [tuple(m) for m in made["merges"]] + [("\u2581", "\u2581"), ("\u2581\u2581", "\u2581\u2581")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    # What transformers makes of a Llama tokenizer with legacy = false: spaces are not touched by a normaliser, and
    # only the very start of a text gets one, not each part between special tokens.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in first[:3]])
    folder.mkdir(parents=True, exist_ok=True)
    # One entry a line would be 200 kB; all on one line no diff can show.
    text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text.replace("],[", "],\n[") + "\n")
    config = {
        "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "clean_up_tokenization_spaces": False,
        "eos_token": "</s>", "legacy": False, "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def chat_sources():
    folder = Path(trl.__file__).parent / "chat_templates"
    gemma = (folder / "gemma_training.jinja").read_text()
    trained_newline = "trim + '<end_of_turn>\\n' -}}\n        {%- endgeneration -%}"
    assert gemma.count(trained_newline) == 1
    newline_out = "trim + '<end_of_turn>' -}}\n        {%- endgeneration -%}{{- '\\n' -}}"
    return CHAT | {"llama-3": (folder / "llama3_training.jinja").read_text(),
                   "gemma": gemma.replace(trained_newline, newline_out)}


def user(content, **more):
    return {"role": "user", "content": content, **more}


def assistant(content):
    return {"role": "assistant", "content": content}


def system(content):
    return {"role": "system", "content": content}


def rows_of(shape, template, lines):
    at = [(line["question"], line["answer"]) for line in lines]
    rows = []
    for i in range(ROWS):
        question, answer = at[i]
        if shape == "instruction":
            rows.append([user(question), assistant(answer)])
        elif shape == "instruction-input":
            extra = {"input": at[i - 1][0]} if i % 3 == 0 else {}
            rows.append([user(question, **extra), assistant(answer)])
        elif shape == "chat":
            opening = [system(SYSTEM)] if i % 4 == 0 and template not in WITHOUT_SYSTEM else []
            turns = at[i:i + (3 if i % 3 == 0 else 2)]
            rows.append(opening + [m for q, a in turns for m in (user(q), assistant(a))])
        elif shape == "text":
            rows.append([assistant(question + "\n" + answer)])
        elif shape == "preference":
            rows.append((question, answer, at[i + 1][1]))
    return rows


def adversarial():
    """Conversations with what templates, tokenizers and masks stumble over."""
    key, long = "\n\n### Response:", "The quick brown fox jumps over 13 lazy dogs. "
    pairs = [  # one turn: the user's text, the response
        ("", "Yes."), ("Why?", ""), ("", ""), (" ", " "), ("\n", "\n"), ("?", "."), ("a", "b"),
        ("Hello ", "world"), ("Hello", " world"), ("Hello  ", "  world"), ("Hello\n", "\nworld"),
        ("Hello\n\n", "\n\nworld\n"), ("Tabs\tin\t", "\tand out\t"), ("Trailing spaces", "as here   "),
        ("Trailing newlines", "as here\n\n\n"), ("CRLF\r\nin the text\r\n", "\r\nand in the answer\r\n- one\r\n"),
        ("Emoji \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd"),
        ("\U0001f1eb\U0001f1f7", "\U0001f1ef\U0001f1f5 and \u2764\ufe0f"),
        ("Combining e\u0301 and \u0301 alone", "\u0301 first"), ("日本語で答えて。", "はい、わかりました。"),
        ("\u00a0No-break\u00a0", "\u00a0spaces\u3000"), ("RTL: مرحبًا", "שָׁלוֹם עֲלֵיכֶם"),
        (f"Say it twice.{key} not yet", "Now."), ("Answer with the key.", f"Here:{key} and on"),
        ("USER: me ASSISTANT: you", " ASSISTANT: USER: "), ("[INST] nested [/INST]", "[/INST] [INST]"),
        ("Say <|im_end|> now", "<|im_end|> was it"), ("Say </s> now", "<s> and </s> were they"),
        ("End twice", "done</s>"), ("End twice", "done<|im_end|>"), ("<|im_start|>user\nfaked<|im_end|>", "no"),
        ("<start_of_turn>model\nfaked<end_of_turn>", "<|eot_id|> <|start_header_id|>"),
        ("{{ messages }} {% raw %}", "{{ trained('x') }} {# no #}"), ("1234567890 3.14159", "-42"),
        (long * 40, long * 30), ("Count the digits", "0123456789" * 40),
    ]
    rows = [[user(u), assistant(a)] for u, a in pairs]
    rows += [
        [user("One"), assistant("1"), user("Two "), assistant(" 2 "), user("\nThree"), assistant("3\n")],
        [system("Be brief.\n"), user("  Hi  "), assistant("  Hello!  "), user(""), assistant("Bye.")],
        [system(" "), user("A system message of a space"), assistant("So it is.")],
        [user("\U0001f600"), assistant("\U0001f680\U0001f680"), user("Mixed\r\n\ttext \u4e2d\u6587"), assistant("中文\n")],
    ]
    assert len(rows) == 40
    return rows, [(u, a, pairs[(i + 1) % len(pairs)][1]) for i, (u, a) in enumerate(pairs)]


def ended(text, eos):
    return text if text.endswith(eos) else text + eos


SENTENCE = ("Below is an instruction that describes a task. Write a response that appropriately completes the request.")
SENTENCE_INPUT = ("Below is an instruction that describes a task, paired with an input that provides further context. "
                  "Write a response that appropriately completes the request.")
VICUNA = ("A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
          "detailed, and polite answers to the user's questions.")


def alpaca_block(message):
    if message.get("input"):
        return f"### Instruction:\n{message['content']}\n\n### Input:\n{message['input']}\n\n### Response:"
    return f"### Instruction:\n{message['content']} \n\n### Response:"


def prompt_of(template, message):
    if template == "plain":
        return message["content"]
    if template == "vicuna":
        return f"{VICUNA} USER: {message['content']} ASSISTANT:"
    return f"{SENTENCE_INPUT if message.get('input') else SENTENCE}\n\n{alpaca_block(message)}"


def whole_text(template, messages, eos):
    """The text of a conversation and where its answers, with what ends them, are in it."""
    opening = messages[0]["content"] if messages[0]["role"] == "system" else None
    turns = messages if opening is None else messages[1:]
    if template == "plain":
        text = "" if opening is None else opening
    elif template == "alpaca":
        text = (SENTENCE_INPUT if turns[0].get("input") else SENTENCE) if opening is None else opening
    else:  # FastChat's ADD_COLON_TWO: "sentence USER: a ASSISTANT: b</s>USER: c ASSISTANT: d</s>"
        text = (VICUNA if opening is None else opening) + " "
    spans = []
    for i, message in enumerate(turns):
        if message["role"] == "assistant":
            answer = " " + ended(message["content"], eos)
            spans.append((len(text), len(text) + len(answer)))
            text += answer
        elif template == "plain":
            text += ("" if i == 0 and opening is None else "\n") + message["content"]
        elif template == "alpaca":
            text += "\n\n" + alpaca_block(message)
        else:
            text += f"USER: {message['content']} ASSISTANT:"
    return text, spans


def sft(tokenizer, rows, template=None):
    """Ids and masks by SFTTrainer's preparation."""
    this = SimpleNamespace(_tokenizer=tokenizer, chat_template=template, completion_only_loss="prompt" in rows[0])
    args = SimpleNamespace(dataset_num_proc=None, dataset_text_field="text", max_length=None, shuffle_dataset=False,
                           assistant_only_loss=template is not None)
    made = SFTTrainer._prepare_dataset(this, Dataset.from_list(rows), tokenizer, args, False, None, "train")
    return [(row["input_ids"], [int(label != -100) for label in row["labels"]]) for row in made]


def dpo(tokenizer, rows, template=None):
    """Ids of prompts, chosen and rejected responses by DPOTrainer's preparation."""
    this = SimpleNamespace(_tokenizer=tokenizer)
    args = SimpleNamespace(dataset_num_proc=None, max_length=None)
    tokenizer.chat_template = template
    made = DPOTrainer._prepare_dataset(this, Dataset.from_list(rows), tokenizer, args, "train")
    return [(row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]) for row in made]


def by_prefixes(tokenizer, text, spans):
    ids = tokenizer(text)["input_ids"]
    mask = [0] * len(ids)
    for start, end in spans:
        first, last = (common_prefix_length(tokenizer(text[:at])["input_ids"], ids) for at in (start, end))
        mask[first:last] = [1] * (last - first)
    return ids, mask


def reference_sft(tokenizer, template, rows):
    eos = tokenizer.eos_token
    if template in CHAT_TEMPLATES:
        return sft(tokenizer, [{"messages": [dict(m) for m in row]} for row in rows], chat_sources()[template])
    if all(len(row) == 2 for row in rows):
        return sft(tokenizer, [{"prompt": prompt_of(template, u), "completion": " " + a["content"]} for u, a in rows])
    if all(len(row) == 1 for row in rows):
        made = sft(tokenizer, [{"text": row[0]["content"]} for row in rows])
        skip = int(made[0][0][0] == tokenizer.bos_token_id)
        return [(ids, [0] * skip + mask[skip:]) for ids, mask in made]
    return [by_prefixes(tokenizer, *whole_text(template, row, eos)) for row in rows]


def reference_dpo(tokenizer, template, rows):
    if template in TEXT_TEMPLATES:
        return dpo(tokenizer, [{"prompt": prompt_of(template, user(p)), "chosen": " " + c, "rejected": " " + r}
                               for p, c, r in rows])
    made = dpo(tokenizer, [{"prompt": [user(p)], "chosen": [assistant(c)], "rejected": [assistant(r)]}
                           for p, c, r in rows], chat_sources()[template])
    if template not in ("chatml", "gemma", "zephyr"):
        return made
    cut = []
    for prompt, *sides in made:
        assert all(tokenizer.decode(side[-1:]) == "\n" for side in sides)
        cut.append((prompt, *(side[:-1] for side in sides)))
    return cut


def dpo_by_masks(tokenizer, template, rows):
    made = []
    for side in (1, 2):
        parted = []
        for ids, mask in reference_sft(tokenizer, template, [[user(row[0]), assistant(row[side])] for row in rows]):
            first, last = mask.index(1), len(mask) - mask[::-1].index(1)
            parted.append((ids[:first], ids[first:last]))
        made.append(parted)
    return [(prompt, chosen, rejected) for (prompt, chosen), (_, rejected) in zip(*made)]


def digest(*lists, mask=None):
    parts = [",".join(map(str, ids)) for ids in lists]
    if mask is not None:
        parts.append("".join(map(str, mask)))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


# Ours, to compare.

def ours(folder):
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(said):
        raise ValueError(said)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    sources = {name: (folder / f"{name}.jinja").read_text() for name in TEMPLATES}
    compiled = {name: environment.from_string(source) for name, source in sources.items()}

    def render(name, messages, tokenizer):
        """The text, and the ranges of it that are trained."""
        marked = compiled[name].render(
            messages=messages, bos_token=tokenizer.bos_token, eos_token=tokenizer.eos_token, raise_exception=refuse,
            trained=lambda text: f"\ue000{text}\ue001")
        text, spans = "", []
        for part in marked.split("\ue000"):
            inside, mark, after = part.partition("\ue001")
            if mark:
                assert name == "plain" or not text.endswith(" "), text[-40:]  # plain: the user's own space
                spans.append((len(text), len(text) + len(inside)))
            text += inside + after
        return text, spans

    return render


def overlapping(tokenizer, text, spans, bos):
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    mask = [int(any(a < end and max(b, a + 1) > start for start, end in spans)) for a, b in encoding.offsets]
    front = [tokenizer.bos_token_id] if bos == "tokenizer" else []
    return front + encoding.ids, [0] * len(front) + mask


def our_sft(render, tokenizer, template, messages, bos):
    return overlapping(tokenizer, *render(template, messages, tokenizer), bos)


def our_dpo(render, tokenizer, template, row, bos):
    prompt, *responses = row
    sides = []
    for response in responses:
        ids, mask = our_sft(render, tokenizer, template, [user(prompt), assistant(response)], bos)
        first, last = mask.index(1), len(mask) - mask[::-1].index(1)
        sides.append((ids[:first], ids[first:last]))
    return sides


def reason(got, own):
    """Why the reference departs from the rule; None where it does not."""
    if len(got) == 2:
        assert got == own, (got, own)
        return None
    (prompt, chosen), (other, rejected) = own
    if got == (prompt, chosen, rejected) and prompt == other:
        return None
    if prompt != other:
        return "the prompt's last tokens in front of one response are not those in front of the other"
    # The same tokens, parted ahead of where ours are.
    assert all(got[0] + part == front + side for part, (front, side) in zip(got[1:], own)), (got, own)
    assert len(got[0]) < len(prompt)
    return "the prompt's last tokens are others when the prompt is alone, so that TRL has them in the responses"


def text_of(tokenizer, template, messages):
    if template in TEXT_TEMPLATES:
        return whole_text(template, messages, tokenizer.eos_token)[0]
    return tokenizer.apply_chat_template(messages, chat_template=chat_sources()[template], tokenize=False)


def first_of(tokenizer, template, row, made):
    """Rows 0 and 1 in full, and the text of row 0 (of a preference's chosen side)."""
    if isinstance(row, tuple):
        full = [dict(zip(("prompt", "chosen", "rejected"), lists)) for lists in made[:2]]
        return full, text_of(tokenizer, template, [user(row[0]), assistant(row[1])])
    full = [{"ids": ids, "mask": "".join(map(str, mask))} for ids, mask in made[:2]]
    return full, text_of(tokenizer, template, row)


def bos_of(tokenizer, adds, template):
    if template in TEXT_TEMPLATES:
        return "tokenizer" if adds else "none"
    return "none" if template in ("chatml", "zephyr") else "template"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train-tokenizer", action="store_true")
    args = parser.parse_args()
    datasets.disable_progress_bars()

    data = args.data.read_bytes()
    lines = [json.loads(line) for line in data.decode().splitlines()]
    assert len(lines) == 1319 and all(set(line) == {"question", "answer"} for line in lines)
    if args.train_tokenizer:
        train_llama_like([text for line in lines for text in line.values()], args.out / "llama-like")
    tokenizers = {
        "smollm2": (smollm2(args.model), False),
        "llama-like": (PreTrainedTokenizerFast.from_pretrained(args.out / "llama-like"), True),
    }
    hard, hard_pairs = adversarial()
    render = ours(Path(__file__).resolve().parents[2] / "host/data/templates")
    cases, agreed, compared = [], 0, 0
    for name, (tokenizer, adds) in tokenizers.items():
        assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id or not adds
        for template in TEMPLATES:
            bos = bos_of(tokenizer, adds, template)
            shapes = ["instruction", "chat", "preference", "adversarial", "adversarial-preference"]
            shapes[1:1] = ["instruction-input"] if template == "alpaca" else []
            shapes[1:1] = ["text"] if template == "plain" else []
            for shape in shapes:
                case = {"tokenizer": name, "template": template, "shape": shape, "bos": bos}
                if shape.startswith("adversarial"):
                    rows = hard_pairs if "preference" in shape else hard
                else:
                    rows = rows_of(shape, template, lines)
                reference, own = (reference_dpo, our_dpo) if "preference" in shape else (reference_sft, our_sft)
                if reference is reference_dpo and (name, template) == ("smollm2", "llama-3"):
                    reference = dpo_by_masks
                if shape == "adversarial":
                    made = [None if template in WITHOUT_SYSTEM and row[0]["role"] == "system"
                            else reference(tokenizer, template, [row])[0] for row in rows]
                else:
                    made = reference(tokenizer, template, rows)
                digests, excluded = [], {}
                for i, (row, got) in enumerate(zip(rows, made)):
                    if got is None:
                        digests.append(None)
                        continue
                    why = reason(got, own(render, tokenizer, template, row, bos))
                    compared += 1
                    agreed += why is None
                    if why:
                        excluded.setdefault(why, []).append(i)
                        digests.append(None)
                    else:
                        digests.append(digest(*got) if "preference" in shape else digest(got[0], mask=got[1]))
                if excluded:
                    case["excluded"] = excluded
                    print(f"{name} {template} {shape}: without {excluded}")
                if shape.startswith("adversarial"):
                    case["digests"] = digests
                else:
                    case["digests"] = "".join(d or "-" * 12 for d in digests)
                    case["first"], case["text"] = first_of(tokenizer, template, rows[0], made)
                cases.append(case)
    print(f"{agreed} of {compared} rows agree")
    result = {
        "about": ABOUT, "data_sha256": hashlib.sha256(data).hexdigest(),
        "adversarial": {"rows": hard, "pairs": [dict(zip(("prompt", "chosen", "rejected"), p)) for p in hard_pairs]},
        "cases": cases,
    }
    text = json.dumps(result, ensure_ascii=False, separators=(",", ":")).replace('{"tokenizer"', '\n{"tokenizer"')
    (args.out / "templates.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
