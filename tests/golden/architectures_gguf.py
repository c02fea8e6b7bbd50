"""Golden GGUF files of the models architectures.py makes, laid out as llama.cpp's converter does.

Makes OUT_DIR/NAME/model.gguf for llama3, qwen2, qwen3, gemma2 and gemma3, from the weights in the
folder. Names, values and metadata are those of llama.cpp's convert_hf_to_gguf.py (--outtype f16, as
of mid-2026): matrices F16, vectors and norms F32, everything else below.

  llama3   rows of q and k permuted within each head, so that pairs to rotate lie side by side: row
           2i+j of a head holds its row i + j*head_dim/2. rope_freqs.weight, f32, head_dim/2 factors
           that the frequencies are divided by; rope.scaling.* stays away. (The converter takes an
           original length of 8192 here whatever the config says, unless that has it outside
           rope_parameters; the factors written are those for the config's 16.)
  qwen2    biases attn_q.bias, attn_k.bias, attn_v.bias; nothing permuted, nor for those below
  qwen3    attn_q_norm.weight, attn_k_norm.weight; attention.key_length and value_length as head_dim
           is not embedding_length / head_count; output.weight, the one untied head here
  gemma2   norms written as 1 + w; attn_norm, post_attention_norm, ffn_norm (what Hugging Face calls
           pre_feedforward_layernorm), post_ffw_norm; attn_logit_softcapping,
           final_logit_softcapping, attention.sliding_window. No rope.freq_base: 10000
  gemma3   norms likewise, and those of q and k; rope.freq_base of the full layers,
           rope.freq_base_swa of the sliding ones (older files lack it: 10000),
           rope.scaling.type linear and rope.scaling.factor, of the full layers only

Which layers slide is not in the file: for gemma2 all but every second, for gemma3 all but every
sixth. Nor is query_pre_attn_scalar: a reader scales attention by 1 / sqrt(head_dim) (but 27B models,
known by their 46 or 62 layers, by 1 / sqrt(embedding_length / head_count)). So gemma2 and gemma3
here agree with head_dim_scaled in expected.json, not with loss and logits; the other three with
loss and logits (base_loss and base_logits without the adapter).

llama3, qwen2 and qwen3 have a byte-level BPE vocabulary (tokenizer.ggml.model gpt2, pre llama-bpe or
qwen2) of 3 control tokens, 43 single characters, and 2 merges; gemma2 and gemma3 a SentencePiece one
(model llama) of the same size.

Checked: transformers, given the folder's config.json, reads the same logits from the file to the
last bit in all five, with the rotation factors and query_pre_attn_scalar from config.json. Unaided
(from_pretrained(folder, gguf_file="model.gguf")) it does so for qwen2 alone: for llama3 it ignores
rope_freqs.weight, for qwen3 attention.key_length, for gemma2 and gemma3 it keeps its defaults of
soft-caps and query_pre_attn_scalar, and ignores rope.scaling and rope.freq_base_swa; the script
prints which load. Where cyllama 0.2.18 is there, llama.cpp itself (b9190) is run too, on F32 copies
of the files (for F16 matrices it rounds activations): its logits of row 0 are within 3e-6 of
base_logits. It looks the Gemmas' GELU up in a float16 table, which puts it 0.003 off head_dim_scaled's
base_logits, but within 2e-4 of what transformers computes with the same rounding around the GELU.

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, gguf 0.19.0, safetensors 0.8.0.
Run: OMP_NUM_THREADS=1 python architectures_gguf.py OUT_DIR   (after architectures.py, with the same
OUT_DIR; ten seconds)
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

from architectures import load  # the module beside this one

ARCHITECTURES = {"llama3": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3", "gemma2": "GEMMA2", "gemma3": "GEMMA3"}


def permute(weights, heads):
    """Rows i and i + head_dim/2 of a head, which Hugging Face rotates together, become neighbours."""
    split = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return split.swapaxes(1, 2).reshape(weights.shape)


def rotation_factors(config):
    rope = config["rope_parameters"]
    half = torch.arange(0, config["head_dim"], 2, dtype=torch.float32) / config["head_dim"]
    low, high, original = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    factors = []
    for frequency in 1.0 / rope["rope_theta"] ** half:
        wavelength = 2 * math.pi / frequency.item()
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(rope["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def add_parameters(writer, name, config):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if "head_dim" in config:  # all but qwen2
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    rope = config["rope_parameters"]
    if name == "llama3":
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(config["head_dim"])
    elif name.startswith("qwen"):
        writer.add_rope_freq_base(rope["rope_theta"])
    elif name == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
        writer.add_sliding_window(config["sliding_window"])
    else:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["full_attention"]["factor"])
        writer.add_rope_freq_base(rope["full_attention"]["rope_theta"])
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        writer.add_sliding_window(config["sliding_window"])


def add_vocabulary(writer, name, config):
    sentencepiece = name.startswith("gemma")
    space = "▁" if sentencepiece else "Ġ"
    control = [""] * 3
    control[config["bos_token_id"]], control[config["eos_token_id"]] = "<bos>", "<eos>"
    control[control.index("")] = "<pad>"
    tokens = control + list("abcdefghijklmnopqrstuvwxyz0123456789.,!?'-") + [space, "th", f"{space}t"]
    assert len(tokens) == config["vocab_size"], len(tokens)
    writer.add_tokenizer_model("llama" if sentencepiece else "gpt2")
    writer.add_tokenizer_pre("default" if sentencepiece else "llama-bpe" if name == "llama3" else "qwen2")
    writer.add_token_list(tokens)
    if sentencepiece:
        writer.add_token_scores([0.0 if i < 3 else -float(i) for i in range(len(tokens))])
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3))
    if not sentencepiece:
        writer.add_token_merges(["t h", f"{space} t"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(tokens.index("<pad>"))
    writer.add_add_bos_token(not name.startswith("qwen"))
    if sentencepiece:
        writer.add_add_space_prefix(False)


def write(folder, name, path, file_type):
    config = json.loads((folder / "config.json").read_text())
    weights = {key: p.numpy() for path in sorted(folder.glob("*.safetensors")) if path.name.startswith("model")
               for key, p in load_file(path).items()}
    architecture = gguf.MODEL_ARCH[ARCHITECTURES[name]]
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_size_label(gguf.size_label(sum(p.size for p in weights.values()), 0, 0, 0))
    add_parameters(writer, name, config)
    writer.add_file_type(file_type)
    add_vocabulary(writer, name, config)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

    if name == "llama3":
        writer.add_tensor("rope_freqs.weight", rotation_factors(config))
    for key, p in weights.items():
        if name == "llama3" and "q_proj" in key:
            p = permute(p, config["num_attention_heads"])
        if name == "llama3" and "k_proj" in key:
            p = permute(p, config["num_key_value_heads"])
        if p.ndim == 1 or file_type == gguf.LlamaFileType.ALL_F32:
            p = p.astype(np.float32)
        if name.startswith("gemma") and key.endswith("norm.weight"):
            p = p + np.float32(1)
        writer.add_tensor(names.get_name(key, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(p))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def check_transformers(folder, name, ids):
    options = dict(gguf_file="model.gguf", dtype=torch.float32, attn_implementation="eager")
    wanted = logits_of(load(folder), ids)
    aided = AutoModelForCausalLM.from_pretrained(folder, config=AutoConfig.from_pretrained(folder), **options).eval()
    assert torch.equal(logits_of(aided, ids), wanted), name
    try:
        apart = (logits_of(AutoModelForCausalLM.from_pretrained(folder, **options).eval(), ids) - wanted).abs().max()
        return "alike" if apart == 0 else f"{apart:.2f} apart"
    except Exception as error:  # whatever it says to a shape it does not expect
        return f"refused ({str(error).splitlines()[0][:60]})"


def rounded_gelu(folder, ids):
    """A Gemma's logits as llama.cpp computes them: its scale, and its GELU from float16 to float16."""
    model = load(folder)
    for layer in model.model.layers:
        layer.self_attn.scaling = model.config.head_dim ** -0.5
        layer.mlp.act_fn.forward = lambda x: functional.gelu(x.half().float(), approximate="tanh").half().float()
    return logits_of(model, ids).numpy()


def check_llama_cpp(folder, name, ids, wanted):
    try:
        from cyllama.llama import llama_cpp as cpp
    except ImportError:
        return "not there"
    cpp.disable_logging()
    params = cpp.LlamaModelParams()
    params.n_gpu_layers = 0

    class Model(cpp.LlamaModel):
        n_vocab = len(wanted[0])  # which the package asks for and does not define

    with tempfile.TemporaryDirectory() as other:  # f16 matrices would have it round its activations
        path = Path(other) / "model.gguf"
        write(folder, name, path, gguf.LlamaFileType.ALL_F32)
        model = Model(path_model=str(path), params=params)
    params = cpp.LlamaContextParams()
    params.n_ctx = params.n_batch = params.n_ubatch = 64
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = 0  # f32
    params.flash_attn_type = 0
    context = cpp.LlamaContext(model=model, params=params)
    batch = cpp.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1)
    for position, token in enumerate(ids):
        batch.add(token, position, [0], True)
    context.decode(batch)
    found = np.array([context.get_logits_ith(i) for i in range(len(ids))])
    apart = np.abs(found - np.array(wanted)).max()
    if not name.startswith("gemma"):
        assert apart < 1e-5, apart
        return f"{apart:.1e} apart"
    rounded = np.abs(found - rounded_gelu(folder, ids)).max()
    assert apart < 5e-3 and rounded < 5e-4, (apart, rounded)
    return f"{apart:.1e} apart, {rounded:.1e} with its GELU"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    for name in ARCHITECTURES:
        folder = out / name
        write(folder, name, folder / "model.gguf", gguf.LlamaFileType.MOSTLY_F16)
        expected = json.loads((folder / "expected.json").read_text())
        ids, wanted = expected["ids"][0], expected.get("head_dim_scaled", expected)["base_logits"]
        print(f"{name}: {(folder / 'model.gguf').stat().st_size} bytes; "
              f"transformers unaided: {check_transformers(folder, name, ids)}; "
              f"llama.cpp: {check_llama_cpp(folder, name, ids, wanted)}")


if __name__ == "__main__":
    main()
