"""What the words around a letter make of it: stated as the answer, chosen, judged, rejected, asked or supposed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kangaroo_eval.careful.letters import BE, NOUNS
from kangaroo_eval.careful.mentions import CHOSEN, NAMED, PASSING, STATED, Mention, Said

_BETWEEN = re.compile(
    r"[\s\"'*)\]]*(?:[,/|+&]|\b(?:or|and|nor|y|o|u|et|ou|und|oder|e|и|или|as well as|versus|vs\.?)\b|和|或者?|与|及|跟|还是|と|か|와|과|또는)+[\s\"'*(\[]*"
    r"(?:(?:and|or|nor|also|even|maybe|perhaps|possibly|the|options?|choices?|answers?|选项)\b\s*)*[\s\"'*(\[]*",
    re.IGNORECASE,
)
_BREAK = re.compile(r"[.!?;](?=[\s\"')]|$)|\n")
_FILL = r"(?:\s|[\"'*(\[_,]|\b(?:be|been|it|is|to|that|think|believe|say|choose|pick|select|go|with|for|the|a|an|either|both|any|of|correct|right|best|answer|answers|options?|choices?|letters?|caption|statement|opting|choosing|picking|selecting|really|definitely|clearly|necessarily|out)\b|选项|选|答案|是)*"
_REJECTED_BEFORE = re.compile(
    r"(?:\b(?:not|cannot|rather than|instead of|unlike|versus|rules? out|ruling out|ruled out|eliminat(?:e|es|ed|ing)\b|exclud\w+|discard\w*|reject\w*|dismiss\w*|disqualif\w+|except(?: for)?"
    r"|anything but|everything but|all but|neither|nor|never|without|cross(?:ed)? out|nicht|kein|sondern nicht|no es|n'est pas|ce n'est pas|pas|não é|non è|не)\b"
    r"|n't\b|不是|不选|不会是|并非|排除了?|而非|不能选|不应该?选|아니라|ではなく|(?:wrong|incorrect|false|eliminated|错误|不正确)的? ?(?:options?|choices?|answers?|选项|答案)?(?: are| is|:|是))"
    + _FILL
    + r"$",
    re.IGNORECASE,
)
_KEPT = re.compile(
    r"(?:can't|cannot|can not|couldn't|not|n't) (?:be )?(?:entirely |completely )?(?:rule out|exclude|eliminate|be ruled out)|not only\s*$|not sure|no doubt|not just",
    re.IGNORECASE,
)
_NO = (
    r"(?:wrong|incorrect|false|ruled out|out\b|eliminated|impossible|excluded|discarded|rejected|unlikely|irrelevant|invalid|untrue|inaccurate|implausible|unsupported|contradicted|mistaken|dismissed|crossed out|falsch|incorrecta|incorrecte|faux|fausse"
    r"|错误?|不对|不正确|不符合?|不合适|被?排除|不成立|有误|不是|不行|없|틀|아니|❌|✗|✘|×)"
)
_REJECTED_AFTER = re.compile(
    rf"^[\s\"'*)\]:–-]{{0,4}}(?:(?:all|both|each|therefore|thus|clearly|obviously|also|definitely|都|均|选项|项|是|is|are|was|were|be|being|as|seems?|looks?|appears?|must|has to|have to|can|could|should|therefore|which|simply|plainly|be|been|to|just|then|certainly|almost|most|highly|very|quite|son|sind|sont|ist|est|es|显然|明显)\b\s*|都|均|选项|项|是)*"
    rf"(?:{_NO}|not\b|n't\b|cannot\b|can't\b)"
    rf"|^[\s\"'*)\]]{{0,3}}\s*{BE}(?:n't| not)\b|^\s(?:doesn't|don't|didn't|cannot|can't|couldn't|has no|have no|is not|are not|lacks?|contradicts?|fails?)\b"
    r"|^[\s\"'*)\]]{0,3}(?:is|are|can be|could be)? ?(?:never|nowhere)\b|^[^.\n]{0,40}\b(?:can|could|may|should|must) (?:be|also be|therefore be|all be) (?:ruled out|excluded|eliminated|discarded|rejected|dismissed)"
    r"|^[^.,;\n]{0,24}\b(?:is|are|seems?) (?:also |clearly |therefore |obviously )?(?:wrong|incorrect|false|out)\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|had|unless|were it|suppose|assuming|whether|in case|如果|假如|若)\b[^,;]{0,40}$", re.IGNORECASE
)
_WOULD = re.compile(
    r"^[\s\"')\]]*(?:would|could|might)(?: also| only| have)? (?:be|been|mean|need|require|fit|apply|imply|describe|work)[^.;\n]{0,60}?\b(?:if|had|but|unless|although|though|except|only)\b"
    r"|^[\s\"')\]]*(?:would|could|is|might|comes?)(?: be)?(?: in| as)? (?:my |a |the |also )*(?:second|next|runner|backup|alternative|close second|other)"
    r"|^[\s\"')\]]*(?:would (?:mean|need|require|imply|have been|have to)|at first|initially)",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"\b(?:but|which|yet|and)\b.*(?:\b(?:not?|none|never|nowhere|absent|missing|lacking)\b|n't\b)",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\b(?:first thought|at first|initial(?:ly)?|tempt\w+|originally|earlier|previous(?:ly)?|misread|mistook|used to|might think|may think|could think|might seem|one might|some might|一开始|起初|原本|本来|最初)\b[^.;\n]{0,60}$"
    r"|(?:一开始|起初|原本|本来|最初)[^.;\n]{0,30}$",
    re.IGNORECASE,
)
_LINK = r"(?:\bis\b|\bbe\b|\bwas\b|\bare\b|\bes\b|\best\b|\bist\b|\bé\b|\bè\b|\bla\b|\bjest\b|\bсоответствует\b|是|为|為|:|=|->|–|-|→|➜|>|は|이|はis|\bto\b|\blà\b|\badalah\b|\bهي\b|\bهو\b|\bis:|\boption\b|\bletter\b|\bas\b|\bis\s*\n)"
_STATES = re.compile(
    rf"(?:\b(?!(?:options|choices|captions|statements|descriptions|alternatives)\b){NOUNS}\b|答案|正解|답|选项|選項)(?![^.\n]{{0,60}}(?:\b(?:not|cannot|if)\b|n't\b))[^.;\n]{{0,90}}?{_LINK}[\s\"'*(\[:]*"
    r"(?:(?:option|choice|letter|therefore|clearly|most|more|likely|probably|definitely|the|la|el|letra|lettre|die|der|still|actually|in fact|thus|simply|number|caption|answer|应该|应|选|选项|is|be|to|or|of|course|obviously|indeed|then|also|again|lettera|buchstabe|option|opción|caption|statement)\b[\s:,\"'*(]*|[:\"'*(\[\s])*$",
    re.IGNORECASE,
)
_HEADED = re.compile(
    rf"(?:^|[\n.|])[\W_]*(?:so |thus |therefore |the |my )*(?:final |best |correct |right |most likely |predicted |selected |chosen |suggested |overall )*(?:(?:final|best|correct|right|most likely|predicted|selected|chosen) (?:answer|option|choice|letter|caption|statement|summary|match|fit)|(?!option|choice|caption|statement|description|summary|letter|alternative){NOUNS}|(?:option|choice|letter|caption|selection|best|correct|final|conclusion|verdict|result|output)(?=\s*[:=\n-]))(?: (?:is|would be))?[\s\W_]*$",
    re.IGNORECASE,
)
_CHOOSES = re.compile(
    r"(?:\b(?:choose|choosing|chose|chosen|pick|picking|picked|select|selecting|selected|go(?:ing)? (?:with|for)|vote for|opt(?:ing)? for|settle (?:on|for)|stick with|lean(?:ing)? (?:to|towards?)|in favou?r of"
    r"|i(?:'d| would)?(?: still| rather)? say|make (?:that|it)|i(?:'d| would)? guess|my guess (?:is|would be)|i think|i believe|i suppose|it must be|must be|has to be|should be|it(?:'s| is)|that(?:'s| is)|that would be|this (?:is|matches|corresponds to|means|suggests)"
    r"|leav(?:es|ing)(?: us with| only)?|(?:which |this |that )?(?:gives|yields)|we get|left with|remains|corresponds? to|corresponding to|matches|points? to|supports?|means|indicates?|suggests?|described by|matched by|by|makes it|answer(?:ing)?|i mean|i meant|call it|wählen|elijo|elegiría|escolho|choisis|je dirais|scelgo|prefer|change (?:my answer )?to|switch to|would be|wins)"
    r"|\b(?:so|thus|hence|therefore|ergo|conclusion|finally|overall|then|final|correct|best|=>|consequently|accordingly)\b,?|[:→➜>=–]|->|- |应该?选|选择?|選|故选?|所以|因此|是|为|應為|觉得是|认为是|应为)"
    r"[\s\"'*(\[:,]*(?:(?:it|is|it's|be|option|choice|letter|the|answer|clearly|probably|most|likely|definitely|number|just|only|选|是|选项|应该|为|caption|statement|rather|actually|be|must|with|go|i|i'd|say|think|choose|would|pick|'s|'d)\b[\s,:\"'*(\[]*|选项?|是)*$",
    re.IGNORECASE,
)
_JUDGED = re.compile(
    r"^[\s\"'*)\]]*(?:选项|项)?\s*(?:\([^()\n]{0,80}\),? ?)?(?:,[^,.;\n]{1,60},)?,?\s*(?:"
    r"(?:(?:is|was|seems?|looks?|appears?|sounds?|would|must|has|should|will|ist|est|es|è|é)\b(?: to)?(?: be)?)?(?:\s?(?:therefore|thus|also|clearly|definitely|probably|likely|certainly|the|my|most|more|a|an|by far|in my (?:view|opinion)|then|obviously|our|only|one|to be|overall|very|indeed|hence|still|just|simply|sensible|reasonable|logical|single|all))*\s?\b(?:correct|right|answer|best|likely|true|accurate|consistent|the one|remains|reasonable|sensible|logical|closest|plausible|choice|pick|guess|match|fits|supported|appropriate|suitable|fitting|better|option|safest|one|that fits|probable|winner|left|richtig|correcta|correcte|valid)\b(?! if)"
    r"|(?:remains?|fits|wins|matches|it is|it was|makes (?:the most |more |most )?sense|describes|agrees|stands|works|corresponds|is what|is supported|best|is left|is met)\b"
    r"|(?:才?是|为|才)?(?:最)?(?:正确|对的|正解|合适|符合|恰当|准确|好的|合理|可能)|是(?:正确)?答案|吧|正确|が正|です|で(?:す|ある)|だ|입니다|이다|이 (?:정답|맞)|가 (?:정답|맞)|번|✓|✔|✅|☑)",
    re.IGNORECASE,
)
_COULD = re.compile(
    r"\b(?:could|might|may|can|possibly|either|between|torn)\b(?: well)?(?: be)?[\s\"'(]*(?:option )?[\s\"'(]*$",
    re.IGNORECASE,
)
_AFTER_COULD = re.compile(
    r"^[\s\"')\]]*(?:is|are|could|might|may|seems?)(?: also| both| be| all| equally)* (?:possible|plausible|a possibility|be|conceivable)",
    re.IGNORECASE,
)


def grouped(text: str, found: Sequence[Mention]) -> Iterator[list[Mention]]:
    """Letters that are listed together ("A, B or C", "A/B") are spoken of together."""
    group: list[Mention] = []
    for mention in found:
        again = any(mention.letter == other.letter for other in group)
        if group and not again and _BETWEEN.fullmatch(text, group[-1].right, mention.left):
            group.append(mention)
        else:
            if group:
                yield group
            group = [mention]
    if group:
        yield group


def said_of(text: str, found: Sequence[Mention]) -> list[Said]:
    """What is said of every letter or list of letters, in order."""
    said = []
    for group in grouped(text, found):
        made = _role(text, group)
        if made is not None:
            said.append(made)
    return said


def left_of(text: str, at: int) -> str:
    """The sentence up to here; through a line's end where that line is a heading ("Answer:")."""
    before = text[max(0, at - 200) : at]
    last = 0
    for found in _BREAK.finditer(before):
        if found.end() < len(before.rstrip()) or (
            not before[: found.start()].rstrip(" \n\"'*").endswith((":", "is", "=")) and found[0] != "\n"
        ):
            last = found.end()
    clause = before[last:]
    if (
        "\n" in clause.strip(" ")
        and not _HEADED.search(clause)
        and not clause.rstrip().endswith((":", " is"))
    ):
        clause = clause[clause.rindex("\n") + 1 :]
    return clause


def right_of(text: str, at: int) -> str:
    after = text[at : at + 120]
    found = _BREAK.search(after, 1 if after[:1] in ".)" else 0)
    return after[: found.end()] if found else after


_LAST_PART = re.compile(
    r"\bbut\b|, (?:it|so|he|she|they|this) |而是|, ?是|\bit's\b|\bhence\b|\bso\b|\btherefore\b|\bleav(?:es|ing)\b|所以|因此|[,;] ?(?=only\b|just\b)|(?<=[a-z]) – |, ?应"
)


_ALL_BUT = re.compile(
    r"\b(?:all|everything|every (?:option|choice|answer)|anything)(?: (?:the )?(?:other )?(?:options?|choices?|answers?))?,? (?:but|except(?: for)?|besides|apart from|other than)[\s\"'(]*(?:option )?$",
    re.IGNORECASE,
)


def _role(text: str, group: list[Mention]) -> Said | None:
    first, last = group[0], group[-1]
    left, right = left_of(text, first.left), right_of(text, last.right)
    letters = frozenset(mention.letter for mention in group)

    def made(affirmed: bool, strength: int, kind: str) -> Said:
        return Said(letters, first.start, last.end, affirmed, strength, kind)

    if _WOULD.match(right) and _MISSING.search(right):
        return made(False, CHOSEN, "rejected")
    if _WOULD.match(right) or _SUPPOSED.search(left):
        return None
    near = (
        _LAST_PART.split(left)[-1]
        if not re.search(r"(?:anything|everything|all|none) but\W*$", left[-24:], re.IGNORECASE)
        else left
    )
    if _ALL_BUT.search(left):
        return made(bool(_REJECTED_AFTER.match(right)), CHOSEN, "all_but")
    if _REJECTED_BEFORE.search(near) and not _KEPT.search(near):
        return made(False, CHOSEN, "rejected")
    contrast = re.split(r"\bbut\b|\bbecause\b|\bsince\b|(?<=\w), (?=(?:so|it|and)\b)|\bas\b", right)[0]
    if _REJECTED_AFTER.match(contrast) and not re.match(r"\W*(?:not (?:only|just|sure))", contrast):
        return made(False, CHOSEN, "rejected")
    if _PAST.search(near):
        return None
    if re.match(r"[\s\"')\]*]*\?", right):
        more = re.search(r"[^\W_]", text[last.right + len(right) :])
        return made(True, PASSING if more else CHOSEN, "asked")
    role = _affirmed(text, group, left, right)
    return None if role is None else made(True, *role)


def _affirmed(text: str, group: list[Mention], left: str, right: str) -> tuple[int, str] | None:
    """How firmly letters that nothing takes back are put, and in what way."""
    first, last = group[0], group[-1]
    if _STATES.search(left) or _HEADED.search(left):
        return (STATED, "stated")
    if _COULD.search(left) or _AFTER_COULD.match(right):
        return (PASSING, "possible")
    if _JUDGED.match(right):
        return (CHOSEN, "judged")
    alone = not left.strip(" \n\"'([*-–>|#.")
    if alone and re.match(r"[\s\"')\]*]*(?:[.!,]?\s*$|[.!]\s*\n|\n)", text[last.right : last.right + 12]):
        return (CHOSEN, "alone")
    if _CHOOSES.search(left):
        return (CHOSEN, "chosen")
    if not re.search(r"[^\W_]", text[: first.left]):
        return (CHOSEN, "leading") if _leads(text, group) else (PASSING, "passing")
    if re.search(r"\w\s+(?:the )?(?:letter|word)\s*$", left, re.IGNORECASE):
        return None
    if first.dress in ("word", "bracket", "point", "quote"):
        return (NAMED, "named")
    return (PASSING, "passing")


def _leads(text: str, group: list[Mention]) -> bool:
    """Whether a reply that begins with this letter begins with its choice."""
    last = group[-1]
    return last.dress in ("bracket", "point", "quote", "word") or bool(
        re.match(
            r"\s*(?:[,.:;!–)\]\n]|- |$|\s(?:because|since|as|but|and not|not|over|is|it|probably|i|maybe|[A-Z]))",
            text[last.right : last.right + 12],
        )
    )
