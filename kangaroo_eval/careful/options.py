"""The options of a question, as the careful reader looks for them in a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from kangaroo_eval.careful.amounts import Amounts
from kangaroo_eval.careful.languages import language_of
from kangaroo_eval.careful.option_texts import (
    ALL,
    BOTH,
    INDEXED,
    LABEL,
    NONE,
    NOT_COUNTED,
    PHRASAL,
    RIGHT_THERE,
    SETTINGS,
    TELLING_COMMON,
    UNKNOWN,
    WEAK,
    alike,
    core_of,
    letters_of,
    pair_of,
    plain,
    range_of,
    value_of,
)
from kangaroo_eval.careful.text import fold
from kangaroo_eval.careful.words import ARTICLES, BROADER, CUES, EMPTY, Token, base, of_stem, tokens


class Named(NamedTuple):
    """Which options (by index) words name, where, and whether by their very text."""

    options: frozenset[int]
    start: int
    end: int
    exact: bool


class OptionSet:
    """What tells these options apart: their texts, words, numbers, and what they say about each other."""

    def __init__(self, options: tuple[str, ...]) -> None:
        self.letters = letters_of(options)
        self.texts = options
        texts = [LABEL.sub("", fold(option)) for option in options[:26]]
        self.plain = [plain(option) for option in options[:26]]
        self.cores = [core_of(tokens(text)) for text in texts]
        self.raw = [[token.stem for token in tokens(text)] for text in texts]
        self.unknown = [i for i, text in enumerate(texts) if UNKNOWN.search(text)]
        self.none = [i for i, text in enumerate(texts) if NONE.search(text)]
        self.all = [i for i, text in enumerate(texts) if ALL.search(text)]
        self.both = [i for i, text in enumerate(texts) if BOTH.search(text)]
        self.pairs = [pair_of(text, self.letters) for text in texts]
        self.subjects = {text.lstrip()[:1] for text in texts if re.match(r"\s*[B-Z](?:\s|'s)", text)}
        self.han_yes_no = sum(core[:1] in (["是"], ["否"], ["不"], ["对"]) for core in self.cores) >= 2
        self.yes_no = sum(core[:1] in (["yes"], ["no"]) for core in self.cores) >= 2
        self.verdicts = _verdicts(self.cores)
        self.phrases = ["\0" + "\0".join(core) + "\0" for core in self.cores]
        self._weigh(texts)
        self.amounts = Amounts(texts)
        self.ranges = [range_of(raw, text) for raw, text in zip(self.raw, texts, strict=True)]
        self.in_order = self._same_words_in_other_order()
        self.vocabulary = frozenset(stem for raw in self.raw for stem in raw)

    def _weigh(self, texts: list[str]) -> None:
        """The words that tell options apart: those with a meaning, and common ones only where no other does."""
        said = [tokens(text) for text in texts]
        self.content = [frozenset(t.stem for t in made if t.stem not in EMPTY) for made in said]
        minor = [frozenset(t.stem for t in made if t.stem in EMPTY) - ARTICLES for made in said]
        kin = [frozenset(also for t in made for also in (*t.also, *BROADER.get(t.stem, ()))) for made in said]
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
        for letter in [stem for stem in self.index if len(stem) == 1 and stem.isalpha() and stem.isascii()]:
            # "Plan B" is told by "plan", not by any B.
            if all(len(self.telling[i]) > 1 for i in self.index[letter]):
                del self.index[letter]
        for group in frozenset().union(*kin):
            owners = frozenset(i for i, groups in enumerate(kin) if group in groups)
            if len(owners) < len(texts):
                self.index[group] = owners
        self.bases: dict[str, frozenset[int]] = {}
        for stem, owners in list(self.index.items()):
            if stem[:1] not in "=^#" and len(base(stem)) >= 4:
                both = self.bases.get(base(stem), frozenset()) | owners
                self.bases[base(stem)] = both
        self.bases = {name: owners for name, owners in self.bases.items() if len(owners) < len(texts)}
        self.foreign = any(language_of(text) for text in texts)
        self.cues = self._cues()
        pairs = [set(pairwise(core)) for core in self.cores]
        self.bigrams: dict[tuple[str, str], frozenset[int]] = {}
        for pair in set().union(*pairs):
            owners = frozenset(i for i, found in enumerate(pairs) if pair in found)
            if len(owners) < len(texts) and not (pair[0] in EMPTY and pair[1] in EMPTY):
                # Pairs with a common word tell only where there is little else to tell by.
                self.bigrams[pair] = owners

    def _cues(self) -> list[frozenset[str]]:
        """What tells of each option without naming it, and is no word of another one."""
        groups = [{f"{cue}" for stem in telling for cue in CUES.get(stem, ())} for telling in self.telling]
        return [
            frozenset(
                cue
                for cue in group
                if not any(cue in words for j, words in enumerate(self.content) if j != i)
            )
            for i, group in enumerate(groups)
        ]

    def told_by_cues(self, said: Sequence[Token]) -> int | None:
        """The option that at least two different words tell of, and more than tell of any other."""
        if not any(self.cues):
            return None
        hits = []
        for cues in self.cues:
            kin = {group for cue in cues for group in of_stem(cue)}
            hits.append(len({t.stem for t in said if t.stem in cues or not kin.isdisjoint(t.also)}))
        most = max(hits)
        return hits.index(most) if most >= 2 and hits.count(most) == 1 else None

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
        core = core_of(tokens(text))
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
        if first and core[0] in ("1", "2") and len(core) == 1 and kept[first - 1].stem in NOT_COUNTED:
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
                before not in NOT_COUNTED and not after.startswith(("of ", "that ", "who ", "can ", "may "))
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
            value = value_of(token.stem)
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
        if len(hits) == 1 and self._is_hearsay(*hits[0]):
            return None
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
        if all(token.stem in WEAK and not token.idiom for _, token in hits):
            hits = [(owners, t) for owners, t in hits if not any(self.telling[i] - WEAK for i in owners)]
        if not self.none or not hits:
            return hits
        stems = [token.stem for token in said]
        full = frozenset(i for i in range(len(self.cores)) if self._in_full(i, stems))
        return [(owners & full, token) for owners, token in hits if owners & full]

    def _is_hearsay(self, owners: frozenset[int], token: Token) -> bool:
        """A mere setting ("the streets"), where the option says what happens to it ("the road is closed")."""
        return (
            len(owners) == 1
            and token.stem not in self.index
            and not token.idiom
            and token.stem in SETTINGS
            and all(len(self.telling[i]) > 1 for i in owners)
        )

    def _in_full(self, option: int, stems: Sequence[str]) -> bool:
        wanted = [stem for stem in self.cores[option] if stem in self.telling[option]]
        at = -1
        for stem in wanted:
            if stem not in stems[at + 1 :]:
                return False
            at = stems.index(stem, at + 1)
        return True

    def _owners(self, token: Token, before: str) -> frozenset[int] | None:
        if before in INDEXED and token.stem.isdigit() and before not in self.vocabulary:
            return None
        for meaning in token.idiom:
            if meaning in self.index:
                return self.index[meaning]
        if token.stem in self.index:
            return self.index[token.stem]
        for group in token.also:
            if group in self.index and token.stem not in EMPTY:
                return self.index[group]
        return self._akin(token)

    def _akin(self, token: Token) -> frozenset[int] | None:
        """The options that have a word derived from the same one, or one that this one goes on from."""
        related = self.bases.get(base(token.stem)) if token.stem not in EMPTY else None
        if related:
            return related
        if self.foreign and len(token.stem) > 4:
            # Endings of other languages are not known here: two thirds of a word in common are enough.
            near = {owners for stem, owners in self.index.items() if alike(stem, token.stem)}
            if len(near) == 1:
                return next(iter(near))
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
        present = [
            token
            for at, token in enumerate(said)
            if token.stem in self.minor_all and token.stem in TELLING_COMMON and not _particle(said, at)
        ]
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


def _verdicts(cores: Sequence[Sequence[str]]) -> tuple[int, int] | None:
    """The places of the options "yes" and "no", or "true" and "false", where there are both."""
    places = [
        [
            i
            for i, core in enumerate(cores)
            if len(core) == 1 and core[0] in {each.stem for each in tokens(said)}
        ]
        for said in ("yes true", "no false")
    ]
    return (places[0][0], places[1][0]) if len(places[0]) == len(places[1]) == 1 else None


def _particle(said: Sequence[Token], at: int) -> bool:
    """ "Sits down", "gets up", "right in front": no direction."""
    stem = said[at].stem
    if stem in ("up", "down", "off", "on", "out"):
        return at > 0 and said[at - 1].stem in PHRASAL
    return stem == "right" and at + 1 < len(said) and said[at + 1].stem in RIGHT_THERE


@lru_cache(maxsize=512)
def option_set(options: tuple[str, ...]) -> OptionSet:
    return OptionSet(options)
