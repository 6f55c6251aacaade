"""Letters that name an option, told from articles, pronouns, initials and names."""

from __future__ import annotations

import re
from itertools import islice

from kangaroo_eval.careful.mentions import MOST, Mention
from kangaroo_eval.careful.options import OptionSet
from kangaroo_eval.careful.ordinals import ordinals
from kangaroo_eval.careful.words import words

_LETTER = re.compile(
    r"(?<![A-Za-z0-9_'&À-ɏ])(?P<open>[(\[{<\"']{0,2})[ ]?(?P<letter>[A-Za-z])(?![A-Za-z0-9_&À-ɏ])(?!'[A-Za-z])"
    r"(?P<close>[ ]?[.:]?[)\]}>\"']{0,2})"
)
_INITIALS = re.compile(
    r"\bN/A\b|\b(?:[A-Z]\.){2,}(?![ ]?\d)|\b(?:mr|mrs|ms|dr|prof|st)\. [A-Z]\b\.?|\b[A-Z]&[A-Z]\b|\b[A-Z]-[A-Za-z]{2,}|\b[A-Z]\d+\b",
    re.IGNORECASE,
)
NOUNS = (
    r"(?:answer|ans|options?|choices?|pick|letter|selection|response|prediction|guess|conclusion|verdict|solution|caption|statement|description|summary"
    r"|alternative|respuesta|réponse|reponse|antwort|resposta|risposta|ответ|вариант|вариантом|jawaban|cevap|yanıt|odpowiedź|odpověď|antwoord|svar(?:et)?|vastaus|răspuns(?:ul)?"
    r"|đáp án|câu trả lời|lựa chọn|opci[oó]n|opç[ãa]o|opzione|letra|lettre|lettera|buchstabe|alternativa|pilihan|correcta|correta|corretta"
    r"|उत्तर|الإجابة|الجواب|الخيار|答え|正解|解答|答案|选项|選項|回答|选择|정답|답|답은|คำตอบ|תשובה|απάντηση)"
)
_WORDS_BEFORE = frozenset(
    words(
        "balance opinion view doubt summary short total evidence video frames above this that information however "
        "is are was be been as answer ans option options choice choices letter letters select"
        " selected selecting choose choosing chose chosen pick picking picked with say saying so thus"
        " hence therefore ergo to for and or nor not than by of guess think believe it's its that's"
        " definitely probably maybe perhaps possibly likely certainly clearly surely obviously then"
        " but actually no yes leaves leaving left remains eliminate eliminates eliminated exclude"
        " excludes excluding excluded out between either neither both only just also correct right"
        " wrong final like that would must still toward towards on over answered initially response"
        " being caption statement description summary conclusion sequence order prediction except"
        " discard reject rejecting rejected versus vs hmm okay ok well sure first because since while"
        " whereas although though if unless against favor favour marked labeled labelled supports"
        " support indicates means suggests therefore, namely i.e. aka match matches matching fits"
        " favors favours prefer equals me us vote opt settle assistant candidate alternative mean"
        " meant about consider considering considered check checking nominate it this should will can"
        " cannot isn't wasn't aren't go going lock given supporting suggesting indicating la el le il"
        " die der das les es est ist è é e o ou oder u y et und è lettre letra lettera buchstabe"
        " respuesta réponse reponse antwort risposta resposta opcion opción opção opzione alternativa"
        " pilihan jawaban adalah is: wäre sein ser seria sería serait correcta correta corretta"
        " richtig correcte jest odpowiedź antwoord cevap yanıt svar är er on a"
    )
)
_GOES_ON = re.compile(
    r"\s+(?:(?:is|was|are|were|isn't|wasn't|seems?|looks?|appears?|would|could|can|can't|cannot|might|may|must|should|will|has to|does|doesn't|did|didn't|do|don't)\b"
    r"|(?:remains?|fits?|matches|mentions|stands?|leads|prevails|applies|holds|agrees|works?|wins?|makes sense|describes|says|claims|contradicts|corresponds|because|since|as|for|it is|and|or|but|over|rather|instead|not|nor|only|if|when|than|then|too|also|best|being"
    r"|based|given|due|i|definitely|probably|maybe|perhaps|likely|certainly|clearly|please|though|although|however|while|which|that|by|with|on|at|in|from|to|again|instead|out|comes?|stays?|here|y|et|und|e|porque|parce|weil|denn|ist|es|est|è|é|vì|karena|потому|так|que|son|sont|sind|correct|right|wrong|incorrect|false|true|yes|no|all|both|either|alone|can)\b"
    r"|[(\[–\-=<>\"'*✓✔✅❌✗×|]|$)",
    re.IGNORECASE,
)
_VERDICT_WORDS = (
    r"(?:correct|right|the answer|answer|best|better|most|likely|true|accurate|consistent|the one|closest|plausible|supported|appropriate|suitable|fitting"
    r"|wrong|incorrect|false|not|out|eliminated|impossible|excluded|ruled|unlikely|possible|also|clearly|definitely|obviously|probably|certainly|therefore|thus|my|a better|a good|the only|the best|the right|the correct|the wrong|the most|the closest|what|irrelevant|invalid|valid|unsupported|contradicted|plainly|simply|too|less|more|the choice|the option|never mentioned|mentioned)"
)
BE = r"(?:is|was|are|were|isn't|wasn't|seems?|looks?|appears?|sounds?|feels?|would|could|can|can't|cannot|might|may|must|should|will|has to|have to|does|doesn't|did|do|don't)"
_JUDGING = re.compile(
    rf"\s+{BE}(?:n't|not)?(?: to)?(?: \w+ly| both| all| each| also| clearly| definitely| probably| likely| certainly| obviously| then| simply| therefore| thus| not)*(?: be| have been)?(?: \w+ly)? ?(?:{_VERDICT_WORDS})\b"
    r"|\s+(?:doesn't|does not|didn't|did not|don't|do not|cannot|can't|could not) (?:fit|match|work|apply|make sense|hold|describe|correspond|seem|look|appear|appl|be|have)"
    r"|\s+would (?:need|require|mean|imply)\b",
    re.IGNORECASE,
)
_HAN_AFTER = re.compile(
    r"\s*(?:[,.;:!?)\]\"'\n]|$|才是?|选项|項|项|是(?:正确|对|错|最|不|答案|唯一|更)|为正确|正确|正解|错|不对|不正确|不符|不是|最|更|符合|比较|吧|了?$|也|和|或|与|及|都|这|的|因为|由于|而|です|が|だ|で|を|と|に|も|は正|は間|は誤|입니다|이|가|를|로|번|은|는|와|과|또는|예)"
)
_HAN_BEFORE = re.compile(
    r"(?:选|選|選ぶ|答案|是|为|為|应|选项|项|择|擇|除|故|即|答え|正解|답|은|는|:|和|或|与|及|而|不|非)\s*$"
)
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


_CALLED = re.compile(
    r"\b(?:type|grade|group|class|name|initials?|rating|mark|key|gate|section|size|platform|terminal|plan|team|row|block|level|note|person|player|speaker)(?: (?:is|was|called|named|of|got|he gets|she gets))+ [\"']?$"
    r"|\b(?:called|named|by the name of|nicknamed)\s+[\"']?$",
    re.IGNORECASE,
)


def mentions(text: str, options: OptionSet) -> list[Mention]:
    """Every letter that stands for an option, in order; articles, pronouns and names are left out."""
    nothing = [found.span() for found in _INITIALS.finditer(text)]
    lettered = any("a" in raw and "b" in raw for raw in options.raw)
    made = []
    for found in islice(_LETTER.finditer(text), 300):
        if any(a <= found.start("letter") < b for a, b in nothing):
            continue
        mention = _mention(text, found)
        if lettered and mention.dress == "bracket" and text[mention.start].islower():
            continue
        if _is_letter(text, mention, options):
            made.append(mention)
    made.extend(ordinals(text, options))
    made = sorted(_with_their_company(text, made), key=lambda mention: mention.start)
    return made if len(made) <= MOST else made[: MOST // 4] + made[-3 * MOST // 4 :]


_COMPANION = re.compile(r"\s*(?:,|/|&|and|or)\s*(?:and |or )?([A-Z])(?![\w'])")


def _with_their_company(text: str, made: list[Mention]) -> list[Mention]:
    """In "A and F are visible" F is no choice, and so A is none."""
    starts = {mention.start for mention in made}
    kept = []
    for mention in made:
        other = _COMPANION.match(text, mention.end) if not mention.dress else None
        if other is None or other.start(1) in starts:
            kept.append(mention)
    return kept


def _mention(text: str, found: re.Match[str]) -> Mention:
    start, end = found.span("letter")
    opened, closed = found["open"], found["close"].strip()
    right = found.end() if closed else end
    if closed[-1:] in (")", "]", "}", ">"):
        dress = "bracket" if opened else "point"
    elif opened and closed[-1:] in ("'", '"'):
        dress = "quote"
    elif re.match(r"[.:)](?:\s|$|[^\x00-\x7f])|[.:)](?=[A-Z][a-z])", text[end : end + 3]):
        dress = "point"
    elif opened in ("(", "[") and not text[end:].strip():
        dress = "bracket"
    else:
        dress = ""
    before = text[max(0, found.start() - 24) : found.start()]
    if (
        re.search(rf"\b{NOUNS}\s?[#:]?\s*$|选项\s*$|选項\s*$", before + " ", re.IGNORECASE)
        and dress != "bracket"
    ):
        dress = "word"
    return Mention(text[start].upper(), start, end, found.start() if opened else start, right, dress)


def _is_letter(text: str, mention: Mention, options: OptionSet) -> bool:
    before = text[max(0, mention.left - 24) : mention.left]
    after = text[mention.right : mention.right + 60]
    bare = text[mention.end : mention.end + 60]
    if text[mention.start].islower():
        return _is_small_letter(text, mention, before, after)
    if mention.dress == "bracket":
        return (
            (not re.search(r"[\w)]$", before, re.ASCII) and not re.match(r"[\w(]", after, re.ASCII))
            or (not before.strip())
            or bool(re.match(r"[A-Z]", after))
        )
    word = re.search(r"([^\s\W\d_][\w'’]*(?:\.[a-z]\.)?)[^\S\n]+[\"'(\[]?$", before)
    if mention.dress != "word" and word and not _may_precede(word[1], before, mention.letter):
        return False
    if _CALLED.search(before) and mention.dress in ("", "point"):
        return False
    if re.search(r"\d\s?$", before) and mention.dress == "":
        return False
    if _HAN.match(bare.lstrip()) or _HAN.search(before[-1:]):
        return bool(_HAN_AFTER.match(bare) or _HAN_BEFORE.search(before))
    if (
        mention.dress == "point"
        and mention.letter == "A"
        and re.match(r"\s*:", bare)
        and _is_speaker(text, mention, options)
    ):
        return False
    if mention.dress in ("point", "quote"):
        return True
    return _is_no_word(text, mention, bare, options)


def _is_small_letter(text: str, mention: Mention, before: str, after: str) -> bool:
    """ "b)", "option b", "it is b.": in lower case only where it cannot be an article."""
    if mention.dress in ("bracket", "point") and text[mention.end : mention.end + 1] != ":":
        closing = text[mention.end : mention.right + 1]
        if ")" in closing or "]" in closing:
            return not re.search(r"[\w)]$", before, re.ASCII) and not re.match(r"\(", after)
    if not re.match(r"\s*(?:[.,;:!)\"'\]\n]|$)", after):
        return False
    if mention.dress == "word" or not text[: mention.left].strip(" \n\"'([*.:-"):
        return mention.letter != "I"
    cue = (
        r"(?:answer|option|choice)\W{0,3}(?:is|:|=)|:|="
        if mention.letter in "AI"
        else r"\bis|\bbe|:|=|it's|choose|pick|select|with|say"
    )
    return bool(re.search(rf"(?:{cue})\s*$", before)) and (not text[mention.right :].strip(" .\n\"')*!"))


def _may_precede(word: str, before: str, letter: str) -> bool:
    if len(word) == 1 and word.isupper():
        return False
    word = word.lower().strip(".'")
    if word == "to" and re.search(
        r"\b(?:point|position|from|node|team|player|ball|place) \w to\s*$", before + " ", re.IGNORECASE
    ):
        return False
    if letter == "I" and word in (
        "and",
        "as",
        "that",
        "because",
        "but",
        "so",
        "if",
        "think",
        "than",
        "since",
        "then",
    ):
        return False
    return (
        word in _WORDS_BEFORE
        or not word.isascii()
        or word.endswith(("ly", "ed"))
        or re.search("[^su]s$", word) is not None
        or word in ("assistant", "bot")
    )


def _is_speaker(text: str, mention: Mention, options: OptionSet) -> bool:
    """ "A: The video shows a dog": who speaks, or an answer's heading, unless the option follows."""
    rest = text[mention.end + 1 : mention.end + 800].strip()
    if not rest or mention.letter not in options.letters:
        return False
    first = rest.split("\n")[0]
    own = options.plain[options.letters.index(mention.letter)]
    said = " ".join(re.sub(r"[^\w\s]", " ", first.lower()).split())
    return not (own and (said.startswith(own[:12]) or said in own)) and not re.search(
        r"\bB\s?:|(?<![a-z])B[.)]", text[mention.end : mention.end + 800]
    )


def _is_no_word(text: str, mention: Mention, bare: str, options: OptionSet) -> bool:
    """Whether a capital without any dress is a letter: "so B", but not "A man", "C is cleaning", "I think"."""
    if mention.letter in options.letters:
        own = options.plain[options.letters.index(mention.letter)]
        rest = " ".join(re.sub(r"[^\w\s]", " ", bare.split("\n")[0].lower()).split())
        if own and rest and len(rest) > 1 and rest[:40] == own[:40]:
            # "A red car" where that is option A is the option's text all the same.
            return True
    if re.match(r"\s*(?:[,;:.!?)\]\n/|+&=]|->|-(?!\w)|$)", bare):
        return not (mention.letter == "I" and "I" not in options.letters)
    if mention.letter == "I":
        return False
    if mention.dress == "word":
        return (
            mention.letter != "A"
            or bool(_GOES_ON.match(bare))
            or not re.search(r"answer\s*$", text[: mention.start][-12:])
        )
    if not _GOES_ON.match(bare):
        return False
    if re.match(rf"\s+{BE}\b", bare, re.IGNORECASE):
        return bool(_JUDGING.match(bare))
    return mention.letter != "A" or not re.match(
        r"\s+(?:right|wrong|best|likely|that|only|correct|true|false|no|yes|all)\s+[a-z]", bare
    )
