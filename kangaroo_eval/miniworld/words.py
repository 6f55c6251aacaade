"""The small language of the made world: names of what can be seen, and every sentence made about it.

Text (questions, options, captions, subtitles) is filled from `TEMPLATES` with the names below, so `WORDS` is
its whole vocabulary and a tokenizer can be built from it. What only mini benchmarks say (`phrases.PHRASES`)
may use other words.
"""

from __future__ import annotations

import re
import string

from kangaroo_eval.miniworld.phrases import PHRASES

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 30, 30),
    "green": (40, 190, 60),
    "blue": (50, 90, 250),
    "yellow": (250, 225, 40),
    "purple": (160, 50, 205),
    "orange": (255, 130, 10),
    "white": (245, 245, 245),
}
SHAPES: dict[str, str] = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "cross": "crosses",
    "ring": "rings",
}
PLACES = ("night", "forest", "desert", "sea", "snow", "city")
# Centres as fractions of the picture's width and height, from the top left corner.
SPOTS: dict[str, tuple[float, float]] = {
    "at the top left": (0.25, 0.25),
    "at the top right": (0.75, 0.25),
    "at the bottom left": (0.25, 0.75),
    "at the bottom right": (0.75, 0.75),
    "in the centre": (0.5, 0.5),
}
DIRECTIONS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
RELATIONS: dict[str, tuple[int, int]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}
EFFECTS = ("disappears", "changes colour", "turns back", "grows")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PARTS = ("in the first quarter", "in the second quarter", "in the third quarter", "in the last quarter")
NAMES = ("tom", "anna", "ben", "lucy", "max", "ella", "paul", "nina")
CODES = ("apple", "river", "candle", "window", "garden", "hammer", "pepper", "violin")
SIGN_CHARACTERS = "0123456789EHKLNTXZ"
ODDITIES: dict[str, str] = {
    "colour": "one thing has another colour",
    "shape": "one thing has another shape",
    "direction": "one thing moves the other way",
    "number": "two things come and not one",
    "stop": "one thing stops",
    "none": "nothing is unusual",
}

TEMPLATES: dict[str, str] = {
    # What happens: the phrases that captions and options are made of.
    "one": "one {thing}",
    "many": "{number} {things}",
    "group": "{number} {things} stay",
    "stay": "{who} stays",
    "cross": "{who} moves {direction}",
    "cross many": "{who} move {direction}",
    "stop": "{who} comes in and stops",
    "grow": "{who} grows",
    "shrink": "{who} shrinks",
    "recolour": "{who} turns {colour}",
    "meet": "{who} meets one {other} and {effect}",
    "pair": "{who} is {relation} one {other}",
    "sign": "one {colour} sign says {text}",
    "pick": "I pick up {who}",
    "put": "I put down {who}",
    "place": "in the {place}",
    "caption": "{place} {what}",
    "nothing": "nothing is there",
    "at": "{who} {spot}",
    "hands": "my hands",
    "said": "a {colour} sign with {text}",
    # What a thing does.
    "it moves": "it moves {direction}",
    "it stops": "it comes in and stops",
    "it grows": "it grows",
    "it shrinks": "it shrinks",
    "it recolours": "it changes colour",
    "it stays": "it stays",
    "it effect": "it {effect}",
    "it meets": "it meets the {thing}",
    # Narration.
    "welcome": "welcome to this video",
    "here": "now we are in the {place}",
    "called": "the {thing} is called {name}",
    "code": "the code word is {code}",
    # Questions.
    "ask where": "where is the {thing}?",
    "ask relation": "where is the {thing} when it is with the {other}?",
    "answer relation": "{relation} the {other}",
    "ask beside": "which thing is {relation} the {thing}?",
    "ask colour": "what colour is the {shape} in the {place}?",
    "ask colour alone": "what colour is the only {shape} in the video?",
    "ask colour sign": "what colour is the sign?",
    "ask colour moves": "what colour is the thing that moves {direction}?",
    "ask shape": "which shape is the {colour} thing in the {place}?",
    "ask action": "what does the {thing} do?",
    "ask turns": "which colour does the {thing} turn?",
    "ask in place": "which thing is in the {place}?",
    "ask appears": "which of these things appears in the video?",
    "ask place of": "in which place is the {thing}?",
    "ask place of sign": "in which place is the sign?",
    "ask sign": "what does the sign say?",
    "ask how many": "how many {things} are there?",
    "ask times": "how many times does the {thing} appear?",
    "ask places": "how many places are in the video?",
    "ask after": "which thing appears right after the {thing}?",
    "ask before": "which thing appears right before the {thing}?",
    "ask order": "in what order do these things appear?",
    "answer order": "{first}, {second}, {third}",
    "ask quarter": "in which part of the video is the {thing}?",
    "ask first": "what happens at the beginning of the video?",
    "ask last": "what happens at the end of the video?",
    "ask effect": "what happens to the {thing} after it meets the {other}?",
    "ask why": "why is it that the {thing} {effect}?",
    "ask meets": "which thing does the {thing} meet?",
    "ask which turns": "which thing changes colour and turns {colour}?",
    "ask called": "which thing is called {name}?",
    "ask name": "what is the {thing} called?",
    "ask code": "what is the code word?",
    "ask synopsis": "which sentence sums up the video?",
    "answer synopsis": "it begins in the {first} and ends in the {last}",
    "ask pick first": "what do I pick up first?",
    "ask pick last": "what do I pick up last?",
    "ask put first": "what do I put down first?",
    "ask put last": "what do I put down last?",
    "ask ego colour": "what colour is the {shape} that I {act}?",
    "ask ego after": "what do I do right after I {act} the {thing}?",
    "answer ego": "I {act} the {thing}",
    "ask ego count": "how many things do I {act}?",
    "ask odd": "what is unusual in this video?",
    "ask odd event": "what happens in the unusual part of the video?",
    "ask topic shape": "which shape is most of the video about?",
    "ask topic place": "in which place is most of the video?",
    "ask topic": "what is the topic of the video?",
    "answer topic": "{things} in the {place}",
    "pick up": "pick up",
    "put down": "put down",
    "the video": "the video",
}

_SENTENCES = TEMPLATES | PHRASES


def say(template: str, **names: object) -> str:
    """The sentence of `TEMPLATES` or `PHRASES` with its gaps filled: lower case but for "I", "C" and signs."""
    return _SENTENCES[template].format(**names)


def sentence(text: str, end: str = "") -> str:
    """`text` with a capital first letter, and `end` (such as ".") behind it."""
    return text[:1].upper() + text[1:] + end


_TOKEN = re.compile(rf"[{SIGN_CHARACTERS}]{{2}}(?![\w])|[A-Za-z]+|[0-9]|[.,?]")


def split(text: str) -> list[str]:
    """`text` as members of `WORDS`: lower-case words, punctuation; a sign text as its single characters."""
    out: list[str] = []
    for token in _TOKEN.findall(text):
        is_sign = len(token) == 2 and all(c in SIGN_CHARACTERS for c in token)
        out += list(token.lower()) if is_sign else [token.lower()]
    return out


def _vocabulary() -> tuple[str, ...]:
    gap_free = ["".join(part[0] for part in string.Formatter().parse(t)) for t in TEMPLATES.values()]
    names = [*COLOURS, *SHAPES, *SHAPES.values(), *PLACES, *SPOTS, *DIRECTIONS, *RELATIONS]
    names += [*EFFECTS, *NUMBERS, *PARTS, *NAMES, *CODES, *ODDITIES.values(), ".", ",", "?"]
    found = {word for text in gap_free + names for word in split(text)} | set(SIGN_CHARACTERS.lower())
    return tuple(sorted(found))


WORDS: tuple[str, ...] = _vocabulary()
"""Every token that `split` makes of text from `TEMPLATES`, sorted. Option letters (A to D) are not in it."""
