"""A second reading of a world, from its captions and subtitles alone: what tests judge questions by."""

from __future__ import annotations

import re
from collections import Counter

from kangaroo_eval.miniworld.captions import caption

SINGULAR = {
    "circles": "circle",
    "squares": "square",
    "triangles": "triangle",
    "crosses": "cross",
    "rings": "ring",
}
NUMBER = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
} | {str(n): n for n in range(11)}


class Told:
    """A world known from its caption and its subtitles alone (and the times of the events)."""

    def __init__(self, world):
        self.lines = [line.rstrip(".").lower() for line in re.split(r"\. ?", caption(world)) if line]
        self.places = [re.match(r"in the (\w+) ", line)[1] for line in self.lines]
        self.whats = [re.sub(r"^in the \w+ ", "", line) for line in self.lines]
        self.cues = [cue.text.lower().rstrip(".") for cue in world.cues]
        self.spans = [(e.start / world.seconds, e.end / world.seconds) for e in world.events]
        self.times = [(e.start, e.end) for e in world.events]
        self.spots = [e.spot for e in world.events]

    def things(self, i):
        """The things of event i, plurals made singular."""
        what = self.whats[i]
        pairs = re.findall(r"\b(\w+) (?=(\w+))", what)
        out = [f"{c} {SINGULAR.get(f, f)}" for c, f in pairs if _is_thing(f)]
        if m := re.search(r"one \w+ (\w+) turns (\w+)", what):
            out.append(f"{m[2]} {m[1]}")
        return set(out)

    def where(self, thing):
        return [i for i in range(len(self.lines)) if thing in self.things(i)]


def _is_thing(form):
    return SINGULAR.get(form, form) in SINGULAR.values()


def the(thing, told):
    (i,) = told.where(thing)
    return i


def _action(told, option, thing):
    what = told.whats[the(thing, told)]
    verb = option.removeprefix("it ")
    return "turns" in what if verb == "changes colour" else what.endswith(verb)


def _order(told, option):
    at = [told.where(thing)[0] for thing in option.split(", ")]
    return at == sorted(at)


def _neighbour(told, option, thing, step):
    i = the(thing, told) + step
    return 0 <= i < len(told.lines) and option in told.things(i)


def _part(told, option, thing):
    low, high = told.spans[the(thing, told)]
    k = ("first", "second", "third", "last").index(option.split()[2])
    return k / 4 - 0.021 <= low and high <= (k + 1) / 4 + 0.021


def _ego(told, option, act, which):
    done = [what.removeprefix(f"i {act} one ") for what in told.whats if what.startswith(f"i {act}")]
    return done[0 if which == "first" else -1] == option


def _ego_after(told, option, act, thing):
    i = told.whats.index(f"i {act} one {thing}")
    verb, name = re.fullmatch(r"i (pick up|put down) the (.*)", option.lower()).groups()
    return told.whats[i + 1] == f"i {verb} one {name}"


def _odd(told):
    common = Counter(told.whats).most_common(1)[0][0]
    return common, [what for what in told.whats if what != common]


def _oddity(told, option):
    usual, odd = _odd(told)
    if not odd:
        return option == "nothing is unusual"
    (odd,) = odd
    if "stops" in odd:
        return option == "one thing stops"
    if odd.startswith("two"):
        return option == "two things come and not one"
    a, b = usual.split(), odd.split()
    differs = [k for k in range(len(a)) if a[k] != b[k]]
    names = {
        1: "one thing has another colour",
        2: "one thing has another shape",
        4: "one thing moves the other way",
    }
    return len(differs) == 1 and names[differs[0]] == option


def _most(values):
    return Counter(values).most_common(1)[0][0]


def _sign(told, pattern):
    (found,) = [m for what in told.whats if (m := re.search(pattern, what))]
    return found[1]


def _colour_there(told, option, shape, place):
    there = {t for i, p in enumerate(told.places) if p == place for t in told.things(i)}
    return f"{option} {shape}" in there


def _meets(told, option, thing):
    return any(w.startswith(f"one {thing} meets one {option} and") for w in told.whats)


def _long_place(told, option):
    lengths = Counter()
    for (low, high), place in zip(told.spans, told.places, strict=True):
        lengths[place] += high - low
    return lengths.most_common(1)[0][0] == option.split()[2]


ORACLE = {
    r"where is the (\w+ \w+)\?": lambda t, o, thing: t.spots[the(thing, t)] == o,
    r"where is the (\w+ \w+) when it is with the (\w+ \w+)\?": lambda t, o, a, b: any(
        w == f"one {a} is {o.removesuffix('the ' + b)}one {b}" for w in t.whats
    ),
    r"which thing is (left of|right of|above|below) the (.*)\?": lambda t, o, r, b: (
        f"one {o} is {r} one {b}" in t.whats
    ),
    r"what colour is the (\w+) in the (\w+)\?": _colour_there,
    r"which shape is the (\w+) thing in the (\w+)\?": lambda t, o, c, p: _colour_there(t, c, o, p),
    r"what colour is the sign\?": lambda t, o: o == _sign(t, r"one (\w+) sign"),
    r"what colour is the thing that moves (\w+)\?": lambda t, o, d: (
        [w.split()[1] for w in t.whats if w.endswith(f" moves {d}")] == [o]
    ),
    r"what does the sign say\?": lambda t, o: o.lower() == _sign(t, r"sign says (\w+)"),
    r"in which place is the sign\?": lambda t, o: (
        o == "in the " + t.places[next(i for i, w in enumerate(t.whats) if " sign " in w)]
    ),
    r"what does the (\w+ \w+) do\?": _action,
    r"which colour does the (\w+ \w+) turn\?": lambda t, o, a: f"one {a} turns {o}" in t.whats,
    r"which thing changes colour and turns (\w+)\?": lambda t, o, c: f"one {o} turns {c}" in t.whats,
    r"which thing is in the (\w+)\?": lambda t, o, p: p in [t.places[i] for i in t.where(o)],
    r"which of these things appears in the video\?": lambda t, o: bool(t.where(o)),
    r"in which place is the (\w+ \w+)\?": lambda t, o, a: o == "in the " + t.places[the(a, t)],
    r"how many (\w+) (\w+) are there\?": lambda t, o, c, f: any(
        w.startswith(f"{o} {c} {f} ") for w in t.whats
    ),
    r"how many times does the (.*) appear\?": lambda t, o, a: len(t.where(a)) == NUMBER[o],
    r"which thing appears right after the (.*)\?": lambda t, o, a: _neighbour(t, o, a, 1),
    r"which thing appears right before the (.*)\?": lambda t, o, a: _neighbour(t, o, a, -1),
    r"in what order do these things appear\?": _order,
    r"in which part of the video is the (.*)\?": _part,
    r"what happens at the beginning of the video\?": lambda t, o: o.lower() == t.whats[0],
    r"what happens at the end of the video\?": lambda t, o: o.lower() == t.whats[-1],
    r"what happens to the (.*) after it meets the (.*)\?": lambda t, o, a, b: (
        f"one {a} meets one {b} and {o[3:]}" in t.whats
    ),
    r"why is it that the (\w+ \w+) (.*)\?": lambda t, o, a, e: (
        f"one {a} meets one {o[13:]} and {e}" in t.whats
    ),
    r"which thing does the (.*) meet\?": _meets,
    r"which thing is called (\w+)\?": lambda t, o, n: f"the {o} is called {n}" in t.cues,
    r"what is the (.*) called\?": lambda t, o, a: f"the {a} is called {o}" in t.cues,
    r"what is the code word\?": lambda t, o: f"the code word is {o}" in t.cues,
    r"which sentence sums up the video\?": lambda t, o: (
        o == f"it begins in the {t.places[0]} and ends in the {t.places[-1]}"
    ),
    r"what do i (pick up|put down) (first|last)\?": _ego,
    r"what colour is the (\w+) that i (pick up|put down)\?": lambda t, o, f, act: (
        f"i {act} one {o} {f}" in t.whats
    ),
    r"what do i do right after i (pick up|put down) the (.*)\?": _ego_after,
    r"how many things do i (pick up|put down)\?": lambda t, o, act: (
        NUMBER[o] == sum(w.startswith(f"i {act}") for w in t.whats)
    ),
    r"what is unusual in this video\?": _oddity,
    r"what happens in the unusual part of the video\?": lambda t, o: [o] == _odd(t)[1],
    r"which shape is most of the video about\?": lambda t, o: (
        SINGULAR[o]
        == _most(
            SINGULAR.get(f, f)
            for w in t.whats
            for f in [re.search(r"\w+ \w+ (\w+)", w.removeprefix("i "))[1]]
        )
    ),
    r"in which place is most of the video\?": _long_place,
}


def judge(world, text, options):
    """Which of the options are true answers."""
    told = Told(world)
    text = text.lower()
    if text == "what is the topic of the video?":
        return [
            ORACLE[r"in which place is most of the video\?"](told, o.split(" ", 1)[1])
            and Counter(f for i in range(len(told.lines)) for f in {t.split()[1] for t in told.things(i)})[
                SINGULAR[o.split()[0]]
            ]
            * 2
            > len(told.lines)
            for o in options
        ]
    (found,) = [(m, rule) for pattern, rule in ORACLE.items() if (m := re.fullmatch(pattern, text))]
    match, rule = found
    return [bool(rule(told, option, *match.groups())) for option in options]
