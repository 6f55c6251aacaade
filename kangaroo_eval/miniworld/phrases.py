"""Sentences that only the mini benchmarks need, beside `words.TEMPLATES`.

They are no part of `words.WORDS`: a tokenizer that was made of that vocabulary stays as it is.
"""

from __future__ import annotations

PHRASES: dict[str, str] = {
    # What happens.
    "race": "{who} moves {direction} {relation} one {other}",
    "shuffle": "{number} {things} change places over {other}",
    # Order and time.
    "ask event after": "what happens right after {what}?",
    "ask event before": "what happens right before {what}?",
    "ask event order": "in which order do these three things happen?",
    "answer event order": "first {first}, then {second}, then {third}",
    "ask place order": "in what order do these places appear?",
    "ask sign order": "in what order do the signs show these characters?",
    "ask between": "what happens between {start} and {end}?",
    "ask thing at": "which thing is there at {at}?",
    "ask event quarter": "in which part of the video is it that {what}?",
    "ask scene change": "how do the scenes in the video change?",
    "answer scene change": "from the {first} to the {last}",
    "ask comes back": "which thing is in more than one part of the video?",
    # Places.
    "ask event place": "in which place is it that {what}?",
    "ask first in place": "what happens first in the {place}?",
    "ask turn in place": "how does the colour of the {shape} in the {place} change?",
    "answer turn": "from {colour} to {after}",
    "ask sense": "which thing is in the place where {sense}?",
    # What the narrator says at the time.
    "ask said event": 'what happens when the subtitle says "{cue}"?',
    "ask said thing": 'which thing is there when the subtitle says "{cue}"?',
    "ask said colour": 'what colour is the {shape} when the subtitle says "{cue}"?',
    "ask said place": 'in which place is the video when the subtitle says "{cue}"?',
    "ask said next event": 'what happens right after the subtitle says "{cue}"?',
    "ask said next thing": 'which thing appears right after the subtitle says "{cue}"?',
    "ask said turn": 'how does the colour of the {shape} change when the subtitle says "{cue}"?',
    # Motion, change and number.
    "ask direction": "in which direction does the {thing} move in the video?",
    "answer still": "the object is stationary",
    "ask track": "where does the {thing} go?",
    "answer track": "from {start} to {end}",
    "ask size": "what can you say about the size of the {thing}?",
    "bigger": "it becomes bigger",
    "smaller": "it becomes smaller",
    "same size": "it stays the same",
    "ask still colour": "what color is the object that is stationary?",
    "ask still shape": "what shape is the object that is stationary?",
    "ask moving": "are there any moving {colour} objects?",
    "ask movers": "how many objects are moving {way}?",
    "ask sum": "how many {things} and {others} are there together?",
    "ask there": "is there a {thing} in the video?",
    "answer there": "no, there is no {thing} in the video",
    "ask detail": "which text describes the video in detail?",
    # What would be.
    "ask without": "which event will happen if the {thing} is removed?",
    "answer without": "the {thing} meets the {other}",
    "ask picture": "in which place of the video is the thing in the picture?",
    # One thing only, or one person.
    "ask activity": "what is the action performed in the video?",
    "ask person": "what is the action performed by the person in the video?",
    "ask person after": "what happened after the person {did} the {thing}?",
    "ask person next": "what will the person do next?",
    "ask next event": "what is about to happen as the video ends?",
    "ask handled": "which object was {did} by the person?",
    "answer act": "{act} the {thing}",
    "answer handled": "the {thing}",
    "picked up": "picked up",
    "ask ego order": "in what order do I do these things?",
    "ask c first": "what is the first thing that C does in the video?",
    "ask c last": "what is the last thing that C does in the video?",
    "ask c after": "what does C do right after C {acts} the {thing}?",
    "answer c": "C {acts} the {thing}",
    "ask c order": "in which order does C deal with the things, from the first to the last?",
    "answer c order": "C deals with the {first}, then with the {second} and then with the {third}",
    "ask c sum": "how can what C does in the whole video be summed up?",
    "answer c sum": "C picks up {picks} of the things and puts down {puts} of the things",
    "ask shuffle": "the person uses multiple similar objects to play an occlusion game. Where is the hidden "
    "object at the end of the game from the person's point of view?",
    "answer shuffle": "under the {which} object from the left",
    "step left": "Turn left at the {thing}.",
    "step right": "Turn right at the {thing}.",
    "step forward": "Go straight on at the {thing}.",
    "step stop": "Stop at the {thing}.",
    "ask navigation": "this is a navigation video of an agent following instruction: "
    '"{steps}" What is the next action it should take?',
    "ask summary": "can you summarize what happens in this video from its beginning to its end?",
    "ask plot": "what happens while the video is in the {place}?",
}

DIGITS = tuple(str(n) for n in range(11))
"""Numbers as MVBench writes them."""
WAYS: dict[str, str] = {"left": "to the left", "right": "to the right", "up": "up", "down": "down"}
EDGES: dict[str, str] = {"left": "the left", "right": "the right", "up": "the top", "down": "the bottom"}
"""Where a thing goes that moves in a direction."""
SENSES: dict[str, str] = {
    "night": "there are stars in a dark sky",
    "forest": "there are trees",
    "desert": "there are dunes of sand",
    "sea": "there are waves of water",
    "snow": "everything is cold and white",
    "city": "there are houses with windows",
}
"""What everybody knows of a place."""
ACTIVITIES: dict[str, str] = {
    "grow": "growing",
    "shrink": "shrinking",
    "cross": "moving",
    "stay": "staying",
    "recolour": "changing colour",
}
ANTONYMS: dict[str, tuple[str, str]] = {
    "grow": ("something becoming bigger", "something becoming smaller"),
    "shrink": ("something becoming smaller", "something becoming bigger"),
    "left": ("something moving from right to left", "something moving from left to right"),
    "right": ("something moving from left to right", "something moving from right to left"),
    "up": ("something rising", "something falling"),
    "down": ("something falling", "something rising"),
}
"""Kind or direction of an event -> what it is called, and what it is not."""
POSES = ("pick up", "put down", "wave", "clap")
RANKS = ("first", "second", "third")
NAVIGATION: dict[str, str] = {
    "left": "turn left and move forward",
    "right": "turn right and move forward",
    "forward": "move forward",
    "stop": "stop",
}
"""Folder of a navigation video -> the next action."""
