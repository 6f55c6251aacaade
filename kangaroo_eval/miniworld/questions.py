"""Questions with options about a world, by the task types of Video-MME and of MLVU Dev, or by any others.

Each type has builders (in `facts.py`), which give every true answer together with the pool that wrong options
are taken from; none of a pool's other members is true. Which question is asked, its options and their order
follow from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

LETTERS = "ABCDEF"


@dataclass(frozen=True, slots=True)
class TaskType:
    """A type that `BUILDERS` does not have: its name, what makes its questions, how many options they have."""

    name: str
    builders: tuple[Builder, ...]
    options: int = 4


@dataclass(frozen=True, slots=True)
class Question:
    """One question: different `options` (four, if its type does not say otherwise); that at `right` is true.

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
        return tuple(f"{a}. {sentence(o, '.')}" for a, o in zip(LETTERS, self.options, strict=False))


def ask(world: World, task_type: str | TaskType, dice: Dice, avoid: Sequence[str] = ()) -> Question | None:
    """A question of `task_type` whose text is not in `avoid`; None where the world has none to ask."""
    if isinstance(task_type, str):
        task_type = TaskType(task_type, BUILDERS[task_type])
    wrong = task_type.options - 1
    for builder in dice.shuffled(task_type.builders):
        facts = [fact for fact in builder(world, dice) if fact.text not in avoid]
        found = [fact for fact in facts if len(_wrong(fact)) >= wrong]
        if found:
            return _question(task_type, dice.pick(found), dice)
    return None


def _wrong(fact: Fact) -> list[str]:
    return [option for option in dict.fromkeys(fact.pool) if option != fact.answer]


def _question(task_type: TaskType, fact: Fact, dice: Dice) -> Question:
    options = (fact.answer, *dice.shuffled(_wrong(fact))[: task_type.options - 1])
    start = Question(task_type.name, fact.text, options, 0, fact.needs_subtitles)
    return with_right_at(start, dice.below(len(options)))


def with_right_at(question: Question, right: int) -> Question:
    """The same question with the right option at another index; the order of the wrong ones stays."""
    wrong = [option for i, option in enumerate(question.options) if i != question.right]
    return replace(question, options=(*wrong[:right], question.answer, *wrong[right:]), right=right)


def questions(
    world: World, seed: str, types: Sequence[str | TaskType] = tuple(BUILDERS), each: int = 1
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
    seed: str,
    recipe: Recipe,
    types: Sequence[str | TaskType],
    each: int = 1,
    subtitled: int = 0,
    change: Callable[[World], World] = lambda world: world,
) -> tuple[World, list[Question]]:
    """The first world of `seed` (tries 0, 1, ...) with `each` questions of all `types`, and these questions.

    At least `subtitled` of them, where the recipe is narrated, can only be answered with the subtitles. Asked
    about, and given back, is what `change` makes of a world (such as `clips.cut_in_last`).
    """
    for attempt in range(500):
        world = change(make_world(f"{seed}/{attempt}", recipe))
        asked = questions(world, seed, types, each)
        told = sum(question.needs_subtitles for question in asked)
        if len(asked) == len(types) * each and told >= subtitled:
            return world, asked
    names = ", ".join(kind if isinstance(kind, str) else kind.name for kind in types)
    raise ValueError(f"recipe {recipe.name}: no world of 500 has {each} questions each of {names}")


def balanced(asked: Sequence[Question], seed: str) -> list[Question]:
    """The same questions with the right option as often at each place as their number allows.

    Questions with as many options as each other are balanced among themselves.
    """
    decks: dict[int, list[int]] = {}
    for n in {len(question.options) for question in asked}:
        count = sum(len(question.options) == n for question in asked)
        where = f"letters/{seed}" if n == 4 else f"letters/{seed}/{n}"
        decks[n] = Dice(where).shuffled(i % n for i in range(count))[::-1]
    return [with_right_at(question, decks[len(question.options)].pop()) for question in asked]
