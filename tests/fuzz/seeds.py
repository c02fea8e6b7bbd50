"""Writes seeds into corpus/TARGET: built plugins, the hostile WAT, schemas, and a small adapter.

Usage: python3 seeds.py FOLDER_OF_COMPONENTS
"""

import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
HOSTILE = HERE.parent / "hostile"


def write(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def components(folder):
    for file in sorted(pathlib.Path(folder).glob("*.wasm")):
        write("component", file.stem, b"\0" + file.read_bytes())
    for file in sorted(HOSTILE.glob("*.wat")):
        text = file.read_text()
        for word, put in [("EXPORT", "partitioner@0.1.0"), ("BODY", "nop"), ("REALLOC", "4096"), ("TEXT", "{}"),
                          ("POINTER", "1024"), ("LENGTH", "2"), ("IMPORT", "folkmoot:plugin/run@0.1.0"),
                          ("MODULE", "")]:
            text = text.replace(word, put)
        write("component", file.stem, b"\1" + text.encode())
    for seed in range(8):
        write("component", f"module-{seed}", bytes([2]) + bytes((seed * 37 + i * 11) % 256 for i in range(400)))


def settings():
    schemas = [
        {"type": "object", "properties": {"eta": {"type": "number", "minimum": 0, "default": 1.0}},
         "additionalProperties": False},
        {"type": "object", "properties": {"kind": {"$ref": "#/$defs/Kind"}}, "required": ["kind"],
         "$defs": {"Kind": {"oneOf": [{"const": "paper"}, {"const": "other"}]}}},
        {"type": "object", "properties": {"globs": {"type": "array", "items": {"type": "string", "pattern": "^a+$"}}}},
        {"anyOf": [{"type": "null"}, {"enum": [1, "a", None]}], "patternProperties": {"^x": {"multipleOf": 0.1}}},
        {"if": {"required": ["a"]}, "then": {"uniqueItems": True}, "not": {"maxLength": 3}, "dependentSchemas": {}},
    ]
    given = [{"eta": -1}, {"kind": "paper"}, {"globs": ["aa", "b"]}, 1, {"a": [1, 1]}]
    for number, (schema, own) in enumerate(zip(schemas, given)):
        description = {"summary": "s", "references": ["r"], "settings": schema, "traits": {
            "clients_from_data": True, "asks": ["judge"],
            "scores": [{"name": "a*", "meaning": "m", "higher_is_better": True, "error": "none"}]}}
        write("settings", str(number), json.dumps(description).encode() + b"\0" + json.dumps(own).encode())


def safetensors(tensors):
    head, data = {}, b""
    for name, (shape, values) in tensors.items():
        own = struct.pack(f"<{len(values)}f", *values)
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(own)]}
        data += own
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def adapter():
    path = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors = safetensors({f"{path}.lora_A.weight": ([2, 3], [1.0] * 6), f"{path}.lora_B.weight": ([3, 2], [0.5] * 6)})
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "lora_dropout": 0.1, "target_modules": ["q_proj"],
              "bias": "none", "use_rslora": True, "rank_pattern": {}, "alpha_pattern": {"q_proj|v_proj": 3}}
    write("adapter", "peft", json.dumps(config).encode() + b"\0" + tensors)
    write("adapter", "full", b"\1" + safetensors({"model.norm.weight": ([2], [1.0, 1.0])}))


if __name__ == "__main__":
    components(sys.argv[1])
    settings()
    adapter()
