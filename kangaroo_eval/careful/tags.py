r"""Answers in a machine's form: \boxed{B}, <answer>B</answer>, {"answer": "B"}."""

from __future__ import annotations

import re
from typing import NamedTuple


class Value(NamedTuple):
    """What stands in the place of the answer."""

    text: str
    start: int
    end: int


_KEY = (
    r"(?:(?:final|best|correct|my|the|predicted|selected|chosen|model|multiple[_ -]?choice)?[_ -]?(?:answers?|ans|choices?|options?|predictions?|pred|letter|selection|response|selected|output|conclusion|result|label|verdict|final)"
    r"(?:[_ -]?(?:letter|choice|option|id|key|label|answer|value|text))?|答案|选项|选择|正确答案|最终答案|respuesta|réponse|antwort|resposta|risposta|ответ)"
)
_TAG = re.compile(
    rf"<(?P<tag>{_KEY})\b[^<>]{{0,40}}>(?P<tagged>[^<]{{0,600}})(?:</(?P=tag)>|</|$)"
    rf"|\[(?P<square>{_KEY})\](?P<squared>[^\[]{{0,600}})(?:\[/(?P=square)\]|$)"
    r"|<\|begin_of_box\|>(?P<glm>[^<]{0,600})(?:<\|end_of_box\|>|$)"
    r"|\[\[(?P<double>[^\[\]]{1,80})\]\]",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\?(?:boxed|fbox)\s*\{")
_JSON = re.compile(
    rf"[\"'](?P<key>{_KEY})[\"']\s*:\s*(?P<value>\"(?:[^\"\\]|\\.){{0,600}}\"|'[^'\n]{{0,600}}'(?=\s*[,}}\]\n])|\[[^\[\]]{{0,300}}\]|\{{[^{{}}]{{0,300}}\}}|[^\s,}}\"']{{1,40}}|\"[^\"\n]{{0,80}}$)",
    re.IGNORECASE,
)
_RANK = re.compile(r"final|best|correct|answer|答案|ans|respuesta|réponse|antwort", re.IGNORECASE)


def _braced(text: str, start: int) -> int:
    depth = 1
    for at in range(start, min(len(text), start + 400)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return min(len(text), start + 400)


def tagged(text: str) -> Value | None:
    """The last answer in a tag or box; else the value of the JSON key that says most plainly "answer"."""
    found = [
        Value(match[group], *match.span(group))
        for match in (_TAG.finditer(text) if "<" in text or "[" in text else ())
        for group in ("tagged", "squared", "glm", "double")
        if match[group] is not None
    ]
    if "box{" in text or "boxed" in text:
        for match in _BOXED.finditer(text):
            end = _braced(text, match.end())
            found.append(Value(text[match.end() : end], match.end(), end))
    found = [value for value in found if any(char.isalnum() for char in value.text)] or found[-1:]
    if found:
        return _last(text, sorted(found, key=lambda value: value.start))
    if ":" not in text or not ("{" in text or text.lstrip()[:1] in ("'", '"')):
        return None
    keyed = [match for match in _JSON.finditer(text)]
    if not keyed:
        return None
    best = max(keyed, key=lambda match: (bool(_RANK.search(match["key"])), -match.start()))
    return Value(best["value"], *best.span("value"))


_SCORE = re.compile(r"[\"']([A-Z])[\"']\s*:\s*(\d{0,3}\.?\d{1,6}|[Tt]rue|[Ff]alse)")


def best_scored(text: str) -> tuple[str, int] | None:
    """The letter with the highest of the scores that a reply gives every letter, and its place."""
    found = list(_SCORE.finditer(text)) if ":" in text and "{" in text else []
    scores = {
        m[1]: (float(m[2]) if m[2][0] in ".0123456789" else float(m[2].lower() == "true")) for m in found
    }
    best = [m for m in found if scores[m[1]] == max(scores.values())]
    return (best[0][1], best[0].start(1)) if len(scores) > 1 and len(best) == 1 else None


def _last(text: str, found: list[Value]) -> Value:
    """The last box; two boxes that are joined ("A and B") are one answer."""
    if len(found) > 1:
        first, last = found[-2:]
        if re.fullmatch(
            r"[\s}$\\]*(?:,|and|or|和|或)[\s$\\{]*(?:boxed\{)?", text[first.end : last.start], re.IGNORECASE
        ):
            return Value(f"{first.text} and {last.text}", first.start, last.end)
    return found[-1]
