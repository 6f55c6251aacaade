"""The options of a question, as the careful reader looks for them in a reply."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from kangaroo_eval.careful.text import fold
from kangaroo_eval.careful.words import ARTICLES, EMPTY, Token, tokens, words


def letters_of(options: Sequence[str]) -> str:
    """The letters A, B, ... of these options."""
    return string.ascii_uppercase[: len(options)]


_LABEL = re.compile(r"^\s*[(\[]?[A-Z][)\].:]\s*")


def plain(text: str) -> str:
    """An option's text for comparison: lower case, no punctuation, no leading letter."""
    return " ".join(re.sub(r"[^\w\s]", " ", _LABEL.sub("", text).lower()).split())


class Named(NamedTuple):
    """Which options (by index) words name, where, and whether by their very text."""

    options: frozenset[int]
    start: int
    end: int
    exact: bool


_UNKNOWN = re.compile(
    r"\b(?:can ?not|can't|could not|couldn't|unable to) (?:be |say|tell|determine|know|infer|decide|answer)"
    r"|\bnot (?:sure|enough|clear|possible|given|specified|mentioned|determinable)|\bunknown\b|\bdon't know\b|\bdo not know\b|\bunclear\b"
    r"|impossible to|\bundetermin|\bindetermin|insufficient|\buncertain|无法|不确定|不知道|不清楚|nicht (?:bestimm|erkenn)",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"\bnone (?:of|is|are)\b|^\W*none\W*$|^\W*neither\b|\bnot listed\b|都不(?:是|对)?|以上皆非|keine? (?:der|davon)",
    re.IGNORECASE,
)
_ALL = re.compile(
    r"\ball (?:of )?(?:the )?(?:above|these|them|three|four|options)|^\W*all\W*$|以上(?:都|皆)(?:是|对)|^\W*全部",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"^\W*both\b|^\W*(?:both )?\(?[A-H]\)? ?(?:and|&|,) ?\(?[A-H]\)?\W*$|^\W*(?:两者都|都是)", re.IGNORECASE
)
_PAIR = re.compile(r"\b([A-H])\)? ?(?:and|&|,) ?\(?([A-H])\b")


class OptionSet:
    """What tells these options apart: their texts, words, numbers, and what they say about each other."""

    def __init__(self, options: tuple[str, ...]) -> None:
        self.letters = letters_of(options)
        texts = [_LABEL.sub("", fold(option)) for option in options[:26]]
        self.plain = [plain(option) for option in options[:26]]
        self.cores = [_core(tokens(text)) for text in texts]
        self.raw = [[token.stem for token in tokens(text)] for text in texts]
        self.unknown = [i for i, text in enumerate(texts) if _UNKNOWN.search(text)]
        self.none = [i for i, text in enumerate(texts) if _NONE.search(text)]
        self.all = [i for i, text in enumerate(texts) if _ALL.search(text)]
        self.both = [i for i, text in enumerate(texts) if _BOTH.search(text)]
        self.pairs = [_pair(text, self.letters) for text in texts]
        self.subjects = {text.lstrip()[:1] for text in texts if re.match(r"\s*[B-Z](?:\s|'s)", text)}
        self.han_yes_no = sum(core[:1] in (["是"], ["否"], ["不"], ["对"]) for core in self.cores) >= 2
        self.yes_no = sum(core[:1] in (["yes"], ["no"]) for core in self.cores) >= 2
        self.phrases = ["\0" + "\0".join(core) + "\0" for core in self.cores]
        self._weigh(texts)
        self.ranges = [_range(raw, text) for raw, text in zip(self.raw, texts, strict=True)]
        self.in_order = self._same_words_in_other_order()
        self.vocabulary = frozenset(stem for raw in self.raw for stem in raw)

    def _weigh(self, texts: list[str]) -> None:
        """The words that tell options apart: those with a meaning, and common ones only where no other does."""
        said = [tokens(text) for text in texts]
        self.content = [frozenset(t.stem for t in made if t.stem not in EMPTY) for made in said]
        minor = [frozenset(t.stem for t in made if t.stem in EMPTY) - ARTICLES for made in said]
        kin = [frozenset(also for t in made for also in t.also) for made in said]
        in_all = frozenset.intersection(*self.content) if self.content else frozenset()
        self.telling = [words - in_all for words in self.content]
        every = frozenset().union(*minor)
        shared = frozenset.intersection(*minor) if minor else frozenset()
        # Only where other options have the same words ("before the goal", "after the goal") do common ones tell.
        twins = [sum(words <= other for other in self.content) > 1 or not words for words in self.content]
        self.minor = [
            (words - shared) if twin else frozenset() for words, twin in zip(minor, twins, strict=True)
        ]
        self.minor_all = frozenset().union(*self.minor) if every else frozenset()
        self.index: dict[str, frozenset[int]] = {}
        for stem in frozenset().union(*self.telling):
            self.index[stem] = frozenset(i for i, words in enumerate(self.content) if stem in words)
        for group in frozenset().union(*kin):
            owners = frozenset(i for i, groups in enumerate(kin) if group in groups)
            if len(owners) < len(texts):
                self.index[group] = owners
        pairs = [set(pairwise(core)) for core in self.cores]
        self.bigrams: dict[tuple[str, str], frozenset[int]] = {}
        for pair in set().union(*pairs):
            owners = frozenset(i for i, found in enumerate(pairs) if pair in found)
            if len(owners) < len(texts) and not (pair[0] in EMPTY and pair[1] in EMPTY):
                # Pairs with a common word tell only where there is little else to tell by.
                self.bigrams[pair] = owners

    def _same_words_in_other_order(self) -> frozenset[str]:
        """The words whose order is all that tells the options apart, or none."""
        groups = {frozenset(words) for words in self.content}
        if len(self.cores) > 1 and len(groups) == 1 and len({tuple(core) for core in self.cores}) > 1:
            words = next(iter(groups))
            if len(words) >= 2:
                return frozenset(
                    word for word in words if not word.startswith("#") and self._moves(word, words)
                )
        return frozenset()

    def _moves(self, word: str, words: frozenset[str]) -> bool:
        """Whether a word comes before another in one option and after it in the next."""
        return any(
            len({core.index(word) < core.index(other) for core in self.cores}) > 1
            for other in words
            if other != word
        )

    def equal_to(self, text: str) -> frozenset[int]:
        """The options whose text this is, but for articles, endings, case and punctuation."""
        core = _core(tokens(text))
        found = frozenset(i for i, own in enumerate(self.cores) if own and own == core)
        said = " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())
        return found or frozenset(i for i, own in enumerate(self.plain) if own and own == said)

    def nearest_to(self, text: str) -> int | None:
        """The one option that a short text with a slip of the pen stands for."""
        said = plain(text)
        if not 4 <= len(said) <= 200 or re.findall(r"\d+", said) not in [
            re.findall(r"\d+", p) for p in self.plain
        ]:
            return None
        scores = sorted(
            (
                (SequenceMatcher(None, said, own, autojunk=False).ratio(), i)
                for i, own in enumerate(self.plain)
            ),
            reverse=True,
        )
        second = scores[1][0] if len(scores) > 1 else 0.0
        return scores[0][1] if scores and scores[0][0] >= 0.84 and scores[0][0] - second >= 0.1 else None

    def phrases_in(self, said: Sequence[Token], text: str) -> list[Named]:
        """Every place where an option stands word for word; the longer option where one contains another."""
        kept = [token for token in said if token.stem not in ARTICLES]
        joined = "\0" + "\0".join(token.stem for token in kept) + "\0"
        found: list[tuple[int, int, int]] = []
        for option, phrase in enumerate(self.phrases):
            if len(phrase) < 3:
                continue
            at = joined.find(phrase)
            while at >= 0:
                first = joined.count("\0", 0, at)
                last = first + len(self.cores[option])
                if self._stands(option, kept, first, last, text):
                    found.append((first, last, option))
                at = joined.find(phrase, at + 1)
        longest = [
            (a, b, i)
            for a, b, i in found
            if not any(c <= a and b <= d and (d - c) > (b - a) for c, d, _ in found)
        ]
        places: dict[tuple[int, int], set[int]] = {}
        for a, b, i in longest:
            places.setdefault((a, b), set()).add(i)
        return [
            Named(frozenset(which), kept[a].start, kept[b - 1].end, True)
            for (a, b), which in sorted(places.items())
        ]

    def _stands(self, option: int, kept: Sequence[Token], first: int, last: int, text: str) -> bool:
        """A common word ("on", "up", "May") is the option only where it is not doing its common work."""
        core = self.cores[option]
        if first and core[0] in ("1", "2") and len(core) == 1 and kept[first - 1].stem in _NOT_COUNTED:
            return False
        if last - first > 1 or (core[0] not in EMPTY and core[0] not in ("1",)):
            return True
        token = kept[first]
        after = text[token.end :].lstrip("\"')*] ")
        word = text[token.start : token.end]
        if core[0] == "may":
            return word == "May" or len(kept) == 1
        if core[0] == "1":
            before = kept[first - 1].stem if first else ""
            return word == "1" or (
                before not in _NOT_COUNTED and not after.startswith(("of ", "that ", "who ", "can ", "may "))
            )
        if core[0] in ("yes", "no"):
            return not after or not after[0].isalnum() or after.startswith(("or ", "and "))
        return not after or not after[0].isalnum()

    def counts_in(self, said: Sequence[Token]) -> list[Named]:
        """The ranges ("10-20 seconds", "00:31 - 00:47") in which a number of the reply lies."""
        found = []
        if not any(self.ranges):
            return []
        for token in said:
            value = _value(token.stem)
            if value is None:
                continue
            inside = frozenset(
                i
                for i, span in enumerate(self.ranges)
                if span and span[0] <= value <= span[1] and span[2] == (":" in token.stem)
            )
            if inside:
                found.append(Named(inside, token.start, token.end, False))
        return found

    def order_in(self, said: Sequence[Token]) -> int | None:
        """The one option that has the words in the order in which they are told."""
        seen = list(dict.fromkeys(token.stem for token in said if token.stem in self.in_order))
        if len(seen) < min(3, len(self.in_order)) or any(
            token.stem == "by" and before.stem != "follow" for before, token in pairwise(said)
        ):
            return None
        fitting = [
            i
            for i, core in enumerate(self.cores)
            if list(dict.fromkeys(stem for stem in core if stem in seen)) == seen
        ]
        return fitting[0] if len(fitting) == 1 else None

    def words_in(self, said: Sequence[Token]) -> Named | None:
        """The options that agree with every telling word of a clause; None when none is said."""
        hits: list[tuple[frozenset[int], Token]] = []
        for at, token in enumerate(said):
            owners = self._owners(token, said[at - 1].stem if at else "")
            if owners:
                hits.append((owners, token))
        hits = self._worth_it(hits, said)
        if not hits:
            return self._common_words_in(said)
        start, end = hits[0][1].start, hits[-1][1].end
        agreed = frozenset.intersection(*(owners for owners, _ in hits))
        if not agreed:
            sole = frozenset().union(*(owners for owners, _ in hits if len(owners) == 1))
            return Named(sole or frozenset().union(*(owners for owners, _ in hits)), start, end, False)
        return Named(self._narrowed(agreed, said), start, end, False)

    def _worth_it(
        self, hits: list[tuple[frozenset[int], Token]], said: Sequence[Token]
    ) -> list[tuple[frozenset[int], Token]]:
        """Words that every description has ("looks", "goes") single out no option that has better ones; beside a
        "none of the above" an option must be named in full."""
        if all(token.stem in _WEAK for _, token in hits):
            hits = [(owners, t) for owners, t in hits if not any(self.telling[i] - _WEAK for i in owners)]
        if not self.none or not hits:
            return hits
        stems = [token.stem for token in said]
        full = frozenset(i for i in range(len(self.cores)) if self._in_full(i, stems))
        return [(owners & full, token) for owners, token in hits if owners & full]

    def _in_full(self, option: int, stems: Sequence[str]) -> bool:
        wanted = [stem for stem in self.cores[option] if stem in self.telling[option]]
        at = -1
        for stem in wanted:
            if stem not in stems[at + 1 :]:
                return False
            at = stems.index(stem, at + 1)
        return True

    def _owners(self, token: Token, before: str) -> frozenset[int] | None:
        if before in _INDEXED and token.stem.isdigit() and before not in self.vocabulary:
            return None
        if token.stem in self.index:
            return self.index[token.stem]
        for group in token.also:
            if group in self.index and token.stem not in EMPTY:
                return self.index[group]
        # "wintertime", "bluish": a word that goes on from one of the options'.
        if len(token.stem) > 5 and token.stem.isascii():
            longer = [s for s in self.index if len(s) >= 5 and token.stem.startswith(s)]
            if len(longer) == 1 and not any(s != longer[0] and s in token.stem for s in self.index):
                return self.index[longer[0]]
        return None

    def _narrowed(self, agreed: frozenset[int], said: Sequence[Token]) -> frozenset[int]:
        """Of several options that agree, those that pairs of neighbouring or common words single out."""
        if len(agreed) == 1:
            return agreed
        stems = [token.stem for token in said if token.stem not in ARTICLES]
        # "left open" is "open" and not "half open": the option that has nothing more to say.
        told = {*stems, *(also for token in said for also in token.also)}
        full = frozenset(i for i in agreed if self.telling[i] and self.telling[i] <= told)
        if len(full) == 1 and not self.minor[next(iter(full))]:
            return full
        for pair in pairwise(stems):
            owners = self.bigrams.get(pair)
            if owners and agreed & owners:
                agreed = agreed & owners
        if len(agreed) == 1:
            return agreed
        present = self.minor_all & set(stems)
        fitting = frozenset(i for i in agreed if self.minor[i] and present and present <= self.minor[i])
        return fitting or agreed

    def _common_words_in(self, said: Sequence[Token]) -> Named | None:
        """Where options differ in common words only ("both clips", "neither clip")."""
        present = [token for token in said if token.stem in self.minor_all and token.stem in _TELLING_COMMON]
        stems_said = [token.stem for token in said if token.stem not in ARTICLES]
        pairs = [self.bigrams[p] for p in pairwise(stems_said) if p in self.bigrams]
        single = frozenset.intersection(*pairs) if pairs else frozenset()
        if len(single) == 1 and all(self.minor[i] for i in single):
            return Named(frozenset.intersection(*pairs), said[0].start, said[-1].end, False)
        if not present:
            return None
        stems = {token.stem for token in present}
        fitting = frozenset(i for i, words in enumerate(self.minor) if stems <= words)
        if not fitting:
            fitting = frozenset(i for i, words in enumerate(self.minor) if stems & words)
        return Named(fitting, present[0].start, present[-1].end, False)

    def share(self, option: int, said: Sequence[Token]) -> float:
        """How much of an option's meaning these words have."""
        wanted = self.telling[option] | (self.minor[option] & _TELLING_COMMON)
        if not wanted:
            return 1.0
        stems = {token.stem for token in said} | {also for token in said for also in token.also}
        kin = {also for token in tokens(" ".join(self.plain[option : option + 1])) for also in token.also}
        hit = len(wanted & stems) + len({k for k in kin & stems})
        return min(1.0, hit / len(wanted))


_INDEXED = frozenset(
    words("fram shot scen step part figur clip minut second imag pictur lin point player ball team")
)
_NOT_COUNTED = frozenset(
    words(
        "the this that these those which first last any each every no another other right left wrong"
        " #1 #2 #3 #4 #5 not final correct best electric fram shot step"
    )
)
_WEAK = frozenset(
    [
        "look",
        "go",
        "walk",
        "tak",
        "tak",
        "take",
        "hold",
        "put",
        "use",
        "make",
        "mak",
        "get",
        "do",
        "want",
        "stand",
        "turn",
        "com",
        "come",
        "tri",
        "start",
        "begin",
        "keep",
        "say",
        "tell",
        "talk",
        "move",
        "mov",
        "man",
        "woman",
        "child",
        "person",
        "room",
        "hand",
        "tim",
    ]
)
_TELLING_COMMON = frozenset(
    words(
        "before after between up down out off in on over under from into both neither all right wrong"
        " without with more less and or not"
    )
)


def _core(made: Sequence[Token]) -> list[str]:
    return [token.stem for token in made if token.stem not in ARTICLES]


def _pair(text: str, letters: str) -> frozenset[int]:
    """The options that an option like "Both A and B" speaks of."""
    found = _PAIR.search(text)
    if not found or not (_BOTH.search(text) or len(text) < 12):
        return frozenset()
    return frozenset(letters.find(letter) for letter in found.groups())


def _value(stem: str) -> float | None:
    if ":" in stem:
        total = 0.0
        for part in stem.split(":"):
            total = total * 60 + int(part)
        return total
    try:
        return float(stem)
    except ValueError:
        return None


def _range(raw: Sequence[str], text: str) -> tuple[float, float, bool] | None:
    """ "10-20 seconds" as the numbers between which it lies, and whether they are times of a clock."""
    numbers = [stem for stem in raw if _value(stem) is not None and stem != ""]
    if len(numbers) != 2 or not re.search(
        r"\d\s*(?:s|sec\w*|min\w*|%)?\s*(?:-|–|to|and|~|至|到)\s*\$?\d", text
    ):
        return None
    low, high = (_value(number) or 0.0 for number in numbers)
    return (low, high, ":" in numbers[0]) if low < high else None


@lru_cache(maxsize=512)
def option_set(options: tuple[str, ...]) -> OptionSet:
    return OptionSet(options)
