"""A second, plain transcription of each official rule, to hold the package's own against. Kept plain on purpose.

Sources are named in kangaroo_eval/official.py and kangaroo_eval/verdicts.py.
"""

from __future__ import annotations

import re


def plain_videomme(s):
    s = s.strip()
    answer_prefixes = [
        "The best answer is",
        "The correct answer is",
        "The answer is",
        "The answer",
        "The best option is" + "The correct option is",
        "Best answer:" + "Best option:",
        "Answer:",
        "Option:",
        "The correct answer",
        "The correct option",
    ]
    for answer_prefix in answer_prefixes:
        s = s.replace(answer_prefix, "")
    if len(s.split()) > 10 and not re.search("[ABCD]", s):
        return ""
    matches = re.search(r"[ABCD]", s)
    if matches is None:
        return ""
    return matches[0]


def plain_longvideobench(s):
    s = s.strip()
    for verb in ("The best answer is", "The correct answer is", "The answer is", "The answer"):
        s = "".join(s.split(verb))
    for verb in ("The best option is", "The correct option is", "Best answer:", "Best option:"):
        s = "".join(s.split(verb))
    for character in s:
        if character in "ABCDE":
            return character
    return "?"


def plain_mlvu(pred, gold):
    if ")" in pred:
        index = pred.index(")")
        pred = pred[index - 1 : index]
    return pred == gold


def plain_lvbench(answer):
    answer = answer.strip().partition(")")[0].strip()
    if "(" in answer:
        answer = re.split(r"\(", answer)[1].strip()
    answer = answer.partition(" ")[0]
    return answer[0] if len(answer) > 0 else answer


def plain_first(answer):
    answer = answer.strip()
    return answer[0] if answer else ""


def plain_egoschema(response, options):
    for char in [",", ".", "!", "?", ";", ":", "'"]:
        while response.startswith(char):
            response = response[1:]
        while response.endswith(char):
            response = response[:-1]
    response = " " + response + " "
    marks = [(a + choice + b, choice) for a, b in (("(", ")"), ("", " "), ("", ".")) for choice in "ABCDE"]
    found = [(response.rfind(mark), choice) for mark, choice in marks if mark in response]
    if not found and len(response.split()) > 5:
        small = response.lower()
        wholes = [f"{choice}. {option}".lower() for choice, option in zip("ABCDE", options, strict=True)]
        found = [(small.rfind(whole), whole[0].upper()) for whole in wholes if whole in small]
    best = "?"
    first = len(response)
    for place, choice in found:
        if place < first:
            first, best = place, choice
    return best


def plain_mvbench(text, letter):
    line = "(" + text.strip().split("\n")[0]
    first = line.lower().split(" ")[0]
    gold = "(" + letter.lower() + ")"
    if gold.find("".join(first.split("."))) >= 0:
        return True
    return first.find(gold) >= 0


def plain_multi_choice(pred, answer):
    pred = pred.replace("</s>", "").strip()
    if pred == answer:
        return True
    if pred in ["A", "B", "C", "D"]:
        return pred == answer[0]
    for end in [".", ")"]:
        if any(pred.startswith(letter + end) for letter in "ABCD"):
            return pred.split(end)[0] == answer[0]
    return None


def plain_yes_no(pred, answer):
    pred = pred.replace("</s>", "").strip().lower()
    if pred[:3] == "yes":
        return answer == "yes"
    if pred[:2] == "no":
        return answer == "no"
    return None


def plain_caption_matching(pred, question, answer):
    pred = pred.replace("</s>", "").strip()
    hit = None
    lines = question.splitlines()[1:]
    for line in lines:
        if line == pred:
            hit = line
    for line in lines:
        sentence = line.split(": ")[1]
        if sentence == pred or (pred.count(") ") and pred.split(") ")[1] == sentence):
            hit = sentence
    labels = [line.split(": ")[0] for line in lines]
    for label in labels + [label.split(" ")[1] for label in labels]:
        if label == pred or label == pred.replace(".", ""):
            hit = label
    if hit is None:
        return None
    label, sentence = answer.split(": ")[:2]
    return hit in [answer, label, sentence, label.split()[1]]


def plain_mmbench_video(text):
    """The script evaluates the reply; only ever called with digits, signs, spaces and dots."""
    assert set(text) <= set("0123456789+-. ")
    try:
        whole = isinstance(eval(text), int)
    except (SyntaxError, ValueError, TypeError):
        whole = False
    try:
        return int(text) if whole else -1
    except ValueError:
        return -1  # the script crashes


def plain_mlvu_scores(text, keys):
    scores = []
    for key in keys:
        if key in text:
            colon = text.find(":", text.index(key))
            number = colon + 2
            comma = text.find(",", number)
            scores.append(text[number:comma])
    try:
        return [float(score) for score in scores]
    except ValueError:
        return None  # the script crashes


def plain_rating(text):
    if "Correct" not in text and "Incorrect" not in text:
        return None
    if text.startswith("Correct"):
        return 1
    if text.startswith("Incorrect"):
        return 0
    return 1 if "Correct" in text and "Incorrect" not in text else 0


def plain_caption_answer(text, gold):
    text = text.strip()  # in get_llm_output
    if text == "invalid_request_error" or text == "":
        return -1, None
    found = [line.strip().replace("Answer:", "").strip() for line in text.split("\n") if "Answer" in line]
    answer = found[-1] if found else text
    count = answer.count("A.") + answer.count("B.") + answer.count("C.") + answer.count("D.")
    return (1 if answer.split(". ")[0] == gold.split(". ")[0] and count == 1 else 0), answer
