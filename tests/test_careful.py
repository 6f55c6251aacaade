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
# Paraphrases, other languages, reasoning, corrections, names and mere descriptions.
DIVERSE: list[tuple[tuple[str, ...], list[tuple[str, str | None]]]] = [
    (
        (
            "To borrow a ladder",
            "To apologise for the noise",
            "To invite them to dinner",
            "To complain about the dog",
        ),
        [
            ("He goes over to say sorry because the music had been so loud.", "B"),
            ("Their pet keeps barking and the woman has had enough of it.", "D"),
        ],
    ),
    (
        (
            "He slips on the ice and falls",
            "He drops the cake",
            "He misses the bus",
            "He spills coffee on his shirt",
        ),
        [
            ("The man loses his footing on the frozen pavement and ends up on the ground.", "A"),
            ("The bus drives off before he can reach the stop.", "C"),
            ("His hot drink goes all over his clothes.", "D"),
            ("The cake ends up on the floor after it slides out of his hands.", "B"),
        ],
    ),
    (
        (
            "The speaker is optimistic about electric cars",
            "The speaker is doubtful about electric cars",
            "The speaker sells electric cars",
            "The speaker has never driven one",
        ),
        [
            ("He seems sceptical and keeps questioning whether they are practical.", "B"),
            ("He is very hopeful about their future.", "A"),
            ("He makes his living as a dealer of such vehicles.", "C"),
        ],
    ),
    (
        (
            "Preheat the oven",
            "Chop the onions",
            "Knead the dough",
            "Whisk the eggs",
        ),
        [
            ("First she cuts up the onions into small pieces.", "B"),
            ("The very first thing is turning on the oven so that it gets hot.", "A"),
            ("She beats the eggs in a bowl.", "D"),
            ("The chef works the dough with her hands on the floured table.", "C"),
        ],
    ),
    (
        (
            "Twice",
            "Three times",
            "Four times",
            "Five times",
        ),
        [
            ("The dog jumps over the hurdle on 3 occasions.", "B"),
            ("I counted a total of 5 jumps.", "D"),
            ("It happens two times in the clip: once at the start and once near the end.", "A"),
            ("There were 4 knocks on the door.", "C"),
        ],
    ),
    (
        (
            "30 seconds",
            "1 minute",
            "90 seconds",
            "2 minutes",
        ),
        [
            ("The timer is set to a minute and a half.", "C"),
            ("It takes half a minute.", "A"),
            ("About 60 seconds go by.", "B"),
            ("It goes on for 120 seconds.", "D"),
        ],
    ),
    (
        (
            "Half of them",
            "A quarter of them",
            "All of them",
            "None of them",
        ),
        [
            ("50% of the participants raise a hand.", "A"),
            ("About 25 percent.", "B"),
            ("Every single one of the students passes.", "C"),
            ("Not a single student passes the test.", "D"),
        ],
    ),
    (
        (
            "At 7:30 in the morning",
            "At noon",
            "At 5 pm",
            "At midnight",
        ),
        [
            ("The clock on the wall says 12 o'clock and the sun is high, so it is midday.", "B"),
            ("At half past seven.", "A"),
            ("The meeting takes place at 17:00.", "C"),
        ],
    ),
    (
        (
            "The temperature rises",
            "The temperature falls",
            "The temperature stays the same",
            "The temperature is not shown",
        ),
        [
            ("It gets steadily warmer as the graph goes on.", "A"),
            ("The thermometer shows that it keeps getting colder.", "B"),
            ("There is no change in temperature throughout.", "C"),
            ("It goes up.", "A"),
        ],
    ),
    (
        (
            "Because he lost his keys",
            "Because the road was flooded",
            "Because his car broke down",
            "Because he overslept",
        ),
        [
            ("His alarm did not ring, and he woke up much too late.", "D"),
            ("The engine of his car died halfway there.", "C"),
            ("He was unable to find his keys.", "A"),
        ],
    ),
    (
        (
            "A librarian",
            "A flight attendant",
            "A dentist",
            "A mechanic",
        ),
        [
            ("She looks after the passengers on board of an aeroplane.", "B"),
            ("He fixes cars for a living.", "D"),
            ("She is wearing a mask and is examining a patient's teeth.", "C"),
            ("She works among the shelves of a library.", "A"),
        ],
    ),
    (
        (
            "The cat knocks over the vase",
            "The boy kicks the ball through the window",
            "The vase is blown over by the wind",
            "The girl hides the vase",
        ),
        [
            ("The animal jumps on the table and pushes the vase so it falls.", "A"),
            ("The kid's football smashes the window pane.", "B"),
        ],
    ),
    (
        (
            "In the kitchen",
            "In the garage",
            "In the garden",
            "In the bathroom",
        ),
        [
            ("They are standing next to the stove and the fridge, so this is a kitchen.", "A"),
            ("The scene takes place outdoors among flowers and bushes, in the back garden.", "C"),
            ("This was filmed in a garage with tools on the wall.", "B"),
        ],
    ),
    (
        (
            "Painting a fence",
            "Mowing the lawn",
            "Washing a car",
            "Trimming a hedge",
        ),
        [
            ("In the video, the man with the cap can be seen washing a car in front of his house.", "C"),
            ("The woman paints the fence while her husband watches from the porch.", "A"),
            ("What the person is doing in the clip is trimming a hedge with electric shears.", "D"),
            ("The man is mowing the lawn. Behind him, a car is parked, and there is a fence.", "B"),
            ("He starts by taking out the bucket and then he washes his car.", "C"),
        ],
    ),
    (
        (
            "Blue",
            "Light blue",
            "Dark green",
            "Green",
        ),
        [
            ("The tie that the presenter wears in the second half is light blue in color.", "B"),
            ("His jacket is of a dark green shade.", "C"),
            ("I see that the umbrella is blue.", "A"),
        ],
    ),
    (
        (
            "The violinist",
            "The conductor",
            "The pianist",
            "The audience",
        ),
        [
            ("It is the conductor who bows first once the music ends.", "B"),
            ("After the last note, the pianist stands up before anybody else does.", "C"),
            ("The one who leaves the stage is the violinist, while the audience keeps applauding.", "A"),
            ("The audience begins to clap.", "D"),
        ],
    ),
    (
        (
            "They hug each other",
            "They shake hands",
            "They wave goodbye",
            "They start arguing",
        ),
        [
            ("At the end of the interview, the two of them shake hands and smile.", "B"),
            ("The two women hug one another before the train departs.", "A"),
            ("Right after that, they begin to argue about the bill.", "D"),
            ("As the car pulls away, both of the parents are waving goodbye from the doorway.", "C"),
        ],
    ),
    (
        (
            "Paris",
            "Rome",
            "Madrid",
            "Lisbon",
        ),
        [
            ("Since the Eiffel Tower is visible in the background, the city must be Paris.", "A"),
            ("The tram and the tiled houses show that this was filmed in Lisbon, not in Madrid.", "D"),
            ("The signs mention the Colosseum, so the city shown is Rome.", "B"),
        ],
    ),
    (
        (
            "Red",
            "Blue",
            "Green",
            "Yellow",
        ),
        [
            ("La respuesta correcta es la opción C.", "C"),
            ("La respuesta correcta sería la B, porque el coche se ve claramente.", "B"),
            ("Creo que es la segunda opción.", "B"),
            ("Elijo la D, ya que en el video se ve.", "D"),
            ("No es la A ni la B; la correcta es la C.", "C"),
            ("Die richtige Antwort lautet C.", "C"),
            ("Ich wähle Antwort D, weil man es am Ende sieht.", "D"),
            ("Richtig ist B.", "B"),
            ("Die richtige Antwort ist nicht A, sondern B.", "B"),
            ("Option A kann man ausschließen, es ist also D.", "D"),
            ("La bonne réponse est la C.", "C"),
            ("C'est la réponse B qui est correcte.", "B"),
            ("Je choisis D car on le voit bien à la fin.", "D"),
            ("Ce n'est pas A, c'est plutôt C.", "C"),
            ("La bonne option est la troisième.", "C"),
            ("La risposta corretta è la C.", "C"),
            ("La risposta giusta è la lettera B.", "B"),
            ("Scelgo la D perché si vede alla fine del video.", "D"),
            ("Direi la seconda.", "B"),
            ("A resposta correta é a letra C.", "C"),
            ("A alternativa correta é a D.", "D"),
            ("Eu escolheria a opção B, pois o carro aparece no vídeo.", "B"),
            ("Правильный ответ: C.", "C"),
            ("Правильный ответ — вариант B, потому что это видно в конце.", "B"),
            ("Я выбираю D.", "D"),
            ("Скорее всего, это третий вариант.", "C"),
            ("Верный вариант — C, а не B.", "C"),
            ("الإجابة الصحيحة هي C.", "C"),
            ("الإجابة الصحيحة هي (ب).", "B"),
            ("أختار B لأن السيارة تظهر في النهاية.", "B"),
            ("الخيار الثالث هو الصحيح.", "C"),
            ("सही उत्तर C है।", "C"),
            ("सही विकल्प B है क्योंकि वीडियो में यह दिखता है।", "B"),
            ("मेरे हिसाब से उत्तर D होगा।", "D"),
            ("Đáp án đúng là C.", "C"),
            ("Tôi chọn B vì trong video có thể thấy rõ.", "B"),
            ("Câu trả lời chính xác là D.", "D"),
            ("Theo tôi, đáp án là phương án A.", "A"),
            ("Jawaban yang benar adalah C.", "C"),
            ("Saya memilih B karena terlihat jelas di video.", "B"),
            ("Pilihan yang tepat adalah D.", "D"),
            ("Menurut saya jawabannya A.", "A"),
            ("Doğru cevap C şıkkıdır.", "C"),
            ("Doğru cevap: B", "B"),
            ("Cevap D olmalı, çünkü videonun sonunda görülüyor.", "D"),
            ("Bence doğru seçenek A'dır.", "A"),
            ("正解はCです。", "C"),
            ("答えはBだと思います。", "B"),
            ("私はDを選びます。", "D"),
            ("Aではなく、Bが正解です。", "B"),
            ("3番が正しいです。", "C"),
            ("정답은 C입니다.", "C"),
            ("제 생각에는 B가 맞는 것 같습니다.", "B"),
            ("D를 선택하겠습니다.", "D"),
            ("두 번째 선택지가 정답입니다.", "B"),
            ("正确答案应该是C。", "C"),
            ("我认为选B比较合适。", "B"),
            ("根据视频内容，A不对，D才是正确的。", "D"),
            ("第三个选项是正确的。", "C"),
            ("No puedo determinar la respuesta a partir del video.", None),
            ("Ich kann das Video leider nicht sehen.", None),
            ("Je ne peux pas répondre à cette question.", None),
            ("Não consigo ver o vídeo.", None),
            ("Не могу ответить на этот вопрос, так как видео недоступно.", None),
            ("Tôi không thể xem video này.", None),
            ("Maaf, saya tidak dapat melihat video tersebut.", None),
            ("Üzgünüm, videoyu göremiyorum.", None),
            ("申し訳ありませんが、動画を見ることができません。", None),
            ("죄송합니다. 영상을 볼 수 없습니다.", None),
            ("لا أستطيع مشاهدة الفيديو.", None),
            ("मैं वीडियो नहीं देख सकता।", None),
            ("El video muestra una calle con mucha gente.", None),
            ("Das Video zeigt eine Straße mit vielen Leuten.", None),
            ("A rua está cheia de gente.", None),
        ],
    ),
    (
        (
            "El perro persigue al gato",
            "El gato persigue al ratón",
            "El ratón come queso",
            "El perro duerme",
        ),
        [
            ("En el video se ve que el gato persigue al ratón por toda la casa.", "B"),
            ("Lo que pasa es que el ratón se come el queso.", "C"),
        ],
    ),
    (
        (
            "Une voiture rouge",
            "Un vélo bleu",
            "Un bus jaune",
            "Une moto noire",
        ),
        [
            ("On voit passer un bus jaune devant l'école.", "C"),
            ("L'homme arrive sur un vélo de couleur bleue.", "B"),
            ("C'est une moto noire, pas une voiture rouge.", "D"),
        ],
    ),
    (
        (
            "Fishing",
            "Cooking",
            "Painting",
            "Dancing",
        ),
        [
            ('El hombre está haciendo "Fishing", es decir, pescando.', "A"),
            ('Der Mann ist am Kochen, also "Cooking".', "B"),
            ("La réponse est « Painting ».", "C"),
            ("Правильный ответ: Dancing.", "D"),
            ("正解は「Cooking」です。", "B"),
            ("视频中的人正在 Painting。", "C"),
            ("Jawabannya adalah Dancing, bukan Painting.", "D"),
        ],
    ),
    (
        (
            "Er öffnet die Tür",
            "Er schließt das Fenster",
            "Er kocht Tee",
            "Er liest ein Buch",
        ),
        [
            ("Der Mann hat das Fenster geschlossen.", "B"),
            ("Man sieht, wie er ein Buch liest.", "D"),
            ("Im Video kocht er Tee für seine Gäste.", "C"),
        ],
    ),
    (
        (
            "跑步",
            "游泳",
            "骑自行车",
            "打篮球",
        ),
        [
            ("视频里的男子正在游泳池里游泳。", "B"),
            ("他不是在跑步，而是在打篮球。", "D"),
            ("答案：骑自行车", "C"),
        ],
    ),
    (
        (
            "Before the rain starts",
            "While it is raining",
            "After the rain has stopped",
            "It does not rain",
        ),
        [
            (
                "Let me think about the order of events. The children first play in the yard. Then clouds gather and it begins to rain, and they all run inside. Only when the sun is out again do they build the sandcastle. So the sandcastle is built after the rain has stopped.",
                "C",
            ),
            (
                "The children are seen with umbrellas when they build it, and drops are falling on the sand. That tells us that it happens while it is raining.",
                "B",
            ),
            (
                "Option A says before the rain starts. But the ground is wet already. Option B says during the rain, which does not match either because no drops are visible. Option D is excluded since we do see rain. What remains is C.",
                "C",
            ),
        ],
    ),
    (
        (
            "Mix flour and water",
            "Add salt",
            "Bake the bread",
            "Slice the bread",
        ),
        [
            (
                "The question asks what happens last. The video begins with mixing flour and water, then salt is added. Next the loaf goes into the oven. Finally, the baker slices the bread.",
                "D",
            ),
            (
                "First they mix flour and water. Second they add salt. The third step, which the question asks about, is to bake the bread.",
                "C",
            ),
            (
                "To answer this, I looked at the steps. Mixing flour and water is shown at 0:05, adding salt at 0:20. The question is about what comes directly after mixing. The answer is therefore adding salt.",
                "B",
            ),
        ],
    ),
    (
        (
            "Increasing",
            "Decreasing",
            "Constant",
            "Fluctuating",
        ),
        [
            (
                "At first one might think that the line is increasing. However, the axis is inverted, so that higher positions mean lower values. Consequently, the quantity is decreasing.",
                "B",
            ),
            (
                "The line starts at 10 and is at 10 at the end as well. In between there's no movement. Hence constant.",
                "C",
            ),
            (
                "It goes up, then down, then up again. That is not constant, and it is neither only increasing nor only decreasing. It must be fluctuating.",
                "D",
            ),
            (
                "We can eliminate A because the values do not go up. We can eliminate C since there is movement. D would need ups and downs, which are absent. Therefore the remaining one is right.",
                "B",
            ),
        ],
    ),
    (
        (
            "The man in the blue shirt",
            "The man in the red shirt",
            "The woman with the hat",
            "The referee",
        ),
        [
            (
                "Several people touch the ball. The man in the red shirt serves it, the woman with the hat returns it. But the one who scores the point is the man in the blue shirt.",
                "A",
            ),
            (
                "The man in the red shirt and the man in the blue shirt both run for it. In the end the referee picks up the ball. So the answer is the referee.",
                "D",
            ),
            (
                "Step 1: identify the people. There is a referee, a woman with a hat and two men. Step 2: who holds the trophy? It's held by the woman. Step 3: match with the options: the woman with the hat.",
                "C",
            ),
        ],
    ),
    (
        (
            "Left",
            "Right",
            "Straight ahead",
            "Backwards",
        ),
        [
            (
                "The car approaches the crossing. It signals left, but then it keeps going straight ahead. So it doesn't turn at all. My answer: straight ahead.",
                "C",
            ),
        ],
    ),
    (
        (
            "A dog",
            "A horse",
            "A cow",
            "A sheep",
        ),
        [
            ("A - hmm, no, actually the second one.", "B"),
            ("A. Wait, no. The animal has horns, so C.", "C"),
            ("I'd say B... on reflection, D.", "D"),
            ("It's a horse. Oh, hold on, it has udders: a cow.", "C"),
            ("My first answer was A, but I've changed my mind: D.", "D"),
            ("The answer is B. Correction: the answer is C.", "C"),
            ("(A) no, sorry, (D)", "D"),
            ("First I wanted to say the dog, but it is really the sheep.", "D"),
            ("The third one. Hmm, no, make that the last one.", "D"),
            ("B? No, that can't be right. It must be A.", "A"),
            ("A horse, or rather a cow.", "C"),
            ("La respuesta es A. No, espera, es la C.", "C"),
            ("Antwort A. Nein, doch B.", "B"),
            ("Réponse A... non, plutôt D.", "D"),
            ("应该是A……不对，是C。", "C"),
            ("Scratch that. Not B, it's D.", "D"),
        ],
    ),
    (
        (
            "To hide the money",
            "To find the map",
            "To call for help",
            "To escape the guards",
        ),
        [
            (
                "In this video a man in a grey coat walks down a long corridor. There are guards at the door. He looks into several drawers and finally pulls out a folded sheet with a drawing of an island. He goes into the room in order to find the map.",
                "B",
            ),
            (
                "The man enters an office at night, looks around nervously, puts the bundles of banknotes behind a loose brick and leaves. His purpose is thus hiding the money.",
                "A",
            ),
            (
                "There's a lot going on in the clip: an alarm goes off, the lights go out, and guards are running. The woman grabs the telephone on the desk. I believe that she does so to call for help.",
                "C",
            ),
            ("A long scene with many people. Considering everything, D is the one I would go for.", "D"),
        ],
    ),
    (
        (
            "Happy",
            "Nervous",
            "Bored",
            "Angry",
        ),
        [
            ("It's hard to say for sure, but she seems nervous.", "B"),
            ("Not entirely certain, though he gives the impression of being bored.", "C"),
            ("Possibly C?", "C"),
            ("I'm torn, but if pressed, D.", "D"),
            ("Her mood could be read as happy, I suppose.", "A"),
            ("Either nervous or angry, I can't decide.", None),
            ("I lean towards angry, although it might be nervousness as well.", "D"),
            ("Without sound it is tough to judge; most likely bored.", "C"),
        ],
    ),
    (
        (
            "He takes vitamins",
            "He goes to Plan B",
            "He meets his lawyer",
            "He sells the house",
        ),
        [
            ("Mr. B. sells the house to a young couple.", "D"),
            ("Since the first idea fails, he resorts to Plan B.", "B"),
            ("Studio D produced this film.", None),
            ("He and his lawyer meet at Terminal C.", "C"),
            ("Type A people rarely rest.", None),
            ("The man's name is B. Carter, and he swallows his vitamins.", "A"),
        ],
    ),
    (
        (
            "A doctor",
            "A pilot",
            "A farmer",
            "A singer",
        ),
        [
            ("Dr. C. Meyer examines a patient, so she is a doctor.", "A"),
            ("Her blood type is A.", None),
            ("Section D of the stadium is full.", None),
            ("Melanie B is a singer.", "D"),
            ("A man stands on a field.", None),
            ("Cardi B performs on stage; the person is a singer.", "D"),
        ],
    ),
    (
        (
            "Opening a letter",
            "Reading a newspaper",
            "Watering the plants",
            "Feeding the fish",
        ),
        [
            ("The video shows a living room with a large window, a sofa and a table.", None),
            ("A person is sitting in a room. A lamp stands in the corner. The walls are white.", None),
            (
                "There is a letter on the table, a newspaper on the chair, and some plants by the window.",
                None,
            ),
            ("I'm sorry, but I can't identify people in videos.", None),
            ("Error: CUDA out of memory.", None),
            ("The clip is 12 seconds long and has no sound.", None),
            ("Please provide the video so that I can help you.", None),
            ("C walks around the room and looks at the table.", None),
            ("The fish tank is next to the plants.", None),
            ("As a language model I do not have access to videos.", None),
            ("Sure! Here is a description: the camera pans from left to right over a bright room.", None),
        ],
    ),
    (
        (
            "It becomes heavier",
            "It becomes lighter",
            "It catches fire",
            "It floats away",
        ),
        [
            ("The balloon loses weight as the sand runs out.", "B"),
            ("The box starts to burn.", "C"),
            ("It gains weight.", "A"),
        ],
    ),
    (
        (
            "Open",
            "Closed",
            "Half open",
            "Broken",
        ),
        [
            ("The door has been shut the whole time.", "B"),
            ("The door isn't closed.", None),
            ("The window is smashed; the glass is all over the floor.", "D"),
        ],
    ),
    (
        (
            "Buying groceries",
            "Visiting a museum",
            "Playing chess",
            "Taking a nap",
        ),
        [
            (
                "The two old men are bent over a board and move their pieces; one finally says checkmate, so they play chess.",
                "C",
            ),
            ("They walk past paintings and statues in the museum.", "B"),
            ("She's asleep on the couch for a short while: a nap.", "D"),
            ("He is out shopping for food at the grocery store.", "A"),
        ],
    ),
    (
        (
            "A knife",
            "A spoon",
            "A fork",
            "Chopsticks",
        ),
        [
            ("The noodles are eaten with a pair of chopsticks.", "D"),
            ("He stirs the soup using his spoon.", "B"),
            ("The cook slices it with a sharp blade, that is to say, a knife.", "A"),
        ],
    ),
    (
        (
            "The older brother",
            "The younger brother",
            "The mother",
            "The teacher",
        ),
        [
            ("The kid's mum is the one who opens the present.", "C"),
            ("The younger of the two boys.", "B"),
            ("It is the elder one of the brothers.", "A"),
        ],
    ),
    (
        (
            "He returns the wallet",
            "He keeps the wallet",
            "He throws the wallet away",
            "He hands the wallet to the police",
        ),
        [
            ("The man gives the wallet back to its owner.", "A"),
            ("He tosses it into a rubbish bin.", "C"),
            ("He takes it to an officer at the station.", "D"),
        ],
    ),
    (
        (
            "To celebrate a birthday",
            "To mourn a relative",
            "To protest a new law",
            "To watch a match",
        ),
        [
            ("Everyone has gathered because it's the girl's birthday party.", "A"),
            ("People are demonstrating against legislation with banners.", "C"),
            ("They came together to see the football game.", "D"),
        ],
    ),
    (
        (
            "The volume decreases",
            "The volume increases",
            "The volume stays constant",
            "The volume doubles and then halves",
        ),
        [
            ("It gets smaller over time.", "A"),
            ("The amount does not change at all.", "C"),
            ("It keeps growing from start to end.", "B"),
        ],
    ),
    (
        (
            "15 minutes",
            "45 minutes",
            "1 hour",
            "3 hours",
        ),
        [
            ("The recipe needs a quarter of an hour in the oven.", "A"),
            ("Three quarters of an hour.", "B"),
            ("He says that it takes sixty minutes.", "C"),
            ("180 minutes.", "D"),
        ],
    ),
    (
        (
            "An electrician",
            "A baker",
            "A teacher",
            "A firefighter",
        ),
        [
            ("The woman writes on the blackboard in front of a class of pupils.", "C"),
            ("He puts out the flames with a hose.", "D"),
            ("She's taking loaves of bread out of the oven in her bakery.", "B"),
        ],
    ),
    (
        (
            "The boy is scared of the dog",
            "The boy likes the dog",
            "The boy ignores the dog",
            "The boy feeds the dog",
        ),
        [
            ("He is frightened and hides behind his mother.", "A"),
            ("The child gives the puppy something to eat.", "D"),
            ("He pays no attention to the animal at all.", "C"),
        ],
    ),
    (
        (
            "In a hospital",
            "At the airport",
            "In a supermarket",
            "On a farm",
        ),
        [
            ("One can see cows, a barn and a tractor.", "D"),
            ("People push trolleys along the aisles and wait at the checkout.", "C"),
            ("She lies in bed while doctors and nurses walk by.", "A"),
        ],
    ),
    (
        (
            "Flying a kite",
            "Building a sandcastle",
            "Collecting shells",
            "Surfing",
        ),
        [
            ("The two kids near the water are building a sandcastle with a red bucket.", "B"),
            ("What the old man on the beach does is to collect shells in a bag.", "C"),
            ("A young woman is surfing on a big wave while people look on from the beach.", "D"),
        ],
    ),
    (
        (
            "The blue team",
            "The red team",
            "The referee",
            "The coach",
        ),
        [
            ("After the whistle it's the red team that takes the free kick.", "B"),
            ("The player is shouted at by the coach, who looks furious.", "D"),
            ("Right at the end of the clip the blue team lifts the trophy.", "A"),
        ],
    ),
    (
        (
            "Three",
            "Four",
            "Five",
            "Six",
        ),
        [
            ("There are five people sitting around the table in the opening shot.", "C"),
            ("In total I can count 4 different birds.", "B"),
        ],
    ),
    (
        (
            "Running",
            "Swimming",
            "Cycling",
            "Climbing",
        ),
        [
            ("La opción correcta es la B, ya que se ve una piscina.", "B"),
            ("Yo elegiría la última opción.", "D"),
            ("Me inclino por la C, aunque no estoy seguro.", "C"),
            ("Acho que a resposta é a A.", "A"),
            ("A opção D está correta porque mostra uma montanha.", "D"),
            ("Não é a B, é a C.", "C"),
            ("La réponse est D parce qu'on voit une falaise.", "D"),
            ("Je pense que c'est la deuxième réponse.", "B"),
            ("À mon avis, la bonne réponse est A.", "A"),
            ("Meiner Meinung nach ist Antwort C richtig.", "C"),
            ("Ich würde B sagen.", "B"),
            ("Die zweite Option passt am besten.", "B"),
            ("Secondo me la risposta corretta è la D.", "D"),
            ("L'opzione A è quella giusta.", "A"),
            ("Non è la A, ma la B.", "B"),
            ("Я считаю, что правильный ответ D.", "D"),
            ("Ответ: вариант A.", "A"),
            ("Это не B, а C.", "C"),
            ("أعتقد أن الإجابة هي D.", "D"),
            ("الجواب الصحيح: A", "A"),
            ("सही जवाब D है।", "D"),
            ("मुझे लगता है कि विकल्प A सही है।", "A"),
            ("Tôi nghĩ đáp án đúng là A.", "A"),
            ("Không phải A mà là B.", "B"),
            ("Phương án D là chính xác nhất.", "D"),
            ("Saya rasa jawaban yang paling tepat adalah B.", "B"),
            ("Bukan A, melainkan C.", "C"),
            ("Bence cevap C.", "C"),
            ("Doğru seçenek D'dir çünkü adam tırmanıyor.", "D"),
            ("最も適切な選択肢はDです。", "D"),
            ("Bだと思います。なぜなら、プールが見えるからです。", "B"),
            ("저는 C를 고르겠습니다.", "C"),
            ("답은 B라고 생각합니다.", "B"),
            ("排除A、B、C，所以选D。", "D"),
            ("En el video, un hombre camina por la calle.", None),
            ("Ich bin mir nicht sicher, das Video ist zu dunkel.", None),
            ("Désolé, je n'ai pas accès à la vidéo.", None),
            ("Я не вижу видео.", None),
            ("Não há informações suficientes para responder.", None),
            ("动画太模糊，无法判断。", None),
        ],
    ),
    (
        (
            "La mujer cocina",
            "El niño llora",
            "El hombre se va",
            "El perro ladra",
        ),
        [
            ("Al final, el niño empieza a llorar.", "B"),
            ("Se ve a la mujer cocinando en la cocina.", "A"),
        ],
    ),
    (
        (
            "Ein Apfel",
            "Eine Banane",
            "Eine Birne",
            "Eine Orange",
        ),
        [
            ("Der Junge hält eine Birne in der Hand.", "C"),
            ("Es ist keine Orange, sondern ein Apfel.", "A"),
        ],
    ),
    (
        (
            "Wash the vegetables",
            "Peel the vegetables",
            "Cut the vegetables",
            "Fry the vegetables",
        ),
        [
            (
                "Let's go through the video. The cook first washes the vegetables in the sink. Then the peeling comes. Since the question asks what happens right after washing, the answer is peeling the vegetables.",
                "B",
            ),
            (
                "A happens at the start and B follows. C is shown afterwards. The last thing we see is D, so D.",
                "D",
            ),
        ],
    ),
    (
        (
            "The suitcase is stolen",
            "The suitcase is lost",
            "The suitcase is found",
            "The suitcase is empty",
        ),
        [
            (
                "A man in a hood approaches the bench. He looks around, grabs the suitcase and runs. The owner shouts after him. Hence the suitcase has been stolen.",
                "A",
            ),
            (
                "Not A: nobody takes it. Not B: it stands there all the time. And it's clearly full of clothes, so not D. That leaves only one.",
                "C",
            ),
            (
                "At the beginning the suitcase seems to be lost. The woman asks the staff. They bring it to her in the end, which means that it is found.",
                "C",
            ),
        ],
    ),
    (
        (
            "Sunny",
            "Rainy",
            "Snowy",
            "Foggy",
        ),
        [
            (
                "One could think it is foggy because the picture is hazy. But the people carry umbrellas and there are puddles everywhere. I conclude that it is rainy.",
                "B",
            ),
            (
                "People wear heavy coats, and white flakes fall. The ground is all white. So it's snowing.",
                "C",
            ),
        ],
    ),
    (
        (
            "A bus",
            "A tram",
            "A taxi",
            "A train",
        ),
        [
            ("B. Hmm, actually no, it runs on rails with several cars and leaves a station, so D.", "D"),
            ("It's a bus - sorry, a tram.", "B"),
            ("Option C... no wait, option A.", "A"),
            ("I thought it was a taxi at first, but now I see it's a train.", "D"),
            ("La B. Mejor dicho, la D.", "D"),
            ("Answer: A. Edit: I misread, it's C.", "C"),
            ("Not the first, I take that back; it's the third option.", "C"),
        ],
    ),
    (
        (
            "To repair the roof",
            "To clean the chimney",
            "To rescue a cat",
            "To install an antenna",
        ),
        [
            (
                "The video opens on a quiet street. A man carries a long ladder to a house, leans it against the wall and climbs all the way up. A small animal meows. He is there to rescue a cat.",
                "C",
            ),
            (
                "After watching the entire clip with the ladder, the tools and the man on the roof, I would go with option A.",
                "A",
            ),
        ],
    ),
    (
        (
            "Cheese",
            "Butter",
            "Cream",
            "Yogurt",
        ),
        [
            ("It might be cream, but I can't be completely sure.", "C"),
            ("Could be B or C.", None),
            ("If I had to bet, I would say butter.", "B"),
            ("Looks like yogurt, I guess?", "D"),
        ],
    ),
    (
        (
            "She studies",
            "She works in a shop",
            "She travels abroad",
            "She gets married",
        ),
        [
            ("A woman is walking along the street.", None),
            ("Her friend D. Jones is in the picture too.", None),
            ("Ms. C. Brown gets married in a small church.", "D"),
            ("Bus C takes her to the airport, since she travels abroad.", "C"),
        ],
    ),
    (
        (
            "Playing the guitar",
            "Repairing a bike",
            "Drawing a map",
            "Packing a suitcase",
        ),
        [
            (
                "A man in a striped shirt sits on a chair. The room is bright and there are pictures on the wall.",
                None,
            ),
            ("In the corner stands a guitar, next to a bike and an open suitcase.", None),
            ("The video is 30 seconds long and shows an apartment.", None),
            ("I am unable to view the video content.", None),
            ("C looks at the table and picks up a cup.", None),
            ("Request failed with status code 500.", None),
        ],
    ),
    (
        (
            "The man is angry",
            "The man is tired",
            "The man is in love",
            "The man is hungry",
        ),
        [
            ("The video shows a busy street with many cars and people.", None),
            ("A man in a suit walks into an office.", None),
            ("He sits down at a table in a restaurant and looks at his phone.", None),
        ],
    ),
    (
        (
            "It is raining",
            "The road is closed",
            "The bridge has collapsed",
            "The bus is late",
        ),
        [
            ("A person with a yellow jacket stands next to a sign.", None),
            ("The scene takes place in a city during the day, with buildings on both sides.", None),
            ("There are several vehicles on a highway and some trees.", None),
            ("The camera follows a cyclist through the streets.", None),
        ],
    ),
    (
        (
            "Boiling water",
            "Slicing tomatoes",
            "Grating cheese",
            "Washing dishes",
        ),
        [
            ("The video takes place in a kitchen with a stove and an oven.", None),
            ("A woman with an apron talks to the camera.", None),
            ("There are plates, knives and vegetables on the counter.", None),
            ("Text on the screen says welcome to my channel.", None),
        ],
    ),
    (
        (
            "Going up",
            "Going down",
            "Standing still",
            "Turning around",
        ),
        [
            ("The video is about an elevator.", None),
            ("A ball and a box are on the table.", None),
            ("The picture is dark and blurry.", None),
        ],
    ),
    (
        (
            "A wedding",
            "A funeral",
            "A birthday party",
            "A graduation",
        ),
        [
            ("Many people in nice clothes stand in a large hall.", None),
            ("A group of people is talking and laughing.", None),
            ("Someone gives a speech and the crowd claps.", None),
        ],
    ),
    (
        (
            "Two",
            "Three",
            "Four",
            "Five",
        ),
        [
            ("There are some children playing in the yard.", None),
            ("The video was recorded in 2015.", None),
        ],
    ),
    (
        (
            "The teacher",
            "The student",
            "The parent",
            "The principal",
        ),
        [
            ("A classroom with desks and a blackboard is shown.", None),
            ("They are having a conversation about homework.", None),
        ],
    ),
    (
        (
            "Left",
            "Right",
            "Up",
            "Down",
        ),
        [
            ("The person is right in front of the camera.", None),
            ("The man sits down at the desk and starts typing.", None),
            ("Two people get up and leave the room.", None),
        ],
    ),
]

CASES = [(options, text, label) for options, replies in (*MADE_UP, *DIVERSE) for text, label in replies]


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
