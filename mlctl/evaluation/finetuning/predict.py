"""Predictions of a fine-tuned model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mlctl.evaluation.finetuning.features import IGNORED, Row, autocast, collate
from mlctl.modeling.architectures import Head

#: Candidates for the first and for the last token of an answer, of each window.
N_BEST = 20


@torch.inference_mode()
def predict_labels(
    model: Any, rows: Sequence[Row], padding: int, batch_rows: int, bf16: bool = False, head: Head = "classifier"
) -> list[int]:
    """Return the label id of each row; a row with choices counts as so many rows of a batch."""
    predictions = [0] * len(rows)
    choices = max((len(row.choices) for row in rows), default=0)
    for indices, _, logits in _logits(model, rows, head, padding, max(1, batch_rows // max(1, choices)), bf16):
        for index, label in zip(indices, logits.argmax(-1).tolist(), strict=True):
            predictions[index] = label
    return predictions


@torch.inference_mode()
def predict_tags(
    model: Any, rows: Sequence[Row], examples: int, padding: int, batch_rows: int, bf16: bool = False
) -> list[list[int]]:
    """Return a label id for each word of each example: that of its first subword."""
    predicted = predict_tag_probabilities(model, rows, examples, padding, batch_rows, bf16)
    return [[tag for tag, _ in tags] for tags in predicted]


@torch.inference_mode()
def predict_tag_probabilities(
    model: Any, rows: Sequence[Row], examples: int, padding: int, batch_rows: int, bf16: bool = False
) -> list[list[tuple[int, float]]]:
    """Return (label id, its probability) for each word of each example: those of its first subword."""
    row_tags: list[list[tuple[int, float]]] = [[] for _ in rows]
    for indices, labels, logits in _logits(model, rows, "tagger", padding, batch_rows, bf16):
        best = logits.argmax(-1)
        probabilities = logits.softmax(-1).gather(-1, best.unsqueeze(-1)).squeeze(-1)
        for index, is_first, tags, values in zip(indices, labels != IGNORED, best, probabilities, strict=True):
            row_tags[index] = list(zip(tags[is_first].tolist(), values[is_first].tolist(), strict=True))
    predictions: list[list[tuple[int, float]]] = [[] for _ in range(examples)]
    for row, tagged in zip(rows, row_tags, strict=True):
        predictions[row.example] += tagged
    return predictions


@torch.inference_mode()
def predict_spans(
    model: Any, rows: Sequence[Row], examples: int, padding: int, batch_rows: int, max_tokens: int, bf16: bool = False
) -> list[tuple[int, int]]:
    """Return the character range of each example's answer in its context: the best span of all its windows.

    A span's score is the sum of its first token's and its last token's logit. It has at most `max_tokens` tokens, all of the context,
    and both ends are among the `N_BEST` best of their window (Devlin et al. 2019). Of equal spans the first one counts; an example whose
    windows are empty has the range (0, 0).
    """
    best = [float("-inf")] * examples
    answers = [(0, 0)] * examples
    found: list[tuple[float, int, int] | None] = [None] * len(rows)
    for indices, _, logits in _logits(model, rows, "span", padding, batch_rows, bf16):
        for index, (starts, ends) in zip(indices, logits, strict=True):
            found[index] = _best_span(starts, ends, rows[index].offsets, max_tokens)
    for row, span in zip(rows, found, strict=True):
        if span is not None and span[0] > best[row.example]:
            best[row.example] = span[0]
            answers[row.example] = row.offsets[span[1]][0], row.offsets[span[2]][1]
    return answers


def _best_span(
    starts: Tensor, ends: Tensor, offsets: Sequence[tuple[int, int]], max_tokens: int
) -> tuple[float, int, int] | None:
    """Return score, first and last token of the best span of a window; None if the context has no token in it."""
    inside = [index for index, (first, last) in enumerate(offsets) if last > first]
    if not inside:
        return None
    low, high = inside[0], inside[-1] + 1
    first, last = (_n_best(logits[low:high]) for logits in (starts, ends))
    spans = [
        (float(starts[low + start]) + float(ends[low + end]), low + start, low + end)
        for start in first
        for end in last
        if start <= end < start + max_tokens
    ]
    if spans:
        return max(spans, key=lambda span: (span[0], -span[1], -span[2]))
    alone = int((starts + ends)[low:high].argmax()) + low
    return float(starts[alone] + ends[alone]), alone, alone


def _n_best(logits: Tensor) -> list[int]:
    return list(logits.topk(min(N_BEST, len(logits))).indices.tolist())


def _logits(
    model: Any, rows: Sequence[Row], head: Head, padding: int, batch_rows: int, bf16: bool
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Yield indices of rows, their labels and their logits, longest rows first; logits of spans are (B, 2, T): first and last token."""
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids), reverse=True)
    for first in range(0, len(order), batch_rows):
        indices = order[first : first + batch_rows]
        batch = collate([rows[index] for index in indices], padding, head)
        ids, mask, types = (column.to(device) for column in batch[:3])
        with autocast(device, bf16):
            output = model(input_ids=ids, attention_mask=mask, token_type_ids=types)
            logits: Tensor = torch.stack([output.start_logits, output.end_logits], 1) if head == "span" else output.logits
        yield indices, batch.labels, logits.float().cpu()
