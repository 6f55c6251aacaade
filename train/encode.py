"""A training row -> token ids and labels, built from token spans: which tokens are learnt is never searched for in text.

The ids are those that the harness asks the trained network with (`KangarooProcessor.prompt_ids`), followed by those
of the answer. Special tokens spelt in a text stay text.
"""

from __future__ import annotations

from typing import NamedTuple

from kangaroo_eval.model.processing import KangarooProcessor, Turn
from kangaroo_eval.train.batch import IGNORED
from kangaroo_eval.train.rows import Row


class Encoded(NamedTuple):
    """Token ids of a conversation, and the same where a token is learnt, `IGNORED` elsewhere; not shifted. `branches`:
    see `batch.Document`."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    branches: tuple[int, ...] = ()


class Encoder:
    """Encodes rows for one processor. The fixed pieces of its chat format are made once."""

    def __init__(self, processor: KangarooProcessor) -> None:
        bare = processor.prompt_ids("")
        later = processor.prompt_ids("", history=[Turn("", "")])
        self._processor = processor
        self._begin = bare.prefix
        self._opened = bare.suffix
        # What the processor puts between an earlier answer and the next question, less the token that ends the
        # answer, which `reply_ids` gives.
        end = processor.reply_ids("")
        self._between = later.suffix[len(bare.suffix) + len(end) : len(later.suffix) - len(bare.suffix)]

    def encode(self, row: Row, frames: int) -> Encoded:
        """The whole conversation. Learnt are the assistant's tokens and the token that ends each of its turns.

        `frames` are those of the row's video: 1 for a picture, 0 for text alone. The visual sequence opens the first
        user turn. ValueError where `frames` contradicts the row.
        """
        ids = self._prefix(row) + (self._processor.visual_ids(frames) if _visual(row, frames) else [])
        labels = [IGNORED] * len(ids)
        turns = [message for message in row.messages if message.role != "system"]
        branches = []
        for place, (asked, answered) in enumerate(zip(turns[::2], turns[1::2], strict=True)):
            between = self._between if place and not row.apart else []
            question = between + self._processor.text_ids(asked.content) + self._opened
            question += self._processor.text_ids(answered.prefill)
            answer = self._processor.reply_ids(answered.content)
            ids += question + answer
            labels += [IGNORED] * len(question) + answer
            branches.append(len(question) + len(answer))
        return Encoded(tuple(ids), tuple(labels), tuple(branches) if row.apart else ())

    def length(self, row: Row, frames: int) -> int:
        """The number of ids that `encode` gives."""
        length = len(self._prefix(row))
        length += self._processor.layout.sequence_length(frames) if _visual(row, frames) else 0
        rounds = sum(message.role == "user" for message in row.messages)
        length += rounds * (len(self._opened) + len(self._processor.reply_ids("")))
        length += 0 if row.apart else (rounds - 1) * len(self._between)
        turns = [message for message in row.messages if message.role != "system"]
        texts = [text for message in turns for text in (message.prefill, message.content)]
        return length + sum(len(self._processor.text_ids(text)) for text in texts)

    def _prefix(self, row: Row) -> list[int]:
        first = row.messages[0]
        if first.role != "system":
            return list(self._begin)
        return self._processor.prompt_ids("", system=first.content).prefix


def encode(row: Row, processor: KangarooProcessor, frames: int) -> Encoded:
    """`Encoder.encode` of one row."""
    return Encoder(processor).encode(row, frames)


def length(row: Row, processor: KangarooProcessor, frames: int) -> int:
    """`Encoder.length` of one row: tokens, visual ones and special ones among them."""
    return Encoder(processor).length(row, frames)


def _visual(row: Row, frames: int) -> bool:
    if (row.video is None) != (frames == 0) or (row.image and frames != 1):
        raise ValueError(f"row {row.id!r}: {frames} frames of {row.video or 'no video'}")
    return frames > 0
