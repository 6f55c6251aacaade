"""The careful reader: the labelled replies, replies that were made up for it, its spans, its speed, and noise."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangaroo_eval.careful import careful, letters_of

DEV = json.loads((Path(__file__).parent / "readers/careful_dev.json").read_text())["items"]
OPTIONS = ("Fishing", "Catching the drone", "Launching the drone", "Sunbathing")

# Made up while the reader was written, and it was mended on them: they hold what it reads.
MADE_UP: list[tuple[tuple[str, ...], list[tuple[str, str | None]]]] = [
    (
        ("Red", "Blue", "Green", "Yellow"),
        [
            ("B!", "B"),
            ("b.", "B"),
            ("[C]", "C"),
            ("{D}", "D"),
            ("Ⓑ", "B"),
            ("𝐂", "C"),
            ("(a)", "A"),
            ("> B", "B"),
            ("# C", "C"),
            ("- D", "D"),
            ("~~A~~ B", "B"),
            ("Answer → C", "C"),
            ("Answer is: option D", "D"),
            ("Choice: (A)", "A"),
            ("My final answer is C.", "C"),
            ("I'd vote for D.", "D"),
            ("I'll stick with B.", "B"),
            ("That leaves us with C.", "C"),
            ("Has to be D, right?", "D"),
            ("The only option that matches is C.", "C"),
            ("The one that fits is B.", "B"),
            ("Out of all the choices, D stands out as the most plausible.", "D"),
            ("If I had to guess, I'd pick C.", "C"),
            ("Gun to my head, A.", "A"),
            ("I can't make out much, but I'd go with D.", "D"),
            ("The footage is too blurry to be sure; still, my guess is B.", "B"),
            ("The shirt is, without a doubt, green.", "C"),
            ("Looks blue-ish to me, so B.", "B"),
            ("Gren", "C"),
            ("yelow", "D"),
            ("It's neither red nor blue nor green, it's yellow.", "D"),
            ("Not red.", None),
            ("Not red, not blue and not green.", "D"),
            ("Anything except green.", None),
            ("Either red or yellow.", None),
            ("Red, I think. No, wait: blue.", "B"),
            ("At first I thought it was green, but it turned out to be yellow.", "D"),
            ("A -> no\nB -> yes\nC -> no\nD -> no", "B"),
            ("A: ✗\nB: ✗\nC: ✓\nD: ✗", "C"),
            ("Red - incorrect\nBlue - incorrect\nGreen - incorrect\nYellow - incorrect", None),
            ("| A | ❌ |\n| B | ❌ |\n| C | ✅ |\n| D | ❌ |", "C"),
            ("The options are red, blue, green and yellow.", None),
            ("What colour is it? A) Red B) Blue C) Green D) Yellow", None),
            ('{"final_answer": "C", "confidence": 0.4}', "C"),
            ('{"Answer": "b"}', "B"),
            ('{"answer": null}', None),
            ('{"answer": "blue", "explanation": "not red"}', "B"),
            ('{"choice": ["A", "C"]}', None),
            ('```json\n{"selected_option": "D"}\n```', "D"),
            ("<response><choice>A</choice></response>", "A"),
            ("\\boxed{\\textbf{D}}", "D"),
            ("$$\\boxed{B}$$", "B"),
            ("**Final Answer**\n\n\\[ \\boxed{A} \\]", "A"),
            ("The answer is \\(\\mathbf{C}\\).", "C"),
            ("<think>Red? Or blue? Hmm.</think>It is blue.", "B"),
            ("<think>I am torn.", None),
            ("<think>\nthe shirt is red\n</think>\n\n<answer> A </answer>", "A"),
            ("答案选C", "C"),
            ("我选D，因为球是黄色的。", "D"),
            ("选B吧", "B"),
            ("A是错的，B也不对，D更不可能，所以只能选C。", "C"),
            ("我无法确定", None),
            ("无法从视频中判断答案。", None),
            ("应该是A或者B", None),
            ("第三个", "C"),
            ("正确选项：D", "D"),
            ("La respuesta correcta es la opción C.", "C"),
            ("Réponse : B", "B"),
            ("C'est la réponse D.", "D"),
            ("Ich glaube, die Antwort ist A.", "A"),
            ("Antwort: (B)", "B"),
            ("A resposta é C", "C"),
            ("Ответ: C", "C"),
            ("Правильный ответ - B", "B"),
            ("答えはCです", "C"),
            ("正解はDです。", "D"),
            ("답은 B입니다.", "B"),
            ("Jawaban: A", "A"),
            ("Cevap: D", "D"),
            ("الجواب: B", "B"),
            ("सही उत्तर B है", "B"),
            ("คำตอบคือ C", "C"),
            ("Het antwoord is B.", "B"),
            ("Lo siento, no puedo ver el video.", None),
            ("Je ne peux pas répondre à cette question.", None),
            ("抱歉，我看不到视频。", None),
            ("I'm sorry, I can't help with that.", None),
            ("As a language model I have no access to the video.", None),
            ("There isn't enough information to choose between A and C.", None),
            ("I can't tell whether it is red or blue.", None),
            ("Error: model overloaded, please retry", None),
            ("HTTP 503 Service Unavailable", None),
            ('{"error": {"message": "Invalid image: A", "code": 400}}', None),
            ("ValueError: B is not a valid tensor", None),
            ("Request timed out after 60 s", None),
            ("[blocked by content filter]", None),
            ("None", None),
            ("nan", None),
            ("A A A A A A", "A"),
            ("ABABABABAB", None),
            ("the the the", None),
            ("C C C D D", None),
            ("?????", None),
            ("F", None),
            ("Answer: E", None),
            ("Option 9", None),
            ("The fifth option", None),
            ("The answer is (G).", None),
            ("Second option", "B"),
            ("The third choice is right.", "C"),
            ("Last one", "D"),
            ("Option two.", "B"),
            ("The first.", "A"),
            ("Number 4", "D"),
            ("B. Blue\n\nQ: And what is the shape?\nA: round", "B"),
            ("C\n\nUser: thanks\nAssistant: You're welcome!", "C"),
            ("The answer is B.\n\nQuestion: Who is he?\nThe answer is D.", "B"),
            ("B. Green", None),
            ("Answer: A (blue)", None),
            ("A. Red like a tomato", "A"),
            ("A man walks by a wall.", None),
            ("A red one", "A"),
            ("I see a dog and a car.", None),
            ("Team B wins the match.", None),
            ("The car is parked at gate C.", None),
            ("It is an A+ performance.", None),
            ("He drinks vitamin C.", None),
            ("The answer is clearly visible in the video.", None),
            ("To answer this question we need to look at the colour of", None),
            ("Both A and C could be right.", None),
            ("A & D", None),
            ("B/C", None),
            ("A is wrong, B is wrong, D is wrong.", "C"),
            ("We can rule out A and D.", None),
            ("It cannot be A, B or C.", "D"),
            ("All but D are wrong.", "D"),
            ("Definitely not A. Probably not B or C either. D.", "D"),
            ("I would have said A, but the light is off, so it is C.", "C"),
            ("B... no, actually C.", "C"),
            ("My answer is A. Sorry, B.", "B"),
            ("C (I first had D)", "C"),
            ("Let's see. A would be right if it were daytime. It's night, so B.", "B"),
            ("Why B? Because the ball is blue.", "B"),
        ],
    ),
    (
        ("On the table", "Under the bed", "In the drawer", "Behind the door"),
        [
            ("It's under the bed.", "B"),
            ("The key is in the desk drawer.", "C"),
            ("Beneath the bed", "B"),
            ("He hides it behind the door, not under the bed.", "D"),
            ("The keys are lying on the table.", "A"),
            ("table", "A"),
            ("She looks under the bed and on the table, and finds it in the drawer.", None),
            ("on table", "A"),
            ("It isn't on the table, nor under the bed, nor in the drawer.", "D"),
            ("The room is dark.", None),
            ("In the drawer?", "C"),
            ("A. on the big wooden table", "A"),
        ],
    ),
    (
        (
            "The man opens the window",
            "The man closes the curtain",
            "The man waters the plants",
            "The man feeds the cat",
        ),
        [
            ("He waters his plants.", "C"),
            ("The cat gets fed.", "D"),
            ("opening the window", "A"),
            ("The man is shutting the curtains.", "B"),
            ("The man is in the room.", None),
            ("He gives the plants some water.", "C"),
            ("First he opens the window, then he feeds the cat.", None),
            ("He doesn't open the window; he closes the curtain.", "B"),
            (
                'The man in the video closes the curtain, then leaves. The answer is therefore B, "The man closes the curtain".',
                "B",
            ),
            ("A man opens a window.", "A"),
        ],
    ),
    (
        (
            "C is washing the dishes",
            "C is chopping vegetables",
            "C is sweeping the floor",
            "C is folding laundry",
        ),
        [
            ("C is sweeping the floor.", "C"),
            ("C washes dishes at the sink.", "A"),
            ("C", "C"),
            ("C is sitting on a chair.", None),
            ("C. C is sweeping the floor", "C"),
            ("C chops carrots and other vegetables.", "B"),
            ("C is correct.", "C"),
            ("The person is folding clothes, i.e. laundry.", "D"),
            (
                "C walks to the kitchen and picks up a knife. Then C chops the vegetables. So the answer is B.",
                "B",
            ),
            ("C does nothing in particular.", None),
        ],
    ),
    (
        ("1", "2", "3", "4"),
        [
            ("three", "C"),
            ("There are two.", "B"),
            ("I count four people.", "D"),
            ("Just one.", "A"),
            ("5", None),
            ("2 or 3", None),
            ("Exactly 2 dogs appear.", "B"),
            ("The answer is 3.", "C"),
            ("B", "B"),
            ("None are visible.", None),
            ("At first there is 1, then 2 more join, so 3.", "C"),
            ("3个人", "C"),
            ("Dos", None),
            ("Option B", "B"),
        ],
    ),
    (
        ("Because she missed the bus", "Because she was ill", "To surprise her brother", "To avoid the rain"),
        [
            ("She was sick.", "B"),
            ("To surprise her brother.", "C"),
            ("She wanted to surprise him.", "C"),
            ("because of the rain", "D"),
            ("The bus had already left.", "A"),
            ("She is late.", None),
            ("She had a fever and was ill, so she stayed home.", "B"),
            ("She didn't miss the bus.", None),
        ],
    ),
    (
        ("A drill", "A ladder", "A bucket", "None of the above"),
        [
            ("None of the above", "D"),
            ("None of them.", "D"),
            ("A ladder", "B"),
            ("He uses a ladder.", "B"),
            ("He uses a saw.", None),
            ("I cannot tell.", None),
            ("A, drill", "A"),
            ("bucket", "C"),
        ],
    ),
    (
        ("Yes", "No"),
        [
            ("Yes", "A"),
            ("no", "B"),
            ("Yes, he does.", "A"),
            ("No, it isn't.", "B"),
            ("Nope", "B"),
            ("Yes and no.", None),
            ("I don't know.", None),
            ("The answer is no.", "B"),
            ("是的", "A"),
            ("Yeah", "A"),
            ("There is no sign of that.", None),
        ],
    ),
    (
        ("A girl pushes a swing", "A swing hits a girl"),
        [
            ("The girl pushes the swing.", "A"),
            ("The swing hits the girl.", "B"),
            ("The second caption.", "B"),
            ("the former", "A"),
            ("Caption B is right.", "B"),
            ("Neither.", None),
            ("A girl is outside.", None),
            ("A is right", "A"),
            ("1", None),
        ],
    ),
    (
        ("00:05", "00:17", "00:42", "01:10"),
        [
            ("At 0:42.", "C"),
            ("00:17", "B"),
            ("It happens at around 00:05.", "A"),
            ("at 1:10", "D"),
            ("0:33", None),
        ],
    ),
    (
        ("A horse", "A cow", "A sheep", "A goat"),
        [
            ("Judging by the horns and the beard, this must be a goat.", "D"),
            ("It's got wool, so it's a sheep (C).", "C"),
            ("a horse or a cow", None),
            ("I see animals grazing in a field.", None),
            ("cow", "B"),
            ("Cows", "B"),
            ("B would be my answer.", "B"),
            ("I'm leaning toward option C here, although D can't be excluded.", "C"),
            ("The animal isn't a horse. It isn't a cow. It isn't a goat.", "C"),
            ("Honestly no clue.", None),
            ("A. No wait, the animal has udders: B.", "B"),
            ("Answer: **Option (A)** – the animal is a horse.", "A"),
            ("**Reasoning:** It has hooves and a mane.\n\n**Answer:** A horse", "A"),
            ("Option A: incorrect. Option B: incorrect. Option C: correct. Option D: incorrect.", "C"),
            (
                "D, since goats have beards and the animal in the frame clearly has one. A, B and C do not.",
                "D",
            ),
            ("The horse appears first, then the cow, and the goat last.", None),
            ("Gold standard: C", "C"),
            ("C > B > A > D", "C"),
            ("C (confidence: high)", "C"),
            ("Prediction: B\nConfidence: 0.8", "B"),
            ('{"prediction": "C", "options": ["A", "B", "C", "D"]}', "C"),
            ('{"A": 0.1, "B": 0.7, "C": 0.1, "D": 0.1}', "B"),
            ("<final>B</final>", "B"),
            ("Final: D.", "D"),
            ("I'd have to say it's a cow", "B"),
            ("On balance C.", "C"),
            ("The right answer is undoubtedly the third option, a sheep.", "C"),
            ("There is a man feeding something.", None),
            ("It could be a sheep.", "C"),
            ("El animal es una vaca, por lo tanto la respuesta correcta es B.", "B"),
            ("这是一只山羊，所以答案是D。", "D"),
            ("Je pense que c'est la réponse A, un cheval.", "A"),
            ("Das Tier ist ein Schaf. Antwort C ist richtig.", "C"),
            ("Verdict: B", "B"),
            ("A is the best choice because of the mane.", "A"),
            ("Sure! Here's my answer: D", "D"),
            ("As an AI, I can't watch videos, but based on the frames the answer is B.", "B"),
            ("I refuse to answer.", None),
            ("Unable to process video: codec error A", None),
            ("504 Gateway Timeout", None),
            ("RuntimeError: Expected all tensors on device cuda:0, got B", None),
        ],
    ),
    (
        ("Foggy", "Windy", "Stormy", "Clear"),
        [
            ("The sky is clear and there are no clouds.", "D"),
            ("fog", "A"),
            ("There's thick fog everywhere.", "A"),
            ("It's a windy day: the trees bend.", "B"),
            ("A storm is raging.", "C"),
            ("Not clear from the video.", None),
            ("It is clear that the answer is B.", "B"),
            ("Clearly windy.", "B"),
            ("I cannot clearly see the weather.", None),
            ("The weather looks nice.", None),
        ],
    ),
    (
        (
            "Mixing, baking, decorating",
            "Baking, mixing, decorating",
            "Decorating, mixing, baking",
            "Mixing, decorating, baking",
        ),
        [
            ("mixing -> decorating -> baking", "D"),
            ("First she bakes, then mixes, and finally decorates.", "B"),
            ("Mixing comes first, followed by baking and decorating.", "A"),
            ("She bakes a cake.", None),
            ("The order is C.", "C"),
        ],
    ),
    (
        (
            "C is assembling a chair",
            "C is painting a fence",
            "C is repairing a bicycle",
            "C is planting flowers",
            "C is cooking dinner",
        ),
        [
            ("C is planting tulips in the garden.", "D"),
            ("C puts together a chair from parts.", "A"),
            ("C takes a screwdriver and a wrench. C looks at the bike.", "C"),
            ("C is outdoors.", None),
            ("The answer is C.", "C"),
            ("C is the right answer.", "C"),
            ("In the video, C cooks pasta for dinner, so E.", "E"),
            ("C picks up a brush. C dips it into paint. C is painting the fence.", "B"),
            ("C", "C"),
            ("c is repairing a bicycle", "C"),
        ],
    ),
    (
        ("The coach", "The referee", "The goalkeeper", "A spectator"),
        [
            ("the ref", None),
            ("Referee", "B"),
            ("It was the goalkeeper who caught the ball; the coach only watched.", "C"),
            ("Neither the coach nor the referee nor the goalkeeper. A spectator ran onto the pitch.", "D"),
            ("The man with the whistle, i.e. the referee, shows the card.", "B"),
            ("A spectator", "D"),
            ("A player", None),
        ],
    ),
    (
        ("Yes", "No", "Not enough information"),
        [
            ("There is not enough information to tell.", "C"),
            ("I can't tell.", "C"),
            ("yes", "A"),
            ("No. The door stays shut.", "B"),
            ("Maybe", None),
        ],
    ),
    (
        ("The cat", "The dog", "Both A and B", "Neither A nor B"),
        [
            ("Both of them.", "C"),
            ("the dog", "B"),
            ("Neither", "D"),
            ("Both the cat and the dog run.", "C"),
            ("C", "C"),
            ("Only the cat.", "A"),
            ("Neither of the animals.", "D"),
            ("A and B", "C"),
        ],
    ),
    (
        ("5", "7", "9", "11"),
        [
            ("seven", "B"),
            ("I counted them twice and got 9.", "C"),
            ("Between 7 and 9.", None),
            ("6", None),
            ("More than 5.", None),
            ("11 people", "D"),
            ("nine of them", "C"),
        ],
    ),
    (
        ("New York", "Paris", "London", "Tokyo"),
        [
            ("The Eiffel Tower is visible, hence Paris.", "B"),
            ("Tower Bridge -> London", "C"),
            ("It's set in New York City.", "A"),
            ("Berlin", None),
            ("Not in Paris or London.", None),
            ("It is a city.", None),
            ("東京", None),
        ],
    ),
    (
        ("He paints the wall", "He repairs the roof", "He digs a hole", "He mows the lawn"),
        [
            ("Looking at the shovel in his hands and the pile of dirt, I'm confident it's C.", "C"),
            ("The man pushes a lawnmower across the grass, mowing the lawn.", "D"),
            ("He's up on the roof with a hammer, fixing it.", "B"),
            (
                "A) He paints the wall - The man holds a brush, so this is correct.\nB) He repairs the roof - There's no roof.\nC) He digs a hole - No shovel.\nD) He mows the lawn - Not shown.",
                "A",
            ),
            ("My pick would be B, but A is also conceivable.", "B"),
            ("I initially considered A, then D. In the end I settled on B.", "B"),
            ("Options A and B can be dismissed. Between C and D, D matches better.", "D"),
            ("The person could be painting the wall or digging a hole.", None),
            ("The video cuts off before anything happens.", None),
            ("A person is standing on a ladder.", None),
            ("I don't have enough information to say whether it's A, B, C or D.", None),
            ("[C]\n", "C"),
            ("Answer : c", "C"),
            ('The best answer is option "D".', "D"),
            ("He is cooking.", None),
            ("D) He mows the lawn\n\nExplanation: The other options (A, B, C) are not shown.", "D"),
            ("None of the options match what I see.", None),
            ("Sorry, I can only process images, not videos.", None),
            ("c) he digs a hole", "C"),
            ("The answer's B", "B"),
            ("It's B!", "B"),
            ("B it is", "B"),
            ("B, I'm sure of it.", "B"),
            ("Probably not A.", None),
            ("A hole is being dug.", "C"),
            ("Only D makes sense.", "D"),
            ("D is the only one that makes sense.", "D"),
            ("He doesn't mow the lawn, he doesn't dig a hole and he doesn't paint the wall.", "B"),
            ("ANSWER: (D) HE MOWS THE LAWN", "D"),
            ("我觉得答案应该是 D，因为他在割草。", "D"),
            ("Answer: A or B", None),
            ("Answer: B. He paints the wall", None),
            ("Final answer: none", None),
            ("Error generating response", None),
            ("Connection timed out. Please try again later.", None),
            ("Yes", None),
            ("True", None),
            (
                "Step 1: he carries a ladder. Step 2: he climbs up. Step 3: he repairs the roof. Final answer: B.",
                "B",
            ),
            ("1. He paints the wall\n2. He repairs the roof\n3. He digs a hole\n4. He mows the lawn", None),
            ("The correct choice is 3.", "C"),
            ("Option (b) is the correct one", "B"),
        ],
    ),
    (
        ("C is reading a book", "C is watering plants", "C is typing on a laptop", "C is ironing a shirt"),
        [
            ("C types on the laptop for most of the video.", "C"),
            ("C is holding a cup.", None),
            ("The camera wearer waters the plants on the balcony.", "B"),
            ("C irons shirts.", "D"),
            (
                "Since C is holding a book and turning its pages, C is reading a book. Therefore, the answer is A.",
                "A",
            ),
            ("Option C", "C"),
            ("C: typing", "C"),
            ("C is the person wearing the camera.", None),
        ],
    ),
    (
        ("Apples", "Oranges", "Bananas", "Grapes"),
        [
            ("The basket contains apples, oranges and grapes, but no bananas.", None),
            ("There are no apples, oranges or grapes in the basket, only bananas.", "C"),
            ("grapes!", "D"),
            ("An apple", "A"),
            ("She buys oranges at the market.", "B"),
            ("She picks up an apple, puts it back and takes a banana instead.", None),
            ("fruit", None),
            ("Pears", None),
        ],
    ),
    (
        ("North", "South", "East", "West"),
        [
            ("The sun sets on the right, so the camera faces south.", "B"),
            ("It's heading west.", "D"),
            ("from north to south", "B"),
            ("northeast", None),
            ("Eastward", "C"),
        ],
    ),
    (
        ("15 minutes", "30 minutes", "1 hour", "2 hours"),
        [
            ("two hours", "D"),
            ("30 min", "B"),
            ("about 15 minutes", "A"),
            ("45 minutes", None),
        ],
    ),
]
CASES = [(options, text, label) for options, replies in MADE_UP for text, label in replies]


def test_the_labelled_replies_are_read():
    """The reader was written against these: what it reaches here says nothing of replies that it has not seen."""
    wrong = [item for item in DEV if careful(item["text"], item["options"]).answer != item["label"]]
    letters = [item for item in wrong if careful(item["text"], item["options"]).answer is not None]
    assert 1 - len(wrong) / len(DEV) >= 0.99, Counter(item["kind"] for item in wrong)
    assert len(letters) <= 3, [item["text"] for item in letters]


@pytest.mark.parametrize(
    "kind", ["refusal", "error text", "degenerate", "out of range", "none of the options"]
)
def test_no_letter_is_read_where_nothing_was_chosen(kind):
    items = [item for item in DEV if item["kind"] == kind and item["label"] is None]
    assert len(items) > 5
    assert [item["text"] for item in items if careful(item["text"], item["options"]).answer] == []


@pytest.mark.parametrize(("options", "text", "label"), CASES, ids=[text[:60] for _, text, _ in CASES])
def test_what_a_person_reads(options, text, label):
    assert careful(text, options).answer == label


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("B", "B"),
        ("The answer is B.", "B"),
        ("（Ａ） is wrong. 答案是Ｂ。", "Ｂ"),
        ("<think>A or B?</think>\n\nSo, **B**.", "B"),
        ('{"reason": "A is out", "answer": "B"}', "B"),
        (r"$\boxed{\text{B}}$", "B"),
        ("A. No, wait, B", "B"),
        (" " * 50_000 + "So it is B.", "B"),
        ("He waits. " * 9_000 + "The answer is B.", "B"),
        ("....... ------- B.", "B"),
        ("He is catching the drone, I guess.", "catching the drone"),
        ("I cannot be sure, but it looks like he is catching the drone.", "catching the drone"),
    ],
)
def test_the_span_is_what_was_read(text, read):
    reading = careful(text, OPTIONS)
    assert reading.answer == "B"
    assert reading.span is not None
    assert text[slice(*reading.span)] == read


LONG = [
    "B ", "(A) ", "a", "The answer is ", "\n", "<", '{"answer":', "'", "A, B or ", "red blue ", "Wait, ",
    "\\boxed{", "**", "。", "<think>", "A. Fishing B. Catching the drone ", "drone catching the ", "not A, not ",
    ".", "option 1 ", "1 ", "A is wrong. ", '"answer": "', "Error ", "- A: no\n", "[[", "<answer>", "|", "no, ",
]  # fmt: skip


@pytest.mark.parametrize("piece", LONG)
def test_a_reply_of_100_kb_takes_no_time(piece):
    text = piece * (100_000 // len(piece))
    careful("The answer is the drone.", OPTIONS)
    spent = []
    for _ in range(3):
        start = time.process_time()
        careful(text, OPTIONS)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.1


def test_ten_thousand_short_replies_take_less_than_a_second():
    replies = ["B", "(C)", "B. Catching the drone", "The answer is D.", "Answer: A"] * 2_000
    start = time.process_time()
    for reply in replies:
        careful(reply, OPTIONS)
    assert time.process_time() - start < 0.5


PIECES = [
    *"ABCDEabcd.,:;?!()[]{}<>\"'*|\\\n 12",
    "The answer is ", " not ", " or ", " and ", "<think>", "</think>", "\\boxed{", '{"answer": "', "Wait, ", "答案", "是",
    "第二", "option ", "first", "Catching", " the drone", "Fishing", " is wrong", " is correct", "\n\n", "~~", "**", "</s>",
    "none of them", "I cannot tell", "however", "Ｂ", "。", "3", "$", "%", "10:30", "isn't ",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=25).map("".join)),
    st.lists(st.text(max_size=20), max_size=8) | st.just(list(OPTIONS)) | st.just(["1", "2", "10-20"]),
)
def test_noise_is_read_without_raising(text, options):
    reading = careful(text, options)
    assert reading.answer is None or reading.answer in letters_of(options)
    assert reading == careful(text, options)
    if reading.span is not None:
        assert 0 <= reading.span[0] < reading.span[1] <= len(text)
