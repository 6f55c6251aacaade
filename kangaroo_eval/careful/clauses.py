"""What a reply's words, rather than its letters, say: which option they describe, affirm, or rule out."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from kangaroo_eval.careful.options import Named, OptionSet
from kangaroo_eval.careful.words import Token, tokens


class Clause(NamedTuple):
    """A part of a sentence, and whether it denies, asks, supposes, or draws the conclusion."""

    start: int
    end: int
    sentence: int
    denies: bool
    asks: bool
    concludes: bool


class Described(NamedTuple):
    """The options that a clause describes."""

    named: Named
    clause: Clause
    denied: bool


_SENTENCE_END = re.compile(r"[!?;]+(?=[\s\"')\]]|$)|\.(?=[\s\"')\]]|$)|\.{2,}|\n+|[!?;]")
_CLAUSE_END = re.compile(
    r",\s|,(?=[^\x00-\x7f])|:\s|\s-\s|\s?–\s?|→|->|=>|=(?=\s)|[()|✓✔✅❌✗]|\s(?=(?:but|so|because|although|though|while|whereas|and (?:it|he|she|they|so|then|not|therefore|the)|rather than|instead of|than|hence|therefore|thus|i\.e\.|as|since|until)\b)|(?<!\bis)(?<!\bare)(?<!\bwas)(?<!\bwere)(?<!\bbe)\s(?=not\b)|(?=所以|因此|但|而不|，)",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"\b(?:not|never|neither|nor|without|no|nobody|nothing|none|rather than|instead of|unlike|except|except for|excluded?|ruled? out|rather than|wrong|incorrect|nicht|kein\w*|ne|pas|jamais|nunca|не|cannot|isn't any|hardly|than)\b|n't\b|不是|不|没|并非|而非|ではなく|아니",
    re.IGNORECASE,
)
_NO_DENIAL = re.compile(
    r"(?:can't|cannot|can not|couldn't) (?:find|see(?! any)|wait|help|get)|not only|not just|no doubt|without (?:a |any )?doubt|no question|not sure|not (?:entirely |completely |100% ?)?(?:certain|sure)|no longer|don't know|doubt|if not|why not|no change|no attention|no notice|(?:not|n't) change|nothing but|not until|if i (?:remember|recall|had to|must|am not|'m not|understand)|more than|less than|rather than just|no one else|other than|不(?:仅|只|确定|过|知道)",
    re.IGNORECASE,
)
_LOWERED = re.compile(
    r"^\s*(?:and|or|nor|and not|或|和|,)?\s*(?:(?:an?|the|any|in|on|at|with|by|to|of)\s+)?[\w'’-]+(?:\s+(?:[\w'’-]+|or|and|nor)){0,6}\W*$",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"^\s*(?:but|so|only|just|it|it's|he|she|they|we|i|this|that|there|hence|therefore|thus|rather|instead|c|both|then|because|since|as|although|which|是|而是|所以|因此|但|应该|answer|the answer|only|sondern|mais|sino)\b|^\s*(?:是|而是|所以|因此|但|应该)",
    re.IGNORECASE,
)
CONCLUDES = re.compile(
    r"\b(?:so|thus|hence|therefore|conclud\w*|conclusion|it follows|means that|which means|answer(?: is)?|in total|altogether|overall|finally|suggest\w*|indicat\w*|point(?:s|ing)? to|must be|in the end|in fact|i(?:'d| would)? (?:say|guess|think|believe|choose|pick|go with)|(?:best|correct|right) (?:option|choice|answer|one|direction|order|word|caption|match)|total|final|ergo|it (?:is|was) (?:the |an? )?\w+ (?:who|that|which)|consequently|definitely|clearly|evidently|which is why|in short|in summary|to sum up|antwort|respuesta|réponse|donc|also ist|asi que|así que|por lo tanto|portanto)\b"
    r"|=|→|->|答案|所以|因此|一共|总共|共|故|说明|应该是|可见|最终|综上|よって|したがって|따라서|그래서",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    r"\s*(?:as|because|since|although|though|while|whereas|until|even|unlike|when|where)\b", re.IGNORECASE
)
_SUPPOSES = re.compile(
    r"\b(?:if(?! i (?:remember|recall|had to|must|am|'m|understand))|would have|had there|unless|whether|one may object|one might|you'd|you would|in case|expect|(?:might|may|could) think|at first|first thought|initially|originally|i thought|i had thought|i (?:first |originally )?wanted to say|i was going to say|i(?:'d| would) have said|would be my second)\b|如果|假如|是否|一开始|起初|原本|本来",
    re.IGNORECASE,
)
_SECONDARY = re.compile(
    r"^\s*(?:as|while|whereas|although|though|even if|even though|unlike|before|until)\b|\b(?:might|could|may) (?:also )?(?:be|have)\b|\bas well$",
    re.IGNORECASE,
)


def is_secondary(text: str, clause: Clause) -> bool:
    """Whether a clause only goes along with what the sentence says."""
    return bool(_SECONDARY.search(text[clause.start : clause.end].rstrip()))


_VERDICT_BAD = re.compile(
    r"\b(?:is|are|was|were|seems?|can be|could be|must be) (?:also |clearly |definitely |therefore )?(?:wrong|incorrect|false|ruled out|excluded|eliminated|out of the question|impossible|unlikely)\b|是?错误?的?$|不对|不正确",
    re.IGNORECASE,
)


def clauses(text: str) -> list[Clause]:
    """The clauses of a reply. What a clause denies, a list that goes on from it denies as well."""
    made: list[Clause] = []
    at, sentence = 0, 0
    for found in _SENTENCE_END.finditer(text):
        end = found.start()
        if text[at:end].strip():
            made.extend(_of_sentence(text, at, end, sentence, "?" in found[0]))
            sentence += 1
        at = found.end()
    if text[at:].strip():
        made.extend(_of_sentence(text, at, len(text), sentence, False))
    return made


def _of_sentence(text: str, start: int, end: int, number: int, asks: bool) -> list[Clause]:
    cuts = [start]
    for found in _CLAUSE_END.finditer(text, start, end):
        cuts.append(found.start() if found[0].strip() in ("=", "→", "->", "=>") else found.end())
    cuts.append(end)
    made: list[Clause] = []
    denies = concludes = False
    for a, b in pairwise(cuts):
        part = text[a:b]
        if not part.strip():
            continue
        own = bool(_DENIES.search(part)) and bool(_DENIES.search(_NO_DENIAL.sub(" ", part)))
        goes_on = bool(made) and denies and not _TURNS.match(part) and bool(_LOWERED.match(part))
        denies = own or goes_on
        concludes = (concludes or bool(CONCLUDES.search(part))) and not _BESIDE.match(part)
        made.append(Clause(a, b, number, denies, asks or bool(_SUPPOSES.search(part)), concludes))
    return made


_SAYS_NO = frozenset(("not", "no", "neither", "none", "never", "nothing", "nobody", "without"))


class Words:
    """The options that the words of a reply describe, clause by clause."""

    def __init__(self, text: str, options: OptionSet) -> None:
        self.text, self.options = text, options
        self.said = tokens(text)
        self.starts = [token.start for token in self.said]
        self.clauses = clauses(text)
        self.described = [one for clause in self.clauses for one in self._in_clause(clause)]

    def within(self, start: int, end: int) -> list[Token]:
        low, high = bisect_left(self.starts, start), bisect_left(self.starts, end)
        said = [token for token in self.said[low:high] if token.end <= end]
        for i, token in enumerate(said[1:], 1):
            # "It is a person who fishes" says what somebody is, not what happens.
            if token.stem == "who" and said[i - 1].stem in ("person", "someon", "somebodi"):
                later = [at for at in range(i, len(said)) if said[at].stem == "be"]
                said = said[:i] + (said[later[-1] :] if later else [])
                break
        return said if ("from", "left") in self.options.bigrams else _without_origin(said, self.options)

    def _in_clause(self, clause: Clause) -> list[Described]:
        said = self.within(clause.start, clause.end)
        if not said:
            return []
        part = self.text[clause.start : clause.end]
        found: list[Described] = []
        phrases = self.options.phrases_in(said, self.text)
        if not phrases and clause.sentence >= 0:
            phrases = self._across(clause)
        for named in phrases:
            found.append(Described(named, clause, self._denies(clause, named, part)))
        for named in self.options.counts_in(said) if not phrases else ():
            found.append(Described(named, clause, clause.denies))
        if not found and self.options.amounts.kind:
            amount = self.options.amounts.named_in(part)
            if amount is not None:
                start, end = amount[1] + clause.start, amount[2] + clause.start
                denied = clause.denies and self.options.amounts.kind != "share"
                found.append(Described(Named(amount[0], start, end, False), clause, denied))
            elif self.options.amounts.speaks_in(part):
                return []
        if not found:
            free = [token for token in said if not _inside(token, phrases)]
            loose = self.options.words_in(free)
            if loose:
                found.append(self._loosely(clause, loose, part))
        return found

    def _across(self, clause: Clause) -> list[Named]:
        """An option whose text has a comma or "and" stands across clauses; it counts where it begins."""
        if not any(
            "," in p or len(c) > 5 for p, c in zip(self.options.plain, self.options.cores, strict=True)
        ):
            return []
        ends = [other.end for other in self.clauses if other.sentence == clause.sentence]
        said = self.within(clause.start, max(ends))
        return [
            named
            for named in self.options.phrases_in(said, self.text)
            if named.start < clause.end < named.end
        ]

    def _denies(self, clause: Clause, named: Named, part: str) -> bool:
        if not clause.denies:
            return False
        before = _NO_DENIAL.sub(" ", self.text[clause.start : named.start])
        after = self.text[named.end : clause.end]
        if _DENIES.search(before):
            return True
        if _VERDICT_BAD.search(after) or re.match(r"[\s\"']*(?:is|was|are)(?:n't| not)\b", after):
            return True
        inside = _DENIES.search(self.text[named.start : named.end])
        # A list that goes on from a denial has no denial of its own.
        return not inside and not _DENIES.search(_NO_DENIAL.sub(" ", part))

    def _loosely(self, clause: Clause, named: Named, part: str) -> Described:
        # An option that is nothing but a no is affirmed by one, and denied by nothing of its own.
        own_not = frozenset(
            i
            for i in named.options
            if not _SAYS_NO.isdisjoint(self.options.raw[i]) and len(self.options.raw[i]) > 1
        )
        if clause.denies and own_not:
            return Described(named._replace(options=own_not), clause, False)
        if not clause.denies and own_not and own_not != named.options:
            return Described(named._replace(options=named.options - own_not), clause, False)
        return Described(named, clause, clause.denies or bool(own_not))


def _without_origin(said: list[Token], options: OptionSet) -> list[Token]:
    """In "from left to right" it is the end that is meant, unless options speak of beginnings."""
    stems = [token.stem for token in said]
    if (
        "from" not in stems
        or "to" not in stems
        or any("from" in core and "to" in core for core in options.cores)
    ):
        return said
    start = stems.index("from")
    end = stems.index("to", start) if "to" in stems[start:] else -1
    return said[:start] + said[end:] if 0 < end - start <= 5 else said


def _inside(token: Token, phrases: Sequence[Named]) -> bool:
    return any(named.start <= token.start < named.end for named in phrases)
