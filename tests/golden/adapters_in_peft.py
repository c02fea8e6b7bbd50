"""Loads adapters that folkmoot wrote into PEFT and compares logits with the golden ones.

FOLDER has one folder for each of architectures/, written by
  FOLKMOOT_ADAPTERS=FOLDER cargo test --workspace --release --test folkmoot -- adapters_are_written
For each, PEFT loads the adapter onto transformers' model of the golden folder, and the logits of the first
row must equal those of expected.json within 1e-4.

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, peft 0.21.2.
Run: python adapters_in_peft.py FOLDER
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main():
    golden = Path(__file__).parent / "architectures"
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        expected = json.loads((golden / folder.name / "expected.json").read_text())
        base = AutoModelForCausalLM.from_pretrained(
            golden / folder.name, dtype=torch.float32, attn_implementation="eager")
        model = PeftModel.from_pretrained(base, folder).eval()
        with torch.no_grad():
            logits = model(torch.tensor([expected["ids"][0]])).logits[0]
        wanted = torch.tensor(expected["logits"])
        off = (logits - wanted).norm() / wanted.norm()
        print(f"{folder.name:<14} off by {off:.1e}")
        assert off < 1e-4, folder


if __name__ == "__main__":
    main()
