"""Judged tasks, end to end: a real local server judges, and fails, as servers do."""

from __future__ import annotations

import csv
import json
from collections import Counter

import fake_server
import pytest
from conftest import write_video
from fake_server import NOT_JSON, error

from kangaroo_eval import endpoint
from kangaroo_eval.cli import main
from kangaroo_eval.registry import get_task

KEY = "sk-test-0123456789abcdef"
ROWS = [
    ("1", "vid1", "What does the man hold?", "A cup.", ["Object Recognition", "Counting"]),
    ("2", "vid1", "Why does he run?", "It rains.", ["Causal Reasoning"]),
    ("3", "vid2", "What is the mood?", "Happy.", ["Video Emotion"]),
]


def serve(**options):
    """A server that knows the judges of these tests."""
    known = ("gpt-4-1106-preview", "gpt-3.5-turbo-1106", "other-judge")
    return fake_server.FakeServer(**{"models": known, **options})


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(endpoint, "FIRST_BACKOFF", 0.0)


@pytest.fixture
def data(tmp_path):
    """A data root with an MMBench-Video of three questions on two videos."""
    root = tmp_path / "data/mmbench_video"
    root.mkdir(parents=True)
    with (root / "MMBench-Video.tsv").open("w", newline="") as file:
        out = csv.writer(file, delimiter="\t")
        out.writerow(("index", "video", "video_type", "question", "answer", "dimensions", "video_path"))
        for index, video, question, answer, dimensions in ROWS:
            out.writerow((index, video, "Vlog", question, answer, str(dimensions), f"./video/{video}.mp4"))
    for name in {row[1] for row in ROWS}:
        write_video(root / f"video/{name}.mp4")
    return tmp_path / "data"


def marks(*replies):
    """A judge who gives the questions 1, 2, 3 these marks."""
    by_question = {row[2]: reply for row, reply in zip(ROWS, replies, strict=True)}

    def reply(messages):
        said = messages[-1]["content"]
        return next((mark for asked, mark in by_question.items() if f"Question: {asked}\n" in said), "OK")

    return reply


def command(tmp_path, data, *more):
    return [
        *("--tasks", "mmbench_video", "--model", "constant:A cup.", "--frames", "4", "--workers", "0"),
        *("--data-root", str(data), "--output", str(tmp_path / "run"), "--quiet", "--json", *more),
    ]


def judged(server):
    return ("--judge", "gpt-4-1106-preview", "--judge-base-url", server.base_url, "--judge-price", "10,30")


def task_of(tmp_path, name="mmbench_video"):
    return json.loads((tmp_path / "run/results.json").read_text())["tasks"][name]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_a_judge_scores_and_its_cost_tokens_and_id_are_in_the_record(tmp_path, data, capsys):
    with serve(reply=marks("3", "1", "3."), models=("gpt-4-1106-preview",)) as server:
        assert main(command(tmp_path, data, *judged(server))) == 0
    task = task_of(tmp_path)
    assert (task["status"], task["metric"], task["scale"]) == ("ok", "judge_mean", 3)
    # The official parser cannot read "3.", which counts 0 in the mean over all and drops out of the valid one.
    assert task["official"]["value"] == pytest.approx(4 / 3) and task["official"]["unreadable"] == 1
    assert task["official_valid"]["value"] == 2 and task["official_valid"]["n"] == 2
    assert task["careful"]["value"] == pytest.approx(7 / 3) and task["careful"]["unreadable"] == 0
    assert task["read_differently"] == 1
    assert task["breakdown"]["coarse"]["FP-S"]["careful"] == {
        "value": 3.0,
        "stderr": None,
        "n": 1,
        "unreadable": 0,
    }
    assert set(task["breakdown"]["fine"]) == {
        "Object Recognition",
        "Counting",
        "Causal Reasoning",
        "Video Emotion",
    }
    assert set(task["breakdown"]["ability"]) == {"perception", "reasoning"}
    assert task["judge"]["model"] == "gpt-4-1106-preview"
    used = task["judging"]
    assert used["replies"] == 3 and used["prompt_tokens"] > 0
    assert used["cost_usd"] == pytest.approx(
        (used["prompt_tokens"] * 10 + used["completion_tokens"] * 30) / 1e6
    )
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["protocol"]["tasks"]["mmbench_video"]["judge"]["model"] == "gpt-4-1106-preview"
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["exit"] == 0


def test_the_judge_is_asked_the_official_texts_with_the_official_parameters(tmp_path, data):
    with serve(reply=marks("3", "1", "2")) as server:
        main(command(tmp_path, data, *judged(server)))
        bodies = [chat.body for chat in server.chats if "temperature" in chat.body]
    assert len(bodies) == 3
    (one,) = [body for body in bodies if "Why does he run?" in body["messages"][1]["content"]]
    assert one["temperature"] == 0 and one["model"] == "gpt-4-1106-preview"
    assert one["messages"][0]["content"].startswith("\nAs an AI assistant, your task is to evaluate")
    assert one["messages"][1]["content"] == (
        "Question: Why does he run?\nGroundtruth answer: It rains.\nCandidate answer: A cup.\nYour response: "
    )


def test_without_a_judge_the_task_is_not_judged_and_that_is_no_failure(tmp_path, data, capsys):
    assert main(command(tmp_path, data)) == 0
    task = task_of(tmp_path)
    assert task["status"] == "not_judged"
    assert task["careful"] == {"value": None, "stderr": None, "n": 0, "unreadable": 0, "undecided": 3}
    assert "not judged, 3 answers wait for a judge (--judge)" in (tmp_path / "run/report.md").read_text()
    # A judge may be added to the run later: no question is asked of the model again.
    before = (tmp_path / "run/mmbench_video.answers.jsonl").read_bytes()
    with serve(reply=marks("3", "3", "3")) as server:
        assert main(command(tmp_path, data, *judged(server))) == 0
    assert (tmp_path / "run/mmbench_video.answers.jsonl").read_bytes() == before
    assert task_of(tmp_path)["careful"]["value"] == 3


def test_score_run_judges_too_and_a_second_time_asks_nothing(tmp_path, data):
    main(command(tmp_path, data))
    words = ["score", str(tmp_path / "run"), "--quiet"]
    with serve(reply=marks("2", "2", "2")) as server:
        assert main([*words, *judged(server)]) == 0
        asked = len(server.chats)
        assert main([*words, *judged(server)]) == 0
        assert len(server.chats) == asked + 1, "only the check is asked again"
    assert task_of(tmp_path)["careful"]["value"] == 2
    assert main(words) == 0
    assert task_of(tmp_path)["careful"]["value"] == 2, "a judge's replies stay with the run"


def test_another_judge_in_a_run_directory_is_refused_but_score_may_judge_anew(tmp_path, data, capsys):
    with serve(reply=marks("2", "2", "2")) as server:
        assert main(command(tmp_path, data, *judged(server))) == 0
        other = ("--judge", "other-judge", "--judge-base-url", server.base_url)
        assert main(command(tmp_path, data, *other)) == 1
        assert "judge.model: gpt-4-1106-preview -> other-judge" in capsys.readouterr().err
    with serve(reply=marks("1", "1", "1")) as server:
        other = ("--judge", "other-judge", "--judge-base-url", server.base_url)
        assert main(["score", str(tmp_path / "run"), "--quiet", *other]) == 0
    task = task_of(tmp_path)
    assert task["careful"]["value"] == 1 and task["judge"]["model"] == "other-judge"


def test_a_reply_that_cannot_be_had_is_judge_failed_and_asked_again_on_resume(tmp_path, data, capsys):
    def refuse(messages):
        return error(400, "too long") if "Why does he run?" in messages[-1]["content"] else "3"

    with serve(reply=refuse) as server:
        assert main(command(tmp_path, data, *judged(server))) == 3
    task = task_of(tmp_path)
    assert task["statuses"] == {"ok": 2, "judge_failed": 1}
    assert task["status"] == "low_coverage" and task["careful"]["value"] is None
    assert task["coverage"] == pytest.approx(2 / 3)
    with serve(reply=marks("3", "0", "3")) as server:
        words = command(tmp_path, data)
        words += ["--judge", "gpt-4-1106-preview", "--judge-base-url", server.base_url]
        # Another address is another judge; the run keeps to the one it has.
        assert main(words) == 1


def test_failed_verdicts_are_asked_again_of_the_same_judge(tmp_path, data):
    state = Counter()

    def reply(messages):
        if "Why does he run?" in messages[-1]["content"]:
            state["asked"] += 1
            return error(400, "no") if state["asked"] == 1 else "1"
        return "3"

    with serve(reply=reply) as server:
        assert main(command(tmp_path, data, *judged(server))) == 3
        asked = len(server.chats)
        assert main(command(tmp_path, data, *judged(server))) == 0
        assert len(server.chats) == asked + 2, "the check and the one question that failed"
    assert task_of(tmp_path)["statuses"] == {"ok": 3}
    assert task_of(tmp_path)["careful"]["value"] == pytest.approx(7 / 3)


def test_a_second_run_of_the_same_answers_takes_verdicts_from_the_cache(tmp_path, data):
    with serve(reply=marks("3", "1", "2")) as server:
        assert main(command(tmp_path, data, *judged(server))) == 0
        asked = len(server.chats)
        words = command(tmp_path, data, *judged(server))
        words[words.index("--output") + 1] = str(tmp_path / "second")
        assert main(words) == 0
        assert len(server.chats) == asked + 1, "the check is never taken from the cache"
    used = json.loads((tmp_path / "second/results.json").read_text())["tasks"]["mmbench_video"]["judging"]
    assert used["from_cache"] == 3 and used["cost_usd"] == 0


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({"key": "another-key-123456"}, "key"),
        ({"models": ("llama",)}, "llama"),
        ({"script": [NOT_JSON] * 9}, "--judge-base-url"),
    ],
)
def test_a_judge_that_cannot_judge_is_found_out_before_the_model_is_asked(
    tmp_path, data, capsys, server, told
):
    with serve(reply=lambda messages: "3", **server) as fake:
        assert main(command(tmp_path, data, *judged(fake))) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line and KEY not in line
    assert not list((tmp_path / "run").glob("*.answers.jsonl"))


def test_no_server_at_all_is_one_line(tmp_path, data, capsys):
    words = ("--judge", "m", "--judge-base-url", "http://127.0.0.1:9/v1")
    assert main(command(tmp_path, data, *words)) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_a_change_of_judge_that_is_killed_leaves_the_first_judges_scores_and_name(
    tmp_path, data, monkeypatch
):
    from kangaroo_eval import judge
    from kangaroo_eval.results import is_stale

    with serve(reply=marks("3", "3", "3")) as server:
        assert main(command(tmp_path, data, *judged(server))) == 0

    class Killed(BaseException):
        pass

    with serve(reply=marks("0", "0", "0")) as server:
        words = [
            "score",
            str(tmp_path / "run"),
            "--judge",
            "other-judge",
            "--judge-base-url",
            server.base_url,
            "-q",
        ]
        lines = 0
        real = judge._line

        def line(*given):
            nonlocal lines
            lines += 1
            if lines == 2:
                raise Killed
            return real(*given)

        monkeypatch.setattr(judge, "_line", line)
        with pytest.raises(Killed):
            main(words)
        monkeypatch.setattr(judge, "_line", real)
        record = json.loads((tmp_path / "run/run.json").read_text())
        identity = record["tasks"]["mmbench_video"]["judge"]
        assert identity["model"] == "gpt-4-1106-preview" and not is_stale(
            tmp_path / "run", "mmbench_video", identity
        )
        assert main(["score", str(tmp_path / "run"), "-q"]) == 0
        assert task_of(tmp_path)["careful"]["value"] == 3, (
            "a part of another judge's verdicts changes nothing"
        )
        assert main(words) == 0
    task = task_of(tmp_path)
    assert task["careful"]["value"] == 0 and task["judge"]["model"] == "other-judge"
    assert task["judging"]["replies"] == 3, "the first judge's replies are not the second's"


def test_scores_older_than_the_judges_word_or_of_another_judge_are_stale(tmp_path, data):
    """A kill between the last reply and the scores: the next command must not report the old ones."""
    from kangaroo_eval.results import is_stale

    with serve(reply=marks("3", "3", "3")) as server:
        assert main(command(tmp_path, data, *judged(server))) == 0
    run = tmp_path / "run"
    identity = task_of(tmp_path)["judge"]
    assert not is_stale(run, "mmbench_video", identity)
    assert is_stale(run, "mmbench_video", {**identity, "model": "other-judge"})
    assert is_stale(run, "mmbench_video", None)
    file = run / "mmbench_video.judged.jsonl"
    last = json.loads(file.read_text().splitlines()[-1])
    with file.open("a") as journal:
        journal.write(json.dumps({**last, "reply": "0"}) + "\n")
    assert is_stale(run, "mmbench_video", identity)
    assert main(["score", str(run), "-q"]) == 0
    assert not is_stale(run, "mmbench_video", identity) and task_of(tmp_path)["careful"]["value"] == 2


def test_new_answers_of_a_judged_run_wait_for_its_judge(tmp_path, data):
    with serve(reply=marks("3", "3", "3")) as server:
        assert main(command(tmp_path, data, *judged(server), "--limit", "1")) == 0
        assert main(command(tmp_path, data)) == 0
        task = task_of(tmp_path)
        assert (task["status"], task["statuses"]) == ("not_judged", {"ok": 3}), (
            "nobody was asked, so nobody failed"
        )
        assert main(command(tmp_path, data, *judged(server))) == 0
    assert task_of(tmp_path)["careful"]["value"] == 3


@pytest.mark.parametrize("field", ['"prompt_tokens": "12"', '"cost": "free"', '"served_by": ["x"]'])
def test_a_damaged_line_of_the_judge_is_one_line_to_the_user(tmp_path, data, capsys, field):
    main(command(tmp_path, data))
    capsys.readouterr()
    (tmp_path / "run/mmbench_video.judged.jsonl").write_text(
        f'{{"id": "1", "key": "k", "judged_by": "j at u", "status": "ok", "reply": "3", {field}}}\n'
    )
    assert main(["score", str(tmp_path / "run"), "-q"]) == 1
    error = capsys.readouterr().err
    assert "damaged line" in error and error.count("\n") == 1


def test_the_key_is_in_no_file_of_the_run_nor_of_the_cache(tmp_path, data, capsys):
    with serve(reply=lambda messages: f"3 (key {KEY})", key=KEY) as server:
        main([*command(tmp_path, data, *judged(server)), "-v"])
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    said = capsys.readouterr()
    assert KEY.encode() not in written and KEY not in said.out + said.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--judge-base-url", "http://localhost:1/v1"), "go with --judge"),
        (("--judge", "m", "--judge-price", "cheap"), "--judge-price 'cheap'"),
        (("--judge", "m", "--judge-base-url", "localhost:1"), "--judge-base-url"),
    ],
)
def test_wrong_judge_flags_are_named(tmp_path, data, capsys, words, told):
    assert main(command(tmp_path, data, *words)) == 1
    assert told in capsys.readouterr().err


def test_a_judge_without_key_or_server_says_what_is_missing(tmp_path, data, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert main(command(tmp_path, data, "--judge", "official")) == 1
    assert "OPENAI_API_KEY" in capsys.readouterr().err


def test_official_means_each_benchmarks_own_judge(tmp_path, data):
    with serve(reply=marks("3", "1", "2")) as server:
        words = ("--judge", "official", "--judge-base-url", server.base_url)
        assert main(command(tmp_path, data, *words)) == 0
        assert {chat.body["model"] for chat in server.chats} == {"gpt-4-1106-preview"}


def test_published_numbers_are_compared_only_under_the_authors_judge():
    from kangaroo_eval.results import _not_comparable

    task = get_task("mmbench_video")
    here, there = "http://localhost:1/v1", "https://api.openai.com/v1"
    for judge in ({"model": "local", "base_url": there}, {"model": "gpt-4-1106-preview", "base_url": here}):
        asked_with = {"data": "real", "total": 1998, "judge": judge}
        why = _not_comparable(task, 1998, ("ok", 1.0), asked_with)
        assert "the published numbers by gpt-4-1106-preview" in why and judge["base_url"] in why
    asked_with["judge"] = {"model": "gpt-4-1106-preview", "base_url": there}
    assert _not_comparable(task, 1998, ("ok", 1.0), asked_with) is None
    assert "1997 of the 1998" in _not_comparable(task, 1997, ("ok", 1.0), asked_with)


def test_a_judge_that_goes_away_is_not_waited_for_thousands_of_times(tmp_path, data, monkeypatch):
    from kangaroo_eval import judge

    monkeypatch.setattr(judge, "GONE_AFTER", 2)

    def reply(messages):
        return fake_server.RESET if "Question:" in messages[-1]["content"] else "OK"

    with serve(reply=reply) as server:
        assert main(command(tmp_path, data, *judged(server))) == 2
    assert task_of(tmp_path)["statuses"] == {"ok": 0, "judge_failed": 3}
    lines = (tmp_path / "run/mmbench_video.judged.jsonl").read_text().splitlines()
    assert len(lines) == 3, "what was not asked any more is a failure too"


@pytest.fixture
def tempcompass(tmp_path):
    """TempCompass of one video: a question of each type."""
    root = tmp_path / "data/tempcompass"
    choice = "What is the man doing?\nA. dunking\nB. passing"
    rows = {
        "multi-choice": (choice, "A. dunking"),
        "yes_no": ("Is the man dunking?", "yes"),
        "caption_matching": (
            "Which matches?\nOption 1: He passes.\nOption 2: He dunks.",
            "Option 2: He dunks.",
        ),
        "captioning": ("Information A: passing\nGenerated Caption:", "B. dunking"),
    }
    (root / "questions").mkdir(parents=True)
    for kind, (question, answer) in rows.items():
        nested = {"v1": {"action": [{"question": question, "answer": answer}]}}
        (root / f"questions/{kind}.json").write_text(json.dumps(nested))
    meta = {"v1": {"eval_dim": {"action": {"type": "fine-grained action"}}, "content": []}}
    (root / "meta_info.json").write_text(json.dumps(meta))
    return tmp_path / "data"


def score(tmp_path, data, answers, *more):
    file = tmp_path / "answers.jsonl"
    file.write_text(
        "".join(
            json.dumps({"id": f"{kind}/v1/action/0", "text": text}) + "\n" for kind, text in answers.items()
        )
    )
    words = ["score", "--task", "tempcompass", "--answers", str(file), "--data-root", str(data), "--quiet"]
    return main([*words, "--output", str(tmp_path / "run"), *more])


OPEN = {
    "multi-choice": "He is dunking, so (A)",
    "yes_no": "Yes.",
    "caption_matching": "The second one.",
    "captioning": "A man dunks.",
}


def test_tempcompass_asks_the_judge_only_what_its_rules_leave_open(tmp_path, tempcompass):
    def reply(messages):
        return "Answer: A. dunking" if "Video Description" in messages[-1]["content"] else "Correct"

    with serve(reply=reply) as server:
        assert score(tmp_path, tempcompass, OPEN, *judged(server)) == 0
        asked = [chat.body for chat in server.chats if "temperature" in chat.body]
    assert len(asked) == 3
    assert (
        asked[0]["temperature"] == 1.0 and asked[0]["presence_penalty"] == 1 and asked[0]["max_tokens"] == 128
    )
    task = task_of(tmp_path, "tempcompass")
    assert task["official"]["value"] == task["careful"]["value"] == 1
    assert set(task["breakdown"]["type"]) == set(OPEN)


def test_tempcompass_without_a_judge_reports_what_the_rules_decide(tmp_path, tempcompass):
    assert score(tmp_path, tempcompass, OPEN) == 0
    task = task_of(tmp_path, "tempcompass")
    assert task["status"] == "not_judged" and task["official"]["value"] is None
    assert task["decided"]["official"]["n"] == 1 and task["decided"]["official"]["value"] == 1
    assert task["decided"]["careful"]["n"] == 3, "the careful reader needs the judge for the caption alone"
    assert task["breakdown"]["type"]["yes_no"]["official"]["value"] == 1
    assert task["breakdown"]["type"]["captioning"]["careful"]["value"] is None


def test_a_rating_that_cannot_be_parsed_is_asked_for_again_as_the_authors_do(tmp_path, tempcompass):
    replies = iter(["hm", "correct", "well", "Incorrect"])

    def reply(messages):
        said = messages[-1]["content"]
        return (
            next(replies) if "Multi-Choice Question:\nWhat" in said and "Ground-Truth" in said else "Correct"
        )

    answers = {**OPEN, "yes_no": "no", "caption_matching": "Option 2", "captioning": "x"}
    with serve(reply=reply) as server:
        assert score(tmp_path, tempcompass, answers, *judged(server)) == 0
    lines = (tmp_path / "run/tempcompass.judged.jsonl").read_text().splitlines()
    asked = [json.loads(each) for each in lines if "multi-choice" in each]
    assert [line["status"] for line in asked] == ["retry", "retry", "retry", "ok"]
    assert (asked[-1]["attempt"], asked[-1]["reply"]) == (4, "Incorrect")
    used = task_of(tmp_path, "tempcompass")["judging"]
    assert (used["replies"], used["asked_again"]) == (2, 3), "what is asked again is paid for too"
    scores = (tmp_path / "run/tempcompass.scores.jsonl").read_text().splitlines()
    by_id = {json.loads(each)["id"]: json.loads(each) for each in scores}
    assert by_id["multi-choice/v1/action/0"]["official"] == {"answer": "wrong", "score": 0.0}
    assert by_id["multi-choice/v1/action/0"]["careful"]["answer"] == "A", (
        "the careful reader needs no judge here"
    )


def test_verdicts_that_never_parse_get_the_official_failure_value(tmp_path, tempcompass):
    with serve(reply=lambda messages: "no idea") as server:
        assert score(tmp_path, tempcompass, OPEN, *judged(server)) == 0
        asked = Counter(
            json.dumps(chat.body["messages"]) for chat in server.chats if "temperature" in chat.body
        )
    assert sorted(asked.values()) == [1, 11, 11], (
        "ratings are asked for eleven times, a caption's answer once"
    )
    task = task_of(tmp_path, "tempcompass")
    assert task["official"]["value"] == 0.25 and task["official"]["unreadable"] == 2
