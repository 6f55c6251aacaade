"""The beginning of an answer that a task gives, for models whose answer cannot be begun: asked for in words."""

from __future__ import annotations

import re


def asked_in_words(prompt: str, prefill: str) -> str:
    """The prompt with the request to begin the answer as the task would begin it."""
    return f"{prompt}\nBegin your answer with: {prefill}"


def without_prefill(text: str, prefill: str) -> str:
    """What follows the prefill: readers get the text after it.

    A reply may repeat all of it, or only signs that it ends in ("(A)" after "Best option:("): left in place they
    would stand there twice, and official rules read "((A)" as no option. Blanks within it do not matter.
    """
    ending = re.search(r"[^\w\s]*\Z", prefill)
    assert ending is not None
    signs = ending[0]
    for beginning in (prefill, *(signs[place:] for place in range(len(signs)))):
        letters = [re.escape(letter) for letter in beginning if not letter.isspace()]
        if letters and (found := re.match(r"\s*" + r"\s*".join(letters), text)):
            return text[found.end() :]
    return text
