"""Caption refinement: Eq. 2 of the paper finds captions that repeat themselves, and patterns those that are refusals.

S_ij = |words_i & words_j| / |words_i | words_j| over the sentences of one caption; a caption's similarity is the largest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Literal, NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation.language import language, split, words

Reason = Literal["", "empty", "refusal", "repeated"]
"""Why a caption is not kept; "" where it is."""

_CANNOT = (
    r"(?:cannot|can not|can't|could not|couldn't|am unable to|'m unable to|am not able to|'m not able to)"
)
_ENGLISH = (
    r"^i(?:'m| am) (?:very |really |so |truly )?(?:sorry|unable to|not able to|afraid (?:that )?i\b)",
    rf"^(?:sorry|apologies|my apologies|unfortunately)[,.!]? (?:but )?(?:i {_CANNOT}|i'm|i am|as an ai|this model)",
    r"^i apologi[sz]e\b",
    r"^as an? (?:ai,|ai i\b|ai (?:language )?(?:model|assistant)|artificial intelligence\b|(?:large )?language model)",
    rf"^i {_CANNOT} (?:assist|help|provide|describe|view|see|watch|access|process|analy[sz]e|identify|determine|generate|"
    r"answer|fulfill|comply)\b",
    rf"\bi ?{_CANNOT} (?:view|see|watch|access|open|play|process|analy[sz]e) (?:the |this |that |any |your )?"
    r"(?:video|image|picture|frame|clip|file)",
)
_CHINESE = (
    r"^(?:非常|十分|很|实在|我很)?抱歉",
    r"^(?:非常|十分|很|实在)?对不起[，,。！!]",
    r"^(?:我|我们|目前|当前)?(?:无法|不能|没办法|没有办法)(?:提供|描述|查看|观看|看到|识别|确定|回答|处理|访问|判断|分析|播放|满足|完成|打开|生成)",
    r"^作为一?(?:个|名|款)?(?:AI|人工智能|大?语言模型|大模型)",
)
_REFUSAL = re.compile("|".join((*_ENGLISH, *_CHINESE)), re.IGNORECASE)


class Pair(NamedTuple):
    """Two sentences of one caption, and Eq. 2 of them (0 to 1)."""

    score: float
    first: str
    second: str


class Verdict(NamedTuple):
    """Whether a caption is kept, why not, its similarity (Eq. 2), and the two sentences that are so alike (kept or not; None
    where it has fewer than two)."""

    kept: bool
    reason: Reason
    score: float
    pair: Pair | None

    def told(self) -> str:
        """The verdict in one line."""
        if self.reason == "repeated" and self.pair is not None:
            return f"repeated: {self.pair.first!r} and {self.pair.second!r} share {self.score:.0%} of their words"
        return self.reason or "kept"


def overlap(first: frozenset[str], second: frozenset[str]) -> float:
    """Eq. 2 of two sets of words: the share of their union that both have; 0 of two empty ones."""
    union = len(first | second)
    return len(first & second) / union if union else 0.0


def most_alike(caption: str) -> Pair | None:
    """The two sentences of a caption that are most alike, the first such two; None where it has fewer than two.

    Sentences of one language are compared; those of two share no word. A sentence without a word is none.
    """
    best: Pair | None = None
    sets = [(each, language(each), frozenset(words(each))) for each in split(caption)]
    for one, other in combinations([each for each in sets if each[2]], 2):
        score = overlap(one[2], other[2]) if one[1] == other[1] else 0.0
        if best is None or score > best.score:
            best = Pair(score, one[0], other[0])
    return best


def similarity(caption: str) -> float:
    """A caption's similarity: the largest of Eq. 2 over its pairs of sentences, 0 to 1; 0 of fewer than two sentences."""
    pair = most_alike(caption)
    return pair.score if pair is not None else 0.0


def is_refusal(text: str) -> bool:
    """Whether a captioner refused, or said that it cannot see, instead of describing: "I'm sorry, I cannot ...", "As an AI",
    "抱歉", "我无法". What is said in the video ("无法" in the middle, "Sorry" in quotation marks) is no refusal."""
    return _REFUSAL.search(text.strip().replace("’", "'")) is not None


def refine(captions: Iterable[str], threshold: float) -> Iterator[Verdict]:
    """The verdict on each caption; those with a similarity above `threshold` are not kept.

    The paper gives no threshold: look at the histogram of `similarity` over one's own captions. At once a UserError for
    one that is not from 0 up to, and below, 1.
    """
    if not 0 <= threshold < 1:
        raise UserError(
            f"similarity threshold {threshold:g} must be at least 0 and below 1: at 1 a sentence repeated word for word stays"
        )
    return (_verdict(each, threshold) for each in captions)


def _verdict(caption: str, threshold: float) -> Verdict:
    if not any(char.isalnum() for char in caption):
        return Verdict(False, "empty", 0.0, None)
    pair = most_alike(caption)
    score = pair.score if pair is not None else 0.0
    if is_refusal(caption):
        return Verdict(False, "refusal", score, pair)
    repeated = score > threshold
    return Verdict(not repeated, "repeated" if repeated else "", score, pair)
