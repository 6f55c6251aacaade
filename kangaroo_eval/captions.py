"""The careful reader of replies that choose one of two captions (`caption_matching`).

It reads what a person would read, or nothing: a refusal, both captions or neither, and a sentence under another's
label are unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kangaroo_eval.careful import Reading
from kangaroo_eval.replies import CHANGE, FAILURES, clean, unreadable

_NUMBERS = ("one", "two", "three", "four", "five", "six")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_NOUN = r"(?i:options?|opt|captions?|sentences?|descriptions?|choices?|statements?|number|选项|#)"
_GAP = r"[\s\"'(\[:#-]*"
_END = r"(?![A-Za-z0-9'])"
_STATED = (
    r"(?i:\b(?:(?:best|better|correct|right|final|suitable|accurate|appropriate|closest|matching)\s+)+(?:[a-z]+\s+){0,2}?"
    r"(?:options?|captions?|sentences?|descriptions?|match|answer|choice|one)\b[^.\n:]{0,80}?(?:\bis\b|\bwould be\b|:)"
    r"|\banswer\b\W{0,3}(?:\bis\b|:)|\banswer>"
    r"|\bi(?: would|'d| will|'ll)? (?:choose|pick|select|go with|say)|\bi (?:think|believe)(?: it(?: is|'s)?)?"
    r"|\A\W*(?:choose|pick|select)|\bit(?: is|'s)|\\boxed\{)"
)
_REJECTED_BEFORE = re.compile(
    r"(?:\bnot|n't|\brather than|\binstead of|\bthan|\bunlike|\bneither|\bnor|\bexcept|\brules? out|\beliminates?)"
    r"(?:\s+the)?[\s\"'(]*$",
    re.IGNORECASE,
)
_REJECTED_AFTER = re.compile(
    r"[\"'):,.\s]*(?:\b(?:is|are|was|were|would be|can be|seems?|appears?)\s+"
    r"(?:(?!because\b|as\b|since\b|and\b|but\b|correct\b|better\b)\w+\s+){0,3}?"
    r"(?:not|incorrect|inaccurate|wrong|false|less|untrue|unsuitable|ruled out|eliminated)\b"
    r"|\b(?:isn't|wasn't|doesn't|does not|didn't|did not|cannot|can't|can not|would not|wouldn't|contradicts|fails)\b)",
    re.IGNORECASE,
)
_PREFERRED = re.compile(
    r"[\"'):,.\s]*(?:\b(?:is|was|would be|seems|appears)\s+(?:\w+\s+){0,2}?(?:correct|right|accurate|better|best|suitable)\b"
    r"|\b(?:matches|captures|describes|fits)\b)",
    re.IGNORECASE,
)


class _Captions:
    """The captions' names and sentences as patterns, in which the group `c{i}` is caption i."""

    def __init__(self, captions: Sequence[tuple[str, str]]) -> None:
        self.captions = captions
        self.sentences = [_sentence_pattern(sentence) for _, sentence in captions]
        bare = [_index_pattern(place, label, bare=True) for place, (label, _) in enumerate(captions)]
        named = [_named_pattern(place, label) for place, (label, _) in enumerate(captions)]
        self.bare = _either(bare)
        self.named = _either(named)
        self.anything = _either([f"{a}|{b}" for a, b in zip(named, self.sentences, strict=True)])
        self.shortest = _either(
            [f"{a}|{b}{_END}|{c}" for a, b, c in zip(named, bare, self.sentences, strict=True)]
        )
        whole = [
            f"{a}|(?i:{b})|(?i:(?:the )?{_ORDINALS[i]})"
            for i, (a, b) in enumerate(zip(named, bare, strict=True))
        ]
        if len(whole) == 2:
            whole = [
                f"{name}|(?i:the {word})" for name, word in zip(whole, ("former", "latter"), strict=True)
            ]
        self.whole = _either(whole)


def _sentence_pattern(sentence: str) -> str:
    words = re.findall(r"\w+", sentence)
    said = r"\W+".join(map(re.escape, words))
    return rf"(?<!\w)(?i:{said})(?!\w)" if words else "(?!)"


_ARTICLE = r"\s+(?!is\b|was\b|because\b|since\b|as\b|matches\b)[a-z]"
"""What follows an "A" that is an article: a word that is no verb."""


def _index_pattern(place: int, label: str, *, bare: bool) -> str:
    """ "2", "B", "b": the caption's own index, or its place in the other way of counting."""
    letter = "ABCDEF"[place]
    own = re.escape(label.split()[-1]) if label.split() else letter
    upper, lower = f"(?:{own}|{letter})", letter.lower()
    if letter == "A":
        lower += f"(?!{_ARTICLE})"
        upper += f"(?!{_ARTICLE})" if bare else ""
    return f"(?:{upper}|{lower}|{place + 1})"


def _named_pattern(place: int, label: str) -> str:
    index = _index_pattern(place, label, bare=False)
    return (
        rf"(?<!\w){_NOUN}{_GAP}(?:{index}|(?i:{_NUMBERS[place]})){_END}"
        rf"|(?<!\w)(?i:{_ORDINALS[place]}) (?i:one|option|caption|sentence|description|choice){_END}"
    )


def _either(patterns: Sequence[str]) -> str:
    return "(?:" + "|".join(f"(?P<c{i}>{pattern})" for i, pattern in enumerate(patterns)) + ")"


def _which(found: re.Match[str]) -> int:
    """The caption whose group matched."""
    return next(int(name[1:]) for name, said in found.groupdict().items() if said and name[0] == "c")


def caption_matching(text: str, captions: Sequence[tuple[str, str]]) -> Reading:
    """Read which caption a reply chooses: the label of one of (up to six) `captions`, pairs of label and sentence,
    or None.

    A caption is named by its label ("Option 2"), its bare index ("2", "(b)", "the second one"), or its sentence,
    exactly or nearly; a label with another caption's sentence is no choice. The span points at the name.
    """
    if FAILURES.search(text):
        return unreadable("failure_text")
    text, known = clean(text), _Captions(captions)
    if _mismatched(text, known):
        return unreadable("contradiction")
    for rule in (_whole_caption, _near_sentence, _corrected_caption, _stated_caption, _kept_caption):
        found = rule(text, known)
        if found is not None:
            place, span = found
            return Reading(captions[place][0], rule.__name__.strip("_"), span)
    return unreadable()


_Found = tuple[int, tuple[int, int]]


def _mismatched(text: str, known: _Captions) -> bool:
    """Whether a label stands directly before another caption's sentence."""
    names = (known.named, rf"(?:^|\n)[^\w\n]*{known.bare}{_END}")
    for found in (each for name in names for each in re.finditer(name, text)):
        rest = text[found.end() :].lstrip(" \t\n:.)\"'-")
        said = {i for i, sentence in enumerate(known.sentences) if re.match(sentence, rest)}
        if said and _which(found) not in said:
            return True
    return False


def _whole_caption(text: str, known: _Captions) -> _Found | None:
    """Nothing but a name, perhaps with its sentence: "2", "(b)", "Option 2: A man is dunking."."""
    found = re.fullmatch(
        rf"\W*(?:(?i:answer|response)\W+)?(?i:the )?{known.whole}\W*(?P<said>.*?)\W*(?:(?i:answer)\W*)?",
        text,
        re.DOTALL,
    )
    if found is None:
        return None
    place = _which(found)
    if found["said"] and not re.fullmatch(known.sentences[place], found["said"]):
        return None
    return place, found.span(f"c{place}")


def _near_sentence(text: str, known: _Captions) -> _Found | None:
    """The reply is a caption's sentence but for articles, endings of words and one slip of the pen."""
    said = _content(text)
    near = [i for i, (_, sentence) in enumerate(known.captions) if said and _alike(said, _content(sentence))]
    return (near[0], (len(text) - len(text.lstrip()), len(text.rstrip()))) if len(near) == 1 else None


def _content(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.lower()) if word not in {"a", "an", "the", "is", "are"}]


def _alike(one: Sequence[str], other: Sequence[str]) -> bool:
    if len(one) != len(other):
        return False
    differ = [pair for pair in zip(one, other, strict=True) if _stem(pair[0]) != _stem(pair[1])]
    return not differ or (len(differ) == 1 and _slip(*differ[0]))


def _stem(word: str) -> str:
    return re.sub(r"(?:ing|es|ed|s)$", "", word) if len(word) > 4 else word


def _slip(one: str, other: str) -> bool:
    """Whether two words of five letters or more differ by one letter that is missing, or by their order."""
    short, long = sorted((one, other), key=len)
    if len(long) < 5 or len(long) - len(short) > 1:
        return False
    if len(short) == len(long):
        return sorted(short) == sorted(long)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def _corrected_caption(text: str, known: _Captions) -> _Found | None:
    """The last name after a change of mind: "Option 1... no, wait, Option 2"."""
    named = list(re.finditer(known.named, text))
    if len(named) < 2 or _which(named[-1]) == _which(named[-2]):
        return None
    between = text[named[-2].end() : named[-1].start()]
    return (_which(named[-1]), named[-1].span()) if len(between) < 60 and CHANGE.search(between) else None


def _stated_caption(text: str, known: _Captions) -> _Found | None:
    """The last "the best option is Option 2" that is not one of a list."""
    last: _Found | None = None
    for found in re.finditer(rf"{_STATED}[\W_]*{known.shortest}", text):
        place = _which(found)
        span = found.span(f"c{place}")
        if not _rejected(text, span, known) and not _listed(text, span, known):
            last = place, span
    return last


def _kept_caption(text: str, known: _Captions) -> _Found | None:
    """The one caption that is named and not rejected, or the only one that is preferred, or the one that the reply
    begins with when no other is spelled out."""
    kept: dict[int, tuple[int, int]] = {}
    preferred: dict[int, tuple[int, int]] = {}
    paired: set[int] = set()
    for found in re.finditer(known.anything, text):
        place, span = _which(found), found.span()
        if _rejected(text, span, known):
            continue
        kept.setdefault(place, span)
        rest = text[span[1] :]
        if _PREFERRED.match(rest):
            preferred.setdefault(place, span)
        if re.match(rf"\W{{1,4}}{known.sentences[place]}", rest):
            paired.add(place)
    for group in (preferred, kept):
        if len(group) == 1:
            return next(iter(group.items()))
    if kept and not preferred and len(paired) < 2:
        place, span = next(iter(kept.items()))
        alone = not text[: span[0]].strip(" \t\n\"'(-") and re.match(
            r"[\"')]*(?:[.:,]|\s*\n)", text[span[1] :]
        )
        if alone and not _listed(text, span, known):
            return place, span
    return None


def _listed(text: str, span: tuple[int, int], known: _Captions) -> bool:
    """Whether "or", "and" or "/" joins the name to another one."""
    return bool(re.match(rf"[\s\"'),]*(?:\b(?:or|and)\b|/|,)[\s\"'(]*{known.shortest}", text[span[1] :]))


def _rejected(text: str, span: tuple[int, int], known: _Captions) -> bool:
    """Whether the writer rejects the caption at this place ("rather than Option 1", "Option 1 is incorrect")."""
    before = re.split(r"[.;!?\n]", text[max(0, span[0] - 40) : span[0]])[-1]
    rest = text[span[1] :]
    for sentence in known.sentences:
        said = re.match(rf"\W{{1,4}}{sentence}", rest)
        rest = rest[said.end() :] if said else rest
    return bool(_REJECTED_BEFORE.search(before) or _REJECTED_AFTER.match(rest))
