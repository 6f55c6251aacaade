"""The second reading of the further benchmarks' questions: pattern of the text -> whether an option is true."""

from __future__ import annotations

import re

from miniworld.told import NUMBER, Told, judge, the

from kangaroo_eval.miniworld.captions import caption
from kangaroo_eval.miniworld.phrases import NAVIGATION

SENSES = {
    "there are stars in a dark sky": "night",
    "there are trees": "forest",
    "there are dunes of sand": "desert",
    "there are waves of water": "sea",
    "everything is cold and white": "snow",
    "there are houses with windows": "city",
}
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
TURN = r"from (\w+) to (\w+)"


def _seconds(clock):
    minutes, seconds = clock.split(":")
    return 60 * int(minutes) + int(seconds)


def _beside(told, option, what, step):
    (i,) = [k for k, w in enumerate(told.whats) if w == what]
    return 0 <= i + step < len(told.whats) and told.whats[i + step] == option.lower()


def _in_turn(told, option):
    parts = re.fullmatch(r"first (.*), then (.*), then (.*)", option.lower()).groups()
    at = [told.whats.index(part) for part in parts]
    return at == sorted(at)


def _acts_in_turn(told, option):
    parts = re.fullmatch(r"first (.*), then (.*), then (.*)", option.lower()).groups()
    at = [told.whats.index("i " + part.replace(" the ", " one ")) for part in parts]
    return at == sorted(at)


def _places_in_turn(told, option):
    at = [told.places.index(place) for place in option.split(", ")]
    return at == sorted(at)


def _signs_in_turn(told, option):
    return [w[-2:] for w in told.whats if " sign says " in w] == option.lower().split(", ")


def _between(told, option, start, end):
    low, high = _seconds(start), _seconds(end)
    (i,) = [k for k, (a, b) in enumerate(told.times) if a <= low and high <= b]
    return told.whats[i] == option.lower()


def _thing_at(told, option, at):
    (i,) = [k for k, (a, b) in enumerate(told.times) if a < _seconds(at) < b]
    return option in told.things(i)


def _quarter(told, option, what):
    low, high = told.spans[told.whats.index(what)]
    k = ("first", "second", "third", "last").index(option.split()[2])
    return k / 4 - 0.021 <= low and high <= (k + 1) / 4 + 0.021


def _turns(told, option, form, where):
    before, after = re.fullmatch(TURN, option).groups()
    return any(told.whats[i] == f"one {before} {form} turns {after}" for i in where)


def _at_cue(told, cue):
    (i,) = [k for k, text in enumerate(told.cues) if text == cue.rstrip(".")]
    return i


def _there(told, place):
    return [i for i, p in enumerate(told.places) if p == place]


def _goes(told, option, thing):
    start, end = re.fullmatch(r"from the (\w+) to the (\w+)", option).groups()
    way = {"top": "up", "bottom": "down"}.get(end, end)
    return start == OPPOSITE[end] and told.whats[the(thing, told)] == f"one {thing} moves {way}"


def _direction(told, option, thing):
    what = told.whats[the(thing, told)]
    return (
        what.endswith(" stays") if "stationary" in option else what.endswith(f" moves {option.split()[-1]}")
    )


def _size(told, option, thing):
    verb = {"bigger": "grows", "smaller": "shrinks", "same": "stays"}[option.split()[-1]]
    return told.whats[the(thing, told)].endswith(f" {verb}")


def _count(what):
    return NUMBER.get(what.split()[0], 0)


def _moving(told, option, colour):
    moves = any(w.split()[1] == colour and " move" in w for w in told.whats)
    return option == ("yes" if moves else "no")


def _together(told, option, a, b):
    return NUMBER[option] == sum(_count(w) for w in told.whats if f" {a} " in w or f" {b} " in w)


def _meets(told, option):
    a, b = re.fullmatch(r"the (.*) meets the (.*)", option).groups()
    return any(w.startswith(f"one {a} meets one {b} and") for w in told.whats)


def _without(told, option, gone):
    return _meets(told, option) and gone not in option


def _single(told, option):
    (what,) = told.whats
    words = {
        "something becoming bigger": "grows",
        "something becoming smaller": "shrinks",
        "something moving from right to left": "left",
        "something moving from left to right": "right",
        "something rising": "up",
        "something falling": "down",
        "growing": "grows",
        "shrinking": "shrinks",
        "staying": "stays?",
        "moving": "moves? ",
        "changing colour": "turns",
        "not sure": "never",
    }
    return re.search(rf"\b{words[option]}(\b|$)", what + " ") is not None


def _pose(told, option):
    return told.whats[0].startswith(f"i {option} ")


def _navigation(told, option, steps):
    (thing,) = told.things(len(told.whats) - 1)
    (step,) = [s for s in steps.split(". ") if thing in s]
    word = {"turn left": "left", "turn right": "right", "go straight": "forward", "stop at": "stop"}
    return option == NAVIGATION[next(way for start, way in word.items() if step.startswith(start))]


def _act(option):
    return "i " + option.lower().removeprefix("i ").replace(" the ", " one ")


def _c_act(option):
    return (
        option.replace("C picks up the", "i pick up one").replace("C puts down the", "i put down one").lower()
    )


def _after_act(told, option, verb, thing, read=_act):
    verb = verb.replace("picks", "pick").replace("puts", "put").replace("picked", "pick")
    return _beside(told, read(option), f"i {verb} one {thing}", 1)


def _handled(told, option, did):
    return f"i {did.replace('picked', 'pick')} one {option.removeprefix('the ')}" in told.whats


def _c_sum(told, option):
    found = re.fullmatch(r"C picks up (\w+) of the things and puts down (\w+) of the things", option).groups()
    kinds = [sum(w.startswith(f"i {verb} ") for w in told.whats) for verb in ("pick up", "put down")]
    return [NUMBER[n] for n in found] == kinds


def _c_order(told, option):
    things = re.fullmatch(
        r"C deals with the (.*), then with the (.*) and then with the (.*)", option
    ).groups()
    at = [told.where(thing)[0] for thing in things]
    return at == sorted(at)


def _said_event(told, option, cue):
    return told.whats[_at_cue(told, cue)] == option.lower()


MORE = {
    r"what happens right (after|before) (one .*|two .*|three .*|four .*|five .*)\?": lambda t, o, side, what: (
        _beside(t, o, what, 1 if side == "after" else -1)
    ),
    r"in which order do these three things happen\?": _in_turn,
    r"in what order do i do these things\?": _acts_in_turn,
    r"in what order do these places appear\?": _places_in_turn,
    r"in what order do the signs show these characters\?": _signs_in_turn,
    r"which thing is in more than one part of the video\?": lambda t, o: len(t.where(o)) > 1,
    r"what happens between (\S+) and (\S+)\?": _between,
    r"which thing is there at (\S+)\?": _thing_at,
    r"in which part of the video is it that (.*)\?": _quarter,
    r"in which place is it that (.*)\?": lambda t, o, w: o == "in the " + t.places[t.whats.index(w)],
    r"what happens first in the (\w+)\?": lambda t, o, p: t.whats[t.places.index(p)] == o.lower(),
    r"how do the scenes in the video change\?": lambda t, o: (
        o == f"from the {t.places[0]} to the {t.places[-1]}"
    ),
    r"how does the colour of the (\w+) in the (\w+) change\?": lambda t, o, f, p: _turns(
        t, o, f, _there(t, p)
    ),
    r"which thing is in the place where (.*)\?": lambda t, o, s: any(
        o in t.things(i) for i in _there(t, SENSES[s])
    ),
    r'what happens when the subtitle says "(.*)"\?': _said_event,
    r'which thing is there when the subtitle says "(.*)"\?': lambda t, o, c: o in t.things(_at_cue(t, c)),
    r'what colour is the (\w+) when the subtitle says "(.*)"\?': lambda t, o, f, c: (
        f"{o} {f}" in t.things(_at_cue(t, c))
    ),
    r'in which place is the video when the subtitle says "(.*)"\?': lambda t, o, c: (
        o == "in the " + t.places[_at_cue(t, c)]
    ),
    r'what happens right after the subtitle says "(.*)"\?': lambda t, o, c: (
        t.whats[_at_cue(t, c) + 1] == o.lower()
    ),
    r'which thing appears right after the subtitle says "(.*)"\?': lambda t, o, c: (
        o in t.things(_at_cue(t, c) + 1)
    ),
    r'how does the colour of the (\w+) change when the subtitle says "(.*)"\?': lambda t, o, f, c: _turns(
        t, o, f, [_at_cue(t, c)]
    ),
    r"in which direction does the (.*) move in the video\?": _direction,
    r"where does the (.*) go\?": _goes,
    r"what can you say about the size of the (.*)\?": _size,
    r"what color is the object that is stationary\?": lambda t, o: (
        [w.split()[1] for w in t.whats if w.endswith("stays")] == [o]
    ),
    r"what shape is the object that is stationary\?": lambda t, o: (
        [w.split()[2] for w in t.whats if w.endswith("stays")] == [o]
    ),
    r"are there any moving (\w+) objects\?": _moving,
    r"how many objects are moving (?:to the )?(\w+)\?": lambda t, o, way: (
        NUMBER[o] == sum(_count(w) for w in t.whats if re.search(rf"moves? {way}$", w))
    ),
    r"how many (\w+ \w+) and (\w+ \w+) are there together\?": _together,
    r"is there a (.*) in the video\?": lambda t, o, thing: not t.where(thing) and thing in o,
    r"which event will happen if the (.*) is removed\?": _without,
    r"in which place of the video is the thing in the picture\?": lambda t, o: (
        o.removeprefix("in the ") in t.places
    ),
    r"what is the action performed in the video\?": _single,
    r"what is the action performed by the person in the video\?": _pose,
    r'this is a navigation video of an agent following instruction: "(.*)" what is .*': _navigation,
    r"what happened after the person (picked up|put down) the (.*)\?": _after_act,
    r"what will the person do next\?": lambda t, o: _act(o) == t.whats[-1],
    r"what is about to happen as the video ends\?": lambda t, o: _act(o) == t.whats[-1],
    r"which object was (picked up|put down) by the person\?": _handled,
    r"what is the first thing that c does in the video\?": lambda t, o: _c_act(o) == t.whats[0],
    r"what is the last thing that c does in the video\?": lambda t, o: _c_act(o) == t.whats[-1],
    r"what does c do right after c (picks up|puts down) the (.*)\?": lambda t, o, v, thing: _after_act(
        t, o, v, thing, _c_act
    ),
    r"in which order does c deal with the things, .*": _c_order,
    r"how can what c does in the whole video be summed up\?": _c_sum,
}


def judge_more(world, text, options):
    """Which of the options are true answers, whichever benchmark asks."""
    if text == "which text describes the video in detail?":
        return [option == caption(world) for option in options]
    found = [(m, rule) for pattern, rule in MORE.items() if (m := re.fullmatch(pattern, text.lower()))]
    if not found:
        return judge(world, text, options)
    ((match, rule),) = found
    return [bool(rule(Told(world), option, *match.groups())) for option in options]
