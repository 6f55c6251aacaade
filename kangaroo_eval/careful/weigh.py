"""The findings of the careful reader, weighed: letters, verdicts, words, and what is left over."""

from __future__ import annotations

import re

from kangaroo_eval.careful.clauses import Words
from kangaroo_eval.careful.described import CUT_OFF, described
from kangaroo_eval.careful.letters import mentions
from kangaroo_eval.careful.mentions import CHOSEN, NAMED, STATED, Mention, Said
from kangaroo_eval.careful.options import OptionSet
from kangaroo_eval.careful.reading import UNREADABLE, Reading, both_of, shifted, word
from kangaroo_eval.careful.roles import said_of
from kangaroo_eval.careful.text import may_have
from kangaroo_eval.careful.walk import Unit, chosen_by_verdict, units, verdict, without_listing
from kangaroo_eval.careful.words import tokens

_REFUSES = re.compile(
    r"\b(?:(?:can(?:'t|not| not)|could(?:n't| not)|unable to|not able to|am not able|impossible to|not possible to|difficult to|hard to) (?:be )?(?:(?:really|clearly|confidently|definitively|accurately|reliably|actually|fully|possibly) )?(?:determin|answer|tell|say|see|view|watch|access|provide|identify|process|play|open|help|assist|analy|infer|know|decide|make out|verify|choose|assess|conclude|give|confirm|select|discern|comply|respond|establish|ascertain)\w*"
    r"|i (?:do not|don't|didn't|did not|don’t) (?:know|have|see|think i can|feel comfortable|receive)|i'm sorry|i am sorry|i apologi[sz]e|sorry, (?:but )?i|as an ai|unanswerable|insufficient|not enough|no (?:video|frames?|images?|answer|information|clear|evidence)\b"
    r"|(?:does|do|did|is|are) ?(?:not|n't) (?:\w+ )?(?:provide|contain|give|include|offer|enough|sufficient|reveal|specify|indicate|clear)|not (?:clear|sure|certain|specified|mentioned|shown|visible|provided|stated|given)\b|unclear|unknown|unsure|no idea|needs? more|need the|would need|please (?:provide|upload|share|send)|could you (?:please )?(?:clarify|provide|share|upload)|without (?:further|more|additional)|policy|policies|inappropriate|not comfortable"
    r"|cannot be (?:determined|known|inferred|answered|established)|can't be (?:determined|known|inferred|answered)|undetermined|indeterminate|isn't (?:clear|possible)|decline|refuse)"
    r"|无法|不能(?:确定|判断|回答|看)|不知道|不清楚|抱歉|对不起|请提供|不确定|没有提供|わかりません|分かりません|できません|申し訳|모르|알 수 없|죄송|no puedo|lo siento|no sé|je ne (?:peux|sais)|désolé|leider|kann (?:ich )?nicht|weiß (?:ich )?nicht|tut mir leid|não (?:posso|sei|consigo)|desculpe|не могу|не знаю|извините|к сожалению|mi dispiace|non (?:posso|so)|xin lỗi|không thể|maaf|tidak (?:dapat|bisa)",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Whether the writer says that it cannot be said."""
    return may_have(text, _REFUSAL_HINTS) and bool(_REFUSES.search(text))


_REFUSAL_HINTS = (
    *(
        "can't",
        "cannot",
        "can not",
        "could",
        "able to",
        "possible to",
        "difficult",
        "hard to",
        "i do",
        "i did",
    ),
    *(
        "sorry",
        "apolog",
        "as an ai",
        "unanswer",
        "insufficien",
        "enough",
        "no ",
        "not ",
        "n't",
        "unclear",
        "unknown",
    ),
    *("unsure", "need", "please", "without", "polic", "inappropriate", "comfortable", "determin", "decline"),
    *(
        "refuse",
        "no se",
        "lo siento",
        "je ne",
        "leider",
        "kann",
        "tut mir",
        "desculpe",
        "mi dispiace",
        "non ",
    ),
    *("xin", "maaf", "tidak"),
)


_NO_OPTION = re.compile(
    r"\bnone of (?:the|these|them|those)\b|\bnone (?:is|are|fits?|match\w*|apply|applies)\b|\bneither (?:caption|option|answer|statement|of (?:the|these|them))\b|\bnot (?:listed|among|one of (?:the|these))|no (?:correct|matching|suitable|right|valid) (?:option|answer|choice)|no option\b|isn't (?:listed|among|one of)"
    r"|(?:all|both) (?:of )?(?:the |these )?(?:\w+ )?(?:options?|answers?|choices?|captions?|statements?)?\s?(?:are|is|seem) (?:\w+ )?(?:wrong|incorrect|false)|not in the (?:list|options)|以上都不|都不(?:是|对|正确|符合)|没有(?:一个)?(?:正确|合适)的?(?:选项|答案)|ninguna|aucune|keine der|nenhuma|nessuna|ни один",
    re.IGNORECASE,
)
_ALL_OF = re.compile(
    r"\ball (?:of )?(?:the )?(?:above|these|them|options|three|four)\b|以上(?:都|皆|全)(?:是|对)|\beverything (?:listed|above)",
    re.IGNORECASE,
)


_RANKED = re.compile(r"(?<![\w'])([A-Z])(?: ?> ?[A-Z]){2,}(?![\w'])")
_LISTED = re.compile(r"(?i:options?|choices?)?:?(?:[\W\d_]*(?<![^\W\d_])[A-Z](?![^\W\d_]))+[\W\d_]*")
_MARKED = re.compile(r"(?:\s*[✅✔✓❌✗✘]\s?\(?[A-Z]\b[).:,;]?)+\s*")
_ORDERED = re.compile(r"[>→=✓✔✅❌✗✘]")
_REPEATED = re.compile(r"[\W_]*([A-Z])(?:[\W_]+\1)*[\W_]*")


def _letters_alone(core: str, start: int, options: OptionSet) -> Reading | None:
    """A reply of letters and nothing else: one, one that is ticked off, or several, which choose nothing."""
    if re.fullmatch(r"\W*([A-Za-z])\W*", core):
        letter = re.sub(r"[\W_]", "", core).upper()
        at = start + core.upper().find(letter)
        return Reading(letter, "whole", (at, at + 1)) if letter in options.letters else UNREADABLE
    repeated = _REPEATED.fullmatch(core[:400])
    if repeated and repeated[1] in options.letters:
        return Reading(repeated[1], "whole", (start + repeated.start(1), start + repeated.end(1)))
    if len(core) > 400:
        return None
    if _MARKED.fullmatch(core):
        good = re.findall(r"[✅✔✓]\W*([A-Z])", core)
        if len(good) == 1 and good[0] in options.letters:
            return Reading(good[0], "judged", (start + core.find(good[0]), start + core.find(good[0]) + 1))
    if not _ORDERED.search(core) and _LISTED.fullmatch(core):
        listed = frozenset(re.findall(r"(?<![^\W\d_])[A-Z](?![^\W\d_])", core))
        if len(listed) > 1 and listed <= set(options.letters):
            return both_of(options, listed, None) or Reading(None, "several", None)
    return None


def weigh(text: str, options: OptionSet) -> Reading:
    """From the firmest to the faintest: the text itself, stated letters, verdicts, words, what is left over."""
    start = len(text) - len(text.lstrip())
    core = text.strip()
    labelled = re.match(r"[\W_]*A[\W_]*[.):]", core)
    equal = options.equal_to(core) if core and len(core) < 600 and not labelled else frozenset()
    if len(equal) == 1 and not re.fullmatch(r"[A-Za-z]", core):
        return word(options, equal, (start, start + len(core)), "option_text")
    letters = _letters_alone(core, start, options)
    if letters is not None:
        return letters
    ranked = _RANKED.search(text)
    if ranked and ranked[1] in options.letters:
        return Reading(ranked[1], "ranked", ranked.span(1))
    if options.yes_no or options.han_yes_no:
        reading = _yes_or_no(text, options)
        if reading is not None:
            return reading
    reading = _weighed(text, options)
    if options.verdicts is not None and reading.rule in ("unreadable", "eliminated"):
        return _verdict_of(text, options) or reading
    return reading


def _weighed(text: str, options: OptionSet) -> Reading:
    """Letters by what is said of them, and else words."""
    made = units(text, options)
    plainer = without_listing(text, options)
    said = said_of(plainer, _outside_phrases(plainer, mentions(plainer, options), options))
    said, listing = _without_labels(text, said, made)
    firm = _firm(text, said, options, made)
    if firm is not None:
        return firm
    if made:
        option = chosen_by_verdict(text, made, len(options.letters))
        if option is not None:
            spans = [(unit.start, unit.label_end) for unit in made if unit.option == option]
            return Reading(options.letters[option], "verdict", spans[-1] if spans else None)
    return _from_words(plainer, said, options, listing)


_SAYS = r"(?:,? (?:it|he|she|they|there|this|that)(?:'s| \w+(?:n't)?)(?: not)?)?"
_IT_IS = r"(?:(?:it|this|that|the (?:statement|claim|description)) is )"
_TRUE = re.compile(rf"\W*(?:(?:yes|yeah|yep){_SAYS}|{_IT_IS}?(?:true|correct|right))\W*", re.IGNORECASE)
_FALSE = re.compile(
    rf"\W*(?:(?:no|nope){_SAYS}|{_IT_IS}?(?:false|incorrect|untrue)|{_IT_IS}?not (?:true|correct|right))\W*",
    re.IGNORECASE,
)


def _verdict_of(text: str, options: OptionSet) -> Reading | None:
    """A reply that is a yes or a no and nothing else ("Yes he does", "It is false"), where these are options."""
    assert options.verdicts is not None
    for place, said in enumerate((_TRUE, _FALSE)):
        found = None if refuses(text) else said.fullmatch(text)
        if found:
            return word(options, frozenset({options.verdicts[place]}), found.span(), "yes_no")
    return None


_YES = re.compile(r"\W*(?:是的?|对的?|有的?|はい|네|예|oui|sí|ja|да|sim|sì)(?=\W|$)", re.IGNORECASE)
_NO = re.compile(
    r"\W*(?:不是的?|否|没有|不对?|いいえ|아니[요오]?|non|nein|нет|não|nee)(?=\W|$)", re.IGNORECASE
)


def _yes_or_no(text: str, options: OptionSet) -> Reading | None:
    """A yes or no in another language than the options'."""
    for said, wanted in ((_YES, ("yes", "是", "对")), (_NO, ("no", "否", "不"))):
        found = said.match(text)
        if found:
            which = frozenset(i for i, core in enumerate(options.cores) if core and core[0] in wanted)
            return word(options, which, found.span(), "yes_no") if len(which) == 1 else None
    return None


def _outside_phrases(text: str, found: list[Mention], options: OptionSet) -> list[Mention]:
    """A letter within an option's very text ("Vitamin C", "The letter D") is a word of it."""
    if not any(
        len(stem) == 1 and stem.isalpha() and stem not in "ai" for stem in options.vocabulary
    ) and not any("letter" in raw or (len(raw) == 2 and "a" in raw[1:]) for raw in options.raw):
        return found
    spans = [
        (named.start, named.end)
        for named in options.phrases_in(tokens(text), text)
        if text[named.start : named.end].count(" ")
    ]
    return [mention for mention in found if not any(a <= mention.start < b for a, b in spans)]


def _without_labels(text: str, said: list[Said], made: list[Unit]) -> tuple[list[Said], bool]:
    """Letters that only head the parts of a walk through the options choose nothing.

    A first part that is set off by a blank line, or followed by its reasons, is the answer, not a heading."""
    if not made:
        return said, False
    distinct = {unit.option for unit in made}
    if len(distinct) < 2:
        return said, False
    headed = made[0] if not re.search(r"[^\W_]", text[: made[0].start]) else None
    others = [unit for unit in made if headed and unit.option != headed.option]
    if headed and verdict(text, headed) >= 0 and all(verdict(text, unit) < 0 for unit in others):
        return said, False
    labels = [(unit.start, unit.label_end) for unit in made]
    kept = [
        one
        for one in said
        if not any(a <= one.start < b for a, b in labels)
        or one.kind in ("rejected",)
        or one.strength >= STATED
    ]
    return kept, True


def _firm(text: str, said: list[Said], options: OptionSet, made: list[Unit]) -> Reading | None:
    """The last letter that is stated or chosen, unless it is taken back or has another option's text."""
    strong = [one for one in said if one.affirmed and one.strength >= CHOSEN]
    if not strong:
        return None
    if (
        made
        and strong[-1].start < made[-1].start
        and strong[-1].strength < STATED
        and strong[-1].kind != "leading"
    ):
        return None
    last = strong[-1]
    stated = [one for one in strong if one.strength >= STATED]
    if (
        stated
        and last.strength < STATED
        and last.kind in ("judged", "chosen", "asked")
        and not _concludes(text, last)
    ):
        last = stated[-1]
    if last.kind == "judged":
        judged = frozenset(
            letter for one in strong if one.kind in ("judged", "leading") for letter in one.letters
        )
        if len(judged) > 1 and not any(one.kind == "rejected" for one in said):
            return both_of(options, judged, (last.start, last.end)) or Reading(None, "several", None)
    if any(not one.affirmed and one.letters & last.letters and one.start > last.start for one in said):
        others = [one for one in strong if not one.letters & last.letters]
        return None if not others else Reading(None, "taken_back", None)
    if len(last.letters) > 1:
        return both_of(options, last.letters, (last.start, last.end)) or Reading(None, "several", None)
    letter = next(iter(last.letters))
    if letter not in options.letters:
        return Reading(None, "out_of_range", None)
    if _has_other_text(text, last, options):
        return Reading(None, "letter_against_text", None)
    return Reading(letter, last.kind, (last.start, last.end))


def _concludes(text: str, one: Said) -> bool:
    before = text[max(0, one.start - 40) : one.start].lower()
    return bool(
        re.search(
            r"\b(?:so|thus|hence|therefore|final\w*|conclu\w+|go with|pick|choose|say)\b[^.\n]*$", before
        )
    )


def _has_other_text(text: str, one: Said, options: OptionSet) -> bool:
    """Whether the letter is followed by exactly the text of another option ("B. Red", where red is A)."""
    rest = re.match(r"[\s\"'*)\].:,(–-]*(.{0,300})", text[one.end : one.end + 320])
    if not rest:
        return False
    own = options.letters.index(next(iter(one.letters)))
    for part in (rest[1], re.split(r"[.;)](?:\s|$)|,\s|\s-\s|\sbecause\s", rest[1])[0]):
        equal = options.equal_to(part) if part.strip() else frozenset()
        if equal:
            return own not in equal
    return False


def _from_words(text: str, said: list[Said], options: OptionSet, listing: bool) -> Reading:
    """No letter is chosen: what the words describe, what they refuse, and what they leave over."""
    if _REMAINS.search(text):
        left = set(options.letters) - {letter for one in said if not one.affirmed for letter in one.letters}
        if len(left) == 1:
            return Reading(next(iter(left)), "eliminated", None)
    refused, none = refuses(text), bool(_NO_OPTION.search(text))
    if refused:
        rest = _after_all(text, options)
        if rest is not None:
            return rest
    if re.fullmatch(r"\W*\d{1,2}\W*", text) and not all(any(s.isdigit() for s in raw) for raw in options.raw):
        return UNREADABLE
    words = Words(text, options)
    meta = _about_all(text, options, refused, none, words)
    if meta is not None:
        return meta
    by_words = described(words, options, listing)
    named = frozenset(
        letter for one in said if one.affirmed and one.strength == NAMED for letter in one.letters
    )
    if by_words.rule == "described" and by_words.answer not in (None, *named) and len(named) == 1:
        by_words = UNREADABLE
    if (
        by_words.answer is not None
        and not (refused and by_words.rule != "concluded")
        and not _contradicted(by_words, said)
    ):
        return by_words
    return _faint(said, words, options, refused, by_words)


_REMAINS = re.compile(
    r"\b(?:the )?(?:(?:only )?(?:remaining|other) (?:one|option|choice|answer)|one (?:that is )?(?:left|remaining)|last (?:one|option) standing|what(?:'s| is)? (?:left|remains)|only one option)\b",
    re.IGNORECASE,
)
_ALL_THE_SAME = re.compile(
    r"\b(?:but|however|so|still|yet|though|nevertheless|my (?:best )?guess|if i had to)\b|但|不过",
    re.IGNORECASE,
)


def _after_all(text: str, options: OptionSet) -> Reading | None:
    """What a writer who is not sure chooses all the same: "I can't tell, but it looks like a robbery"."""
    refusal = _REFUSES.search(text)
    turn = _ALL_THE_SAME.search(text, refusal.end()) if refusal else None
    if turn is None or _REFUSES.search(text, turn.end()):
        return None
    reading = shifted(weigh(text[turn.end() :], options), turn.end())
    return reading if reading.answer is not None else None


def _contradicted(reading: Reading, said: list[Said]) -> bool:
    return any(not one.affirmed and reading.answer in one.letters for one in said)


def _about_all(text: str, options: OptionSet, refused: bool, none: bool, words: Words) -> Reading | None:
    """ "None of them", "all of the above", "I cannot tell": an option that says so, or nothing."""
    exact = {i for one in words.described if one.named.exact and not one.denied for i in one.named.options}
    if none:
        if len(options.none) == 1:
            return word(options, frozenset(options.none), None, "none_of_them")
        return Reading(None, "none_of_them", None) if not exact else None
    if _ALL_OF.search(text) and len(options.all) == 1:
        return word(options, frozenset(options.all), None, "all_of_them")
    if _ALL_OF.fullmatch(text.strip(" \n.\"'")):
        return Reading(None, "several", None)
    if refused and len(options.unknown) == 1 and not exact - set(options.unknown):
        return word(options, frozenset(options.unknown), None, "unknown")
    if (
        refused
        and not re.search(
            r"\b(?:but|however|so|still|guess|yet|though|nevertheless)\b|但|不过", text, re.IGNORECASE
        )
        and not exact
    ):
        return Reading(None, "refusal", None)
    return None


def _faint(said: list[Said], words: Words, options: OptionSet, refused: bool, by_words: Reading) -> Reading:
    """A letter in passing, all others ruled out, or a slip of the pen."""
    rejected = frozenset(letter for one in said if not one.affirmed for letter in one.letters) | frozenset(
        options.letters[i]
        for one in words.described
        if one.denied and not one.clause.asks
        for i in one.named.options
    )
    if not refused and not CUT_OFF.search(words.text[-80:]):
        faint = [one for one in said if one.affirmed and not one.letters & rejected]
        named = [one for one in faint if one.strength >= NAMED] or faint
        letters = frozenset(letter for one in named for letter in one.letters)
        if len(letters) == 1 and all(letter in options.letters for letter in letters):
            if by_words.answer in (None, next(iter(letters))):
                return Reading(next(iter(letters)), "passing", (named[-1].start, named[-1].end))
        elif len(letters) > 1:
            both = both_of(options, letters, None)
            if both is not None:
                return both
    left = [letter for letter in options.letters if letter not in rejected]
    if len(left) == 1 and len(options.letters) > 1 and rejected and not refused:
        return Reading(left[0], "eliminated", None)
    return UNREADABLE if refused or said or words.described else _unspoken(words, options)


def _unspoken(words: Words, options: OptionSet) -> Reading:
    """Where no word is an option's own: a slip of the pen, or things that tell of one."""
    option = options.nearest_to(words.text) if len(words.said) <= 12 else None
    if option is not None:
        return Reading(options.letters[option], "near_text", None)
    option = options.told_by_cues(words.said) if len(words.said) <= 60 else None
    return UNREADABLE if option is None else Reading(options.letters[option], "described", None)
