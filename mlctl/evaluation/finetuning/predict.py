"""Predictions of a fine-tuned model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mlctl.evaluation.finetuning.features import IGNORED, Row, autocast, collate


@torch.inference_mode()
def predict_labels(model: Any, rows: Sequence[Row], padding: int, batch_rows: int, bf16: bool = False) -> list[int]:
    """Return the label id of each row."""
    predictions = [0] * len(rows)
    for indices, _, logits in _logits(model, rows, False, padding, batch_rows, bf16):
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
    for indices, labels, logits in _logits(model, rows, True, padding, batch_rows, bf16):
        best = logits.argmax(-1)
        probabilities = logits.softmax(-1).gather(-1, best.unsqueeze(-1)).squeeze(-1)
        for index, is_first, tags, values in zip(indices, labels != IGNORED, best, probabilities, strict=True):
            row_tags[index] = list(zip(tags[is_first].tolist(), values[is_first].tolist(), strict=True))
    predictions: list[list[tuple[int, float]]] = [[] for _ in range(examples)]
    for row, tagged in zip(rows, row_tags, strict=True):
        predictions[row.example] += tagged
    return predictions


def _logits(
    model: Any, rows: Sequence[Row], token_labels: bool, padding: int, batch_rows: int, bf16: bool
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Yield indices of rows, their labels and their logits, longest rows first."""
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids), reverse=True)
    for first in range(0, len(order), batch_rows):
        indices = order[first : first + batch_rows]
        batch = collate([rows[index] for index in indices], padding, token_labels)
        ids, mask, types = (column.to(device) for column in batch[:3])
        with autocast(device, bf16):
            logits: Tensor = model(input_ids=ids, attention_mask=mask, token_type_ids=types).logits
        yield indices, batch.labels, logits.float().cpu()
