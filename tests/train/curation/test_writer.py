"""What a language model writes: strict replies, every other one counted and unused, and where a text came from in its row."""

from __future__ import annotations

from collections import Counter

import pytest

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.train.curation.instructions import Example, Made, Report, Round, assemble, merged
from kangaroo_eval.train.curation.writer import (
    DIALOGUE,
    MERGE,
    Prompt,
    Written,
    make_dialogues,
    merge_captions,
    parse_dialogue,
    pick,
)

TALK = "Q: Who is seen?\nA: A man.\n\nQ: Where is he?\nA: In a park.\n"
CHINESE = "问：视频里有谁？\n答：一个男人。\n问: 他在哪里？\n答: 在公园里。"


class Scripted:
    """A writer that answers everything with the same, or with what a function of the prompt gives."""

    def __init__(self, reply, outcome="ok", model="model-a"):
        self.reply, self.outcome, self.model = reply, outcome, model
        self.asked = []

    def write(self, prompts):
        self.asked.append(list(prompts))
        said = [self.reply(each) if callable(self.reply) else self.reply for each in prompts]
        return [Written(each, self.outcome, self.model) for each in said]


def captioned(name="a", captions=("A man walks.", "He walks in a park."), lang="en", task="short_caption"):
    return Example(
        id=name, video=f"{name}.mp4", source="made", task=task, lang=lang, duration=9.0, captions=captions
    )


def test_several_captions_become_one():
    writer = Scripted("  A man walks in a park. ")
    single, talk = (
        captioned("b", ("Alone.",)),
        Example(id="c", video="c.mp4", source="made", task="open_qa", rounds=(Round("Who?", "A man."),)),
    )
    found = merge_captions([single, captioned(), talk], [writer])
    assert found.examples[0] is single
    assert found.examples[2] is talk
    made = found.examples[1]
    assert made.captions == ("A man walks in a park.",)
    assert made.made == Made("merge-en-1", "model-a", ("A man walks.", "He walks in a park."))
    assert found.outcomes == {("merge-en-1", "model-a", "ok"): 1}
    assert found.told() == "1 ok (merge-en-1, model-a)"
    ((prompt,),) = writer.asked
    assert "- A man walks.\n- He walks in a park.\n" in prompt
    row = next(assemble([made], Report()))
    assert row["made"] == {
        "prompt": "merge-en-1",
        "model": "model-a",
        "captions": ["A man walks.", "He walks in a park."],
    }
    # What is merged is not merged again.
    assert merge_captions(found.examples, [writer]).outcomes == {}


def test_chinese_captions_are_merged_in_chinese():
    example = captioned(captions=("一个男人。", "他走路。"), lang="zh")
    found = merge_captions([example], [Scripted("一个男人在走路。")])
    assert found.examples[0].captions == ("一个男人在走路。",)
    assert found.examples[0].made.prompt == "merge-zh-1"
    found = merge_captions([example], [Scripted("A man walks.")])
    assert found.examples == [example]
    assert found.outcomes == {("merge-zh-1", "model-a", "wrong language"): 1}


@pytest.mark.parametrize(
    ("reply", "outcome", "counted"),
    [
        ("A man walks.", "failed", "failed"),
        ("A man wal", "truncated", "truncated"),
        ("", "refused", "refused"),
        (" \n", "ok", "empty"),
        ("", "empty", "empty"),
        ("I'm sorry, I cannot help with that.", "ok", "refused"),
        ("Here is the caption:\nA man walks.", "ok", "unparsable: more than one line"),
        ("Sure, a man walks.", "ok", "unparsable: talk around the caption"),
        ("Caption: A man walks.", "ok", "unparsable: talk around the caption"),
        ("一个男人在走路。", "ok", "wrong language"),
    ],
)
def test_replies_that_are_no_caption_are_counted_and_not_used(reply, outcome, counted):
    example = captioned()
    found = merge_captions([example], [Scripted(reply, outcome)])
    assert found.examples == [example]
    assert found.outcomes == {("merge-en-1", "model-a", counted): 1}


def test_dialogues():
    described = captioned("a", ("A man walks in a park.",), task="detailed_caption")
    chinese = captioned("b", ("一个男人在公园里走路。",), "zh", "detailed_caption")
    writer = Scripted(lambda prompt: CHINESE if "描述" in prompt else TALK)
    found = make_dialogues([described, chinese], [writer])
    english, other = found.examples
    assert english.rounds == (Round("Who is seen?", "A man."), Round("Where is he?", "In a park."))
    assert (english.id, english.task, english.lang) == ("a/dialogue", "conversation", "en")
    assert english.made == Made("dialogue-en-1", "model-a", ("A man walks in a park.",))
    assert other.rounds == (Round("视频里有谁？", "一个男人。"), Round("他在哪里？", "在公园里。"))
    assert (other.lang, other.made.prompt, other.duration) == ("zh", "dialogue-zh-1", 9.0)
    rows = list(assemble([described, chinese, *found.examples], Report()))
    assert [len(each["messages"]) for each in rows] == [2, 2, 4, 4]
    # They are conversations already.
    assert merged(found.examples, Report()) == found.examples


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Here you are:\n" + TALK, "neither question nor answer"),
        (TALK + "I hope this helps!", "neither question nor answer"),
        ("Q: Who?\nA: A man,\nwho walks.", "neither question nor answer"),
        ("**Q:** Who?\nA: A man.", "neither question nor answer"),
        ("Q: Who?\nQ: Where?\nA: There.\nA: A man.", "by turns"),
        ("A: A man.\nQ: Who?", "by turns"),
        ("Q: Who?\nA: A man.\nQ: Where?", "by turns"),
        ("Q: Who?\nA:\nQ: Where?\nA: There.", "an empty line"),
        ("Q: Who?\nA: A man.", "not 2 to 8 rounds"),
        ("\n".join(f"Q: What {n}?\nA: That." for n in range(9)), "not 2 to 8 rounds"),
        ("Q: Who?\nA: A man.\nQ: WHO?\nA: A dog.", "comes twice"),
        ("Q: Who?\nA: A man.\nQ: Why?\nA: I'm sorry, I cannot tell.", "refused"),
        ("Q: 有谁？\nA: 一个男人。\nQ: 在哪？\nA: 在公园。", "wrong language"),
        ("", "not 2 to 8 rounds"),
        (CHINESE, "neither question nor answer"),
    ],
)
def test_dialogues_of_another_form(text, said):
    with pytest.raises(DataError, match=said):
        parse_dialogue(text, "en")
    found = make_dialogues([captioned()], [Scripted(text or "?")])
    assert found.examples == []
    ((prompt, model, outcome),) = found.outcomes
    assert (prompt, model) == ("dialogue-en-1", "model-a")
    assert outcome.startswith(("unparsable", "refused", "wrong language"))


def test_two_writers_by_the_id():
    one, other = Scripted("A man walks.", model="one"), Scripted("A dog runs.", model="other")
    examples = [captioned(f"v{n}") for n in range(200)]
    found = merge_captions(examples, [one, other], batch=7)
    models = Counter(each.made.model for each in found.examples)
    assert 70 < models["one"] < 130
    assert models["one"] + models["other"] == 200
    # In their order, and each by the writer that its id says.
    assert [each.id for each in found.examples] == [each.id for each in examples]
    for each in found.examples:
        assert each.made.model == ("one", "other")[pick([one, other], each.id)]
    assert max(map(len, one.asked + other.asked)) == 7
    again = merge_captions(examples[::-1], [one, other])
    assert again.examples[::-1] == found.examples


def test_a_writer_that_is_none():
    with pytest.raises(UserError, match="no writer"):
        merge_captions([captioned()], [])
    silent = Scripted("")
    silent.write = lambda prompts: []
    with pytest.raises(UserError, match="0 replies to 1 prompts"):
        make_dialogues([captioned()], [silent])
    with pytest.raises(UserError, match="at least 1"):
        merge_captions([captioned()], [silent], batch=0)


def test_prompts_have_an_id_each():
    prompts = [*MERGE.values(), *DIALOGUE.values()]
    assert len({each.id for each in prompts}) == 4
    assert all(each.text.count("{captions}") == 1 for each in prompts)
    assert Prompt("x", "Of {captions}.").filled("{captions}") == "Of {captions}."
