"""Make `src/dragoman/routing/lexicon.dgm`: what words mean, distilled from a sentence embedding model.

    python scripts/distil_lexicon.py MODEL.onnx TOKENIZER.json OUTCOMES...

It needs onnxruntime and tokenizers, which the project does not. The shipped file was made with all-MiniLM-L6-v2
(Apache-2.0), and the outcomes files that are named in docs/router.md.

Every whole English word of the model's vocabulary, and every other word that two of the questions have, is embedded by
itself. A word weighs 0.1 / (0.1 + the part of the questions that have it). A question is the weighted mean of its
words; of what sets questions apart, the main components are kept, eight bits for each.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from dragoman.routing import artifact, lexicon, outcomes
from dragoman.routing.text import normalise, words

DIMENSIONS = 24
COMMON = 0.1
BATCH = 128


def embed(texts: list[str], model: onnxruntime.InferenceSession, tokenizer: Tokenizer) -> np.ndarray:
    """Mean of the last layer's vectors, of length one."""
    found = []
    for start in range(0, len(texts), BATCH):
        encoded = tokenizer.encode_batch(texts[start : start + BATCH])
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (out, *_) = model.run(None, {each.name: given[each.name] for each in model.get_inputs()})
        if out.ndim == 3:
            out = (out * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        found.append(out / np.linalg.norm(out, axis=1, keepdims=True))
    return np.concatenate(found)


def main() -> None:
    model_path, tokenizer_path, *sources = sys.argv[1:]
    tokenizer = Tokenizer.from_file(tokenizer_path)
    tokenizer.enable_padding()
    questions = [words(normalise(row.prompt)) for row in outcomes.answered([Path(source) for source in sources])]
    counts = Counter(word for question in questions for word in set(question) if word.isalpha())
    listed = [word for word in tokenizer.get_vocab() if word.isalpha() and word.isascii() and word.islower()]
    listed = [word for word in listed if len(word) > 1]
    every = list(dict.fromkeys([*listed, *(word for word, count in counts.items() if count > 1)]))
    vectors = embed(every, onnxruntime.InferenceSession(model_path), tokenizer)
    vectors -= vectors.mean(0)
    weights = COMMON / (COMMON + np.array([counts[word] for word in every]) / len(questions))
    place = {word: number for number, word in enumerate(every)}
    means = np.zeros((len(questions), vectors.shape[1]))
    for line, question in enumerate(questions):
        found = Counter(place[word] for word in question if word in place)
        if found:
            weight = np.log1p(list(found.values())) * weights[list(found)]
            means[line] = weight @ vectors[list(found)] / weight.sum()
    _, _, components = np.linalg.svd(means - means.mean(0), full_matrices=False)
    table = (vectors - means.mean(0)) @ components[:DIMENSIONS].T
    scale = float(np.quantile(np.abs(table), 0.9999) / 127)
    about = {"words": every, "scale": scale, "source": f"{Path(model_path).name}, word by word; see docs/router.md"}
    whole = np.clip(np.round(table / scale), -127, 127).astype("i1")
    arrays = {"vectors": whole, "weights": weights.astype("f2")}
    lexicon.SHIPPED.write_bytes(artifact.pack("lexicon", about, arrays))


if __name__ == "__main__":
    main()
