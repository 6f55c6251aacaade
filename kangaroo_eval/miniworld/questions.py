"""Questions with four options about a world, by the task types of Video-MME and of MLVU Dev.

Each type has builders (in `facts.py`), which give every true answer together with the pool that wrong options
are taken from; none of a pool's other members is true. Which question is asked, its options and their order
follow from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kangaroo_eval.miniworld import facts, facts_long
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import Builder, Fact
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Recipe, World

VIDEOMME: dict[str, tuple[Builder, ...]] = {
    "Temporal Perception": (facts.quarter, facts.first_and_last),
    "Spatial Perception": (facts.where,),
    "Attribute Perception": (facts.colour_in_place, facts.colour_of_mover, facts.colour_of_sign, facts.turns),
    "Action Recognition": (facts.action,),
    "Object Recognition": (facts.thing_in_place, facts.appears, facts.shape_in_place),
    "OCR Problems": (facts.sign_text,),
    "Counting Problem": (facts.how_many, facts.times),
    "Temporal Reasoning": (facts.neighbours, facts.order),
    "Spatial Reasoning": (facts.relation, facts.beside),
    "Action Reasoning": (facts.effect, facts.why),
    "Object Reasoning": (facts.meets, facts.which_turns, facts.called),
    "Information Synopsis": (facts.synopsis, facts.code_word, facts.name_told),
}
MLVU: dict[str, tuple[Builder, ...]] = {
    "plotQA": (
        facts.action,
        facts.colour_in_place,
        facts.effect,
        facts.turns,
        facts.thing_in_place,
        facts.meets,
        facts.place_of_thing,
    ),
    "findNeedle": (facts.sign_text, facts.colour_of_sign, facts.place_of_sign),
    "ego": (facts_long.ego_ends, facts_long.ego_colour, facts_long.ego_after),
    "count": (facts.times, facts.how_many, facts_long.ego_count),
    "order": (facts.order, facts.neighbours),
    "anomaly_reco": (facts_long.oddity, facts_long.odd_event),
    "topic_reasoning": (facts_long.topic, facts_long.topic_shape, facts_long.topic_place),
}
BUILDERS: dict[str, tuple[Builder, ...]] = VIDEOMME | MLVU
"""Every task type and what makes its questions."""

LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Question:
    """One question: four different `options`, of which the one at index `right` is true.

    `needs_subtitles`: only the narrator tells the answer. Texts are in lower case; see `words.sentence`.
    """

    type: str
    text: str
    options: tuple[str, ...]
    right: int
    needs_subtitles: bool = False

    @property
    def answer(self) -> str:
        """The text of the right option."""
        return self.options[self.right]

    def lettered(self) -> tuple[str, ...]:
        """The options as Video-MME writes them: "A. Red."."""
        return tuple(f"{a}. {sentence(o, '.')}" for a, o in zip(LETTERS, self.options, strict=True))


def ask(world: World, task_type: str, dice: Dice, avoid: Sequence[str] = ()) -> Question | None:
    """A question of `task_type` whose text is not in `avoid`; None where the world has none to ask."""
    for builder in dice.shuffled(BUILDERS[task_type]):
        found = [fact for fact in builder(world, dice) if fact.text not in avoid and len(_wrong(fact)) >= 3]
        if found:
            return _question(task_type, dice.pick(found), dice)
    return None


def _wrong(fact: Fact) -> list[str]:
    return [option for option in dict.fromkeys(fact.pool) if option != fact.answer]


def _question(task_type: str, fact: Fact, dice: Dice) -> Question:
    options = (fact.answer, *dice.shuffled(_wrong(fact))[:3])
    start = Question(task_type, fact.text, options, 0, fact.needs_subtitles)
    return with_right_at(start, dice.below(4))


def with_right_at(question: Question, right: int) -> Question:
    """The same question with the right option at another index; the order of the wrong ones stays."""
    wrong = [option for i, option in enumerate(question.options) if i != question.right]
    return replace(question, options=(*wrong[:right], question.answer, *wrong[right:]), right=right)


def questions(
    world: World, seed: str, types: Sequence[str] = tuple(BUILDERS), each: int = 1
) -> list[Question]:
    """Up to `each` questions of every type, all with different texts; fewer where the world has no more."""
    dice = Dice(f"questions/{world.recipe.name}/{world.seed}/{seed}")
    out: list[Question] = []
    for task_type in types:
        for _ in range(each):
            found = ask(world, task_type, dice, [question.text for question in out])
            if found:
                out.append(found)
    return out


def world_with(
    seed: str, recipe: Recipe, types: Sequence[str], each: int = 1, subtitled: int = 0
) -> tuple[World, list[Question]]:
    """The first world of `seed` (tries 0, 1, ...) with `each` questions of all `types`, and these questions.

    At least `subtitled` of them, where the recipe is narrated, can only be answered with the subtitles.
    """
    for attempt in range(500):
        world = make_world(f"{seed}/{attempt}", recipe)
        asked = questions(world, seed, types, each)
        told = sum(question.needs_subtitles for question in asked)
        if len(asked) == len(types) * each and told >= subtitled:
            return world, asked
    raise ValueError(f"recipe {recipe.name}: no world of 500 has {each} questions each of {', '.join(types)}")


def balanced(asked: Sequence[Question], seed: str) -> list[Question]:
    """The same questions with the right option as often at each of the four places as their number allows."""
    deck = Dice(f"letters/{seed}").shuffled(i % 4 for i in range(len(asked)))
    return [with_right_at(question, right) for question, right in zip(asked, deck, strict=True)]
