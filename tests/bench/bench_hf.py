"""A transformers model through `hf:` against lmms-eval's way with the same weights and frame count. Run by hand.

    python tests/bench/bench_hf.py [--rounds 1] [--frames 8 32]

Six made videos of 60 s (1280x720, 30 fps, H.264) with three questions each, and a tiny random LLaVA-OneVision that
sees frames of 384 x 384. lmms-eval's way is that of its class llava_hf, written again here: for every question the
video is opened with decord, full-size frames are taken, the processor shrinks them, `generate` answers. Every
measurement is a fresh process, the ways take turns, and importing and loading are not counted. Both compute with one
thread of torch: threads that wait for each other count as work. Needs decord.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

VIDEOS, QUESTIONS, SIDE = 6, 3, 384


def make_video(path: Path, seed: int, seconds: int = 60, rate: int = 30) -> None:
    """Motion over a drifting texture with grain, with B-frames and a keyframe every 250 frames."""
    import av
    import numpy as np

    dice = np.random.default_rng(seed)
    texture = dice.integers(0, 256, (180, 320, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    grain = dice.integers(0, 12, (8, 720, 1280, 1), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=rate, options={"preset": "veryfast", "bf": "3", "g": "250"}
        )
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for number in range(seconds * rate):
            top, left = number % 700, (3 * number) % 1200
            picture = texture[top : top + 720, left : left + 1280] // 2 + grain[number % 8]
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
            )
        container.mux(stream.encode())


def make_model(folder: Path) -> None:
    """LLaVA-OneVision's own sizes in pixels and tokens, few and narrow layers."""
    import torch
    import transformers as tf
    from backends import hf_models

    tokens = hf_models.tokenizer("<|im_start|>", "<image>", "<video>", eos="<|im_end|>")
    size = {"height": SIDE, "width": SIDE}
    config = tf.LlavaOnevisionConfig(
        vision_config=tf.SiglipVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=14,
        ),
        text_config=tf.Qwen2Config(
            vocab_size=len(tokens),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        ),
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
        video_token_index=tokens.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, SIDE]],
    )
    torch.manual_seed(0)
    network = tf.LlavaOnevisionForConditionalGeneration(config)
    network.generation_config.eos_token_id = tokens.eos_token_id
    network.save_pretrained(folder)
    tf.LlavaOnevisionProcessor(
        tf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[SIDE, SIDE]]),
        tokens,
        tf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=729,
        vision_feature_select_strategy="full",
        chat_template=hf_models.chatml("<image>", "<video>\n"),
    ).save_pretrained(folder)


def prepare(folder: Path) -> None:
    """Model and benchmark; kept for the next run. Two videos are rendered, the others are copies of them."""
    from conftest import videomme_rows, write_videomme

    if not (folder / "model/config.json").exists():
        make_model(folder / "model")
    rows = videomme_rows(VIDEOS, QUESTIONS)
    write_videomme(folder, rows, videos=False)
    videos = folder / "videomme/data"
    videos.mkdir(parents=True, exist_ok=True)
    names = sorted({row["videoID"] for row in rows})
    for place, name in enumerate(names):
        path = videos / f"{name}.mp4"
        if path.exists():
            continue
        part = path.with_suffix(".part.mp4")
        if place < 2:
            make_video(part, place)
        else:
            part.write_bytes((videos / f"{names[place % 2]}.mp4").read_bytes())
        part.rename(path)


def ours(folder: Path, frames: int):
    from kangaroo_eval import evaluate
    from kangaroo_eval.backends import hf

    model = hf.load(str(folder / "model"), device="cpu", threads=1)
    yield
    with tempfile.TemporaryDirectory() as output:
        results = evaluate(
            "videomme", model, frames, data="real", data_root=folder, output=Path(output) / "run"
        )
    yield results["videomme"]["statuses"]["ok"]


def lmms(folder: Path, frames: int):
    import numpy as np
    import torch
    import transformers as tf
    from conftest import videomme_rows
    from decord import VideoReader, cpu

    from kangaroo_eval.registry import get_task

    torch.set_num_threads(1)
    network = tf.LlavaOnevisionForConditionalGeneration.from_pretrained(folder / "model").eval()
    processor = tf.AutoProcessor.from_pretrained(folder / "model")
    limit = get_task("videomme").max_new_tokens
    yield
    answered = 0
    for row in videomme_rows(VIDEOS, QUESTIONS):
        text = "\n".join(
            [
                row["question"],
                *row["options"],
                "Answer with the option's letter from the given choices directly.",
            ]
        )
        content = [{"type": "video"}, {"type": "text", "text": text}]
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        reader = VideoReader(str(folder / f"videomme/data/{row['videoID']}.mp4"), ctx=cpu(0))
        wanted = np.linspace(0, len(reader) - 1, frames, dtype=int)
        pixels = reader.get_batch(wanted.tolist()).asnumpy()
        inputs = processor(text=prompt, videos=[pixels], do_sample_frames=False, return_tensors="pt")
        with torch.no_grad():
            tokens = network.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=limit)
        processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        answered += 1
    yield answered


WAYS = {"ours": ours, "lmms-eval's way": lmms}


def child(way: str, folder: Path, frames: int) -> None:
    """One measurement, as JSON on stdout."""

    def cpu() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used)

    steps = WAYS[way](folder, frames)
    next(steps)
    spent, began = cpu(), time.perf_counter()
    assert next(steps) == VIDEOS * QUESTIONS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": time.perf_counter() - began, "cpu": cpu() - spent, "peak": peak}))


def measure(way: str, folder: Path, frames: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", way, str(folder), str(frames)]
    site = os.pathsep.join(filter(None, (str(ROOT / "tests/site"), os.environ.get("PYTHONPATH"))))
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": site}, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{way}: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
        return
    if sys.argv[1:2] == ["--prepare"]:
        prepare(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()) / "kangaroo-eval-bench-hf")
    options = parser.parse_args()
    options.dir.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests/site")}
    subprocess.run([sys.executable, __file__, "--prepare", str(options.dir)], env=environment, check=True)
    print(f"{os.cpu_count()} cores; {VIDEOS} videos x {QUESTIONS} questions; medians of {options.rounds}")
    print(
        "| frames | way | wall s | CPU s | peak MB (main process) | wall, it / ours | CPU, it / ours |\n"
        + "|---" * 7
        + "|"
    )
    for frames in options.frames:
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                runs[way].append(measure(way, options.dir, frames))
        middle = {
            way: {key: statistics.median(run[key] for run in found) for key in found[0]}
            for way, found in runs.items()
        }
        for way, values in middle.items():
            wall, cpu = (values[key] / middle["ours"][key] for key in ("wall", "cpu"))
            print(
                f"| {frames} | {way} | {values['wall']:.1f} | {values['cpu']:.1f} | {values['peak']:.0f} "
                f"| {wall:.1f} | {cpu:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
