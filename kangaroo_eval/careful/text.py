"""A reply made ready for the careful reader.

Everything here keeps lengths: what cannot be an answer is blanked and characters are folded one by one, so a
place in the prepared text is the same place in the reply.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from functools import lru_cache

LONGEST, KEPT = 12_000, 4_000
"""Of a longer reply only the beginning and the end are read: that is where choices stand."""

_FOLD = {
    "。": "\n",
    "、": ",",
    "…": ".",
    "–": "–",
    "—": "–",
    "―": "–",
    "−": "-",
    "【": "[",
    "】": "]",
    "〔": "[",
    "〕": "]",
    "⟨": "<",
    "⟩": ">",
    "◁": "<",
    "▷": ">",
    "\r": "\n",
    **dict.fromkeys("“”„«»「」『』《》", '"'),
    **dict.fromkeys("‘’`´", "'"),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\ufe0f\xa0", " "),
}


@lru_cache(maxsize=4096)
def _fold_character(char: str) -> str:
    if char in _FOLD:
        return _FOLD[char]
    code = ord(char)
    # Squared and circled letters of emoji: they have no one-letter normal form.
    for start in (0x1F130, 0x1F150, 0x1F170):
        if start <= code < start + 26:
            return chr(ord("A") + code - start)
    normal = unicodedata.normalize("NFKC", char)
    if len(normal) == 1:
        return normal
    inner = normal.strip("()")
    return inner if len(inner) == 1 else char


def fold(text: str) -> str:
    """Full-width, circled and bold letters as plain ones, quotes and dashes in one form; the same length."""
    if text.isascii():
        return text.replace("\r", "\n").replace("`", "'") if "`" in text or "\r" in text else text
    return "".join(map(_fold_character, text))


_RUN = re.compile(r"([^\w])\1{3,}")


class Compact:
    """A text without its middle, where it is long, and without long runs of one sign; places lead back."""

    def __init__(self, text: str) -> None:
        self.moved: list[tuple[int, int]] = []
        pieces: list[str] = []
        done = kept = 0
        cuts = [(found.start() + 3, found.end()) for found in _RUN.finditer(text)]
        rest = len(text) - sum(end - start for start, end in cuts)
        for start, end in [*cuts, (len(text), len(text))]:
            pieces.append(text[done:start])
            kept += start - done
            self.moved.append((kept, end))
            done = end
        self.text = "".join(pieces)
        self.shift: tuple[int, int] | None = None
        if rest > LONGEST:
            half = KEPT // 2
            self.shift = (half, len(self.text) - half - 1)
            self.text = self.text[:half] + "\n" + self.text[-half:]

    def place(self, at: int) -> int:
        """Where in the whole text this place is."""
        if self.shift and at > self.shift[0]:
            at += self.shift[1] - self.shift[0]
        found = bisect_right(self.moved, (at, sys.maxsize)) - 1
        if found >= 0:
            kept, end = self.moved[found]
            return end + at - kept
        return at


def blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


_THOUGHT = r"(?:think(?:ing)?|thought|reason(?:ing)?|analysis|scratchpad|reflection)"
_THINK_END = re.compile(rf"<\s?/\s?{_THOUGHT}\s?>|\[/{_THOUGHT}\]|<\|end_of_thought\|>", re.IGNORECASE)
_THINK_START = re.compile(rf"<\s?{_THOUGHT}\s?>|\[{_THOUGHT}\]|<\|begin_of_thought\|>", re.IGNORECASE)
_CHANNEL = re.compile(r"<\|channel\|>\s*final\s*<\|message\|>", re.IGNORECASE)
_ENDS = re.compile(
    r"</s>|<\|(?:im_end|endoftext|eot_id|end|eos|end_of_text|eom_id|end_of_sentence)\|>|<eos>|<end_of_turn>",
    re.IGNORECASE,
)
_SPECIAL = re.compile(
    r"<\|(?:start_header_id|im_start|start|header)\|>\s*(?:assistant|model|bot)?"
    r"|<\|(?!begin_of_box|end_of_box)[^|<>\n]{0,40}\|>|</?s>|<(?:pad|unk|bos|eos|start_of_turn|end_of_turn)>"
    r"|\[/?(?:INST|SYS|PAD|CLS|SEP)\]|<0x0A>",
    re.IGNORECASE,
)
_SPOKEN = re.compile(
    r"\A[\s#]*(?:assistant|response|bot|model|gpt|ai|模型|助手)\s*(?::|\n)|\A\s*model\n|\A\s*A\s?:\s*(?=\(?[A-Z](?:[.)]|\s*$))",
    re.IGNORECASE,
)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = deque(pattern.finditer(text), maxlen=1)
    return found[0] if found else None


def answer_after_thought(text: str) -> tuple[str, str]:
    """The reply without its thoughts, and "" or, when it is nothing but a thought, "closed" or "open"."""
    end = _last(_THINK_END, text)
    channel = _last(_CHANNEL, text)
    if channel is not None:
        return " " * channel.end() + text[channel.end() :], ""
    if end is not None:
        rest = _SPECIAL.sub(blank, _ENDS.sub(blank, text[end.end() :]))
        opened = _THINK_START.search(text, end.end())
        if opened:
            rest = rest[: opened.start() - end.end()]
        if any(char.isalnum() or char in "$\\" for char in rest):
            return " " * end.end() + text[end.end() : end.end() + len(rest)], ""
        return _THINK_START.sub(blank, text[: end.start()]), "closed"
    start = _THINK_START.search(text)
    if start is None:
        return text, ""
    if any(char.isalnum() for char in _SPECIAL.sub("", text[: start.start()])):
        return text[: start.start()], ""
    return _THINK_START.sub(blank, text), "open"


def without_tokens(text: str) -> str:
    """Special tokens blanked, and everything after the token that ends the reply cut away."""
    if "<" not in text and "[" not in text and ":" not in text and "\n" not in text:
        return text
    for end in _ENDS.finditer(text):
        head = _SPECIAL.sub("", text[: end.start()])
        if any(char.isalnum() for char in head) and head.strip().lower() not in ("assistant", "model"):
            text = text[: end.start()]
            break
    text = _SPECIAL.sub(blank, text)
    return _SPOKEN.sub(blank, text)


_STRUCK = re.compile(r"~~[^~\n]{1,200}~~|<(del|strike)>[^<\n]{1,200}</\1>", re.IGNORECASE)
_SET_OFF = re.compile(r"(\*{1,3}|__)(?=([A-Za-z])[.):]{0,2}\1)(\2[.):]{0,2})\1")
_MARKUP = re.compile(
    r"\*+|_{2,}|'{3}[a-z]{0,10}(?=\n)|'{2,}|(?m:^[ \t]*#{1,6}(?=\s))|(?m:^[ \t]*>(?=\s))"
    r"|\\(?:text|mathrm|textbf|mathbf|textit|mathit|mathsf|operatorname|bf|rm|boldsymbol|textsf|texttt|emph|fbox|underline)\b"
    r"|\\[()\[\],;!:\s]|\$(?!\d)|\\n|\\(?!boxed)"
)
_TAG = re.compile(
    r"</?(?:b|i|u|p|br|em|strong|span|div|li|ul|ol|code|pre|td|tr|th|table|mark)\b[^<>\n]{0,60}>"
)
_NOT_LATIN = re.compile(r"(?<!\w)([АВСЕ])(?=[).,]|\s*$)", re.MULTILINE)
_AS_LATIN = dict(zip("АВСЕ", "ABCE", strict=True))


def without_markup(text: str) -> str:
    """Markdown, LaTeX and HTML dressing blanked; a letter that is set off by it is put in brackets."""
    text = _STRUCK.sub(blank, text)
    text = _SET_OFF.sub(lambda found: _bracketed(found[1], found[3]), text)
    if "<" in text:
        text = _TAG.sub(blank, text)
    text = _MARKUP.sub(
        lambda found: (found[0][:1] == "\\" and "\n" in found[0] and " \n") or blank(found), text
    )
    return text if text.isascii() else _NOT_LATIN.sub(lambda found: _AS_LATIN[found[1]], text)


def _bracketed(mark: str, inner: str) -> str:
    pad = " " * (len(mark) - 1)
    return f"{pad}({inner}){pad}"


_FAILURES = re.compile(
    r"LMMS_EVAL_(?:REQUEST_FAILED|BUDGET_EXCEEDED)|failed to obtain answer|can ?not load, check the source"
    r"|(?:cuda|gpu|hip)\s?(?:error|out of memory)|out of memory|traceback \(most recent|internal server error"
    r"|rate[ _]?limit(?:[ _]exceeded| reached|ed)|content[ _]filter|\bNoneType\b|\[Errno|\berrno\b|finish_?reason"
    r"|safety settings|bad gateway|service unavailable|gateway time-?out|connection (?:error|refused|reset|aborted)"
    r"|timed out|time-?out (?:occurred|error)|object has no attribute|\bstack ?trace\b|max(?:imum)? retries|<!doctype|<html"
    r"|\b[A-Za-z]{2,40}(?:Error|Exception)\b:|服务器错误|请求失败|请求超时|系统错误|\"error\"\s*:|'error'\s*:|context[ _]length[ _]exceeded"
    r"|maximum context length|quota (?:exceeded|has been)|exceeded your (?:current )?quota|too many requests"
    r"|invalid[ _](?:request|api)|api[ _]key|\bHTTP[ /]?(?:\d\.\d )?[45]\d\d\b|overloaded|\[object object\]",
    re.IGNORECASE,
)
_FAILED_FIRST = re.compile(
    r"^[\W_]*(?:(?:an? )?(?:\w{0,30}error|exception|http|failed|failure|fatal|warning|错误|异常|报错)\b"
    r"(?! (?:in|of|on|is|was|made) (?:the )?)[\s\]:\d(]|[45]\d\d:? (?:internal|bad|unauthori|forbidden|not found|too many|service|gateway|error|client|server)|\[(?:\w{0,20}[ _]?(?:error|failed|blocked|empty|no response))"
    r"|(?:null|none|nan|undefined|n/?a|nil|empty)\W*$)",
    re.IGNORECASE,
)


_FAILURE_HINTS = (
    "_",
    "fail",
    "load",
    "error",
    "memory",
    "traceback",
    "limit",
    "filter",
    "none",
    "errno",
    "reason",
    "safety",
    "gateway",
    "unavailable",
    "connection",
    "time",
    "attribute",
    "stack",
    "retries",
    "<",
    "exception",
    "length",
    "quota",
    "too many",
    "invalid",
    "api",
    "http",
    "overloaded",
    "object",
)


def may_have(text: str, hints: tuple[str, ...]) -> bool:
    """Whether a pattern that needs one of these words can match: it costs far less to ask than to search."""
    if not text.isascii():
        return True
    low = text.lower()
    return any(hint in low for hint in hints)


_ANSWERS = re.compile(
    r"[^\n]{0,200}\b(?:[Aa]nswer|[Oo]ption|[Cc]hoice)(?: is|:)\s{1,2}[\"'(*]{0,3}[A-Z](?=[\"')*]{0,3}(?:[.,;!]|\s*\Z|\n))"
)
_LETTERED = re.compile(r"\s*[\"'(*]{0,3}([A-Z])[).:]{1,2}\s+(.{1,120})")


def _begins_with_option(text: str, options: Sequence[str]) -> bool:
    """Whether a reply begins with a letter and half the words of its option: not "E: connection refused"."""
    found = _LETTERED.match(text)
    place = ord(found[1]) - ord("A") if found else 26
    if found is None or place >= len(options):
        return False
    own = set(re.findall(r"\w{3,}", options[place].lower()))
    return bool(own) and 2 * len(own & set(re.findall(r"\w{3,}", found[2].lower()))) >= len(own)


def is_failure(text: str, options: Sequence[str] = ()) -> bool:
    """Whether this is what a server or a program wrote in place of a reply: it has the words of one, in places where no
    option has them, and states no letter ("The answer is B. The truck is overloaded.")."""
    head = text[:3000]
    first = _FAILED_FIRST.match(text[:200])
    if not first and not (may_have(head, _FAILURE_HINTS) and _FAILURES.search(head)):
        return False
    if _ANSWERS.match(head) or _begins_with_option(head, options):
        return False
    own = " ".join(options).lower()
    said = [found[0].lower() for found in _FAILURES.finditer(head)]
    return bool(first) or not all(each in own for each in said)


_NEXT = re.compile(
    r"\n[\W_]*(?:(?:next|new|another|follow-?up) (?:question|problem|task)|question\s*\d{0,3}\s*[:.)]|q\s?\d{0,3}\s*[:.]"
    r"|(?:human|user|instruction|problem|exercise|example|input|task)\b\s*\d{0,3}\s*[:.\n]|\[INST\]|问题\s*\d*\s*:|用户\s*:|下一题|题目\s*:"
    r"|best option\s*:|(?:what|which|who|where|when|why|how|is|are|does|do|did|can)\b[^\n?]{3,200}\?[ \t]*(?:\n|$)"
    r"|(?:please|can you|could you|now)\s[^\n]{3,200}[.?:](?:\n|$)|(?:你|请)[^\n]{3,100}(?:\n|$))",
    re.IGNORECASE,
)
_ASKED_BELOW = re.compile(r"\n[\W_]*(?:答案|answer)", re.IGNORECASE)


def head_before_next(text: str) -> str | None:
    """What stands before the next question or turn when the writer goes on by itself; None when it does not."""
    lead = len(text) - len(text.lstrip())
    found = _NEXT.search(text, lead)
    return text[: found.start()] if found else None
