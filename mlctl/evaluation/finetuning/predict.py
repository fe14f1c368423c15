"""What a fine-tuned model answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlctl.evaluation.finetuning.features import IGNORED, Row, autocast, laid


@torch.inference_mode()
def answered_pairs(model: Any, rows: Sequence[Row], padding: int, batch_rows: int, bf16: bool = False) -> list[int]:
    """Return the label of each row."""
    found = [0] * len(rows)
    for places, _, scores in _scored(model, rows, False, padding, batch_rows, bf16):
        for place, label in zip(places, scores.argmax(-1).tolist(), strict=True):
            found[place] = label
    return found


@torch.inference_mode()
def answered_tags(
    model: Any, rows: Sequence[Row], examples: int, padding: int, batch_rows: int, bf16: bool = False
) -> list[list[int]]:
    """Return a label for each word of each example: what its first subword gets."""
    pieces: list[list[int]] = [[] for _ in rows]
    for places, labels, scores in _scored(model, rows, True, padding, batch_rows, bf16):
        for place, wanted, best in zip(places, labels != IGNORED, scores.argmax(-1), strict=True):
            pieces[place] = best[wanted].tolist()
    found: list[list[int]] = [[] for _ in range(examples)]
    for row, tags in zip(rows, pieces, strict=True):
        found[row.example] += tags
    return found


def _scored(model: Any, rows: Sequence[Row], tagged: bool, padding: int, batch_rows: int, bf16: bool) -> Any:
    """Yield places of rows, their labels and their scores, longest rows first."""
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda place: len(rows[place].ids), reverse=True)
    for first in range(0, len(order), batch_rows):
        places = order[first : first + batch_rows]
        batch = laid([rows[place] for place in places], padding, tagged)
        ids, there, kinds = (column.to(device) for column in batch[:3])
        with autocast(device, bf16):
            scores: Tensor = model(input_ids=ids, attention_mask=there, token_type_ids=kinds).logits
        yield places, batch.labels, scores.float().cpu()
