"""`kangaroo-eval chat VIDEO`: a conversation about a video, at a terminal or through a pipe.

At a terminal there is a prompt, the answer appears while it is made, and a line below says what it took. Through a
pipe questions are read one a line, standard output holds the answers alone, and the rest goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kangaroo_eval.cli.chat_text import clean, told_of_answer, told_of_look
from kangaroo_eval.cli.common import pairs
from kangaroo_eval.cli.interrupt import INTERRUPTED
from kangaroo_eval.errors import DataError, MediaError, RunFailed, UserError
from kangaroo_eval.registry import check_model, load_model

if TYPE_CHECKING:
    from kangaroo_eval.model.conversation import Conversation
    from kangaroo_eval.model.dialogue import Answer

COMMANDS = {
    "/frames": ("N", "look at N frames of the video; the conversation goes on"),
    "/video": ("PATH", "look at another video, and start anew"),
    "/reset": ("", "start anew with the same video"),
    "/times": ("", "the times of all frames that the model looks at"),
    "/history": ("", "the conversation so far"),
    "/save": ("FILE", "write the conversation as JSON"),
    "/help": ("", "this list"),
    "/quit": ("", "leave, as Ctrl-D does"),
}


def command(options: argparse.Namespace) -> int:
    """Talk until the questions end. Raises `UserError`, or `DataError` for a video that cannot be read."""
    _check(options)
    try:
        if options.web:
            from kangaroo_eval.cli.chat_web import serve

            return serve(options)
        return Chat(options, Screen(options)).run()
    except KeyboardInterrupt:
        return INTERRUPTED


def _check(options: argparse.Namespace) -> None:
    """Refuse what can be refused before anything is loaded."""
    if options.web and options.once is not None:
        raise UserError("--once answers one question here, --web is a page in the browser: give one of them")
    if not options.web and (options.port is not None or options.host is not None):
        raise UserError("--port and --host go with --web")
    if options.port is not None and not 0 <= options.port <= 65535:
        raise UserError(f"--port {options.port}: give a port from 0 (any) to 65535")
    if not options.video and not options.web:
        raise UserError("chat needs a video: kangaroo-eval chat VIDEO (--help lists the flags)")
    if options.video and not os.path.exists(options.video):
        raise DataError(f"{options.video}: no such file")
    for flag, seconds in (("--start", options.start), ("--end", options.end)):
        if seconds is not None and not math.isfinite(seconds):
            raise UserError(f"{flag} {seconds}: give seconds")
    if (options.top_p is not None or options.seed is not None) and options.temperature is None:
        raise UserError("--top-p and --seed go with --temperature: without it answers are the likeliest ones")
    check_model(options.model)
    from kangaroo_eval.model import MODELS

    if options.model.partition(":")[0] not in MODELS:
        raise UserError(
            f"--model {options.model!r}: chat talks with a Kangaroo; give kangaroo-tiny or kangaroo:FOLDER"
        )


def make_conversation(options: argparse.Namespace) -> Callable[[], Conversation]:
    """Load the model; the function makes conversations with it."""
    given = pairs(options.model_args)
    model = load_model(
        options.model, device=options.device, dtype=options.dtype, seed=0, batch_size=None, **given
    )
    from kangaroo_eval.model.adapter import KangarooModel
    from kangaroo_eval.model.conversation import Conversation
    from kangaroo_eval.model.dialogue import Sampling

    assert isinstance(model, KangarooModel)  # by `_check`
    sampling = None
    if options.temperature is not None:
        sampling = Sampling(
            options.temperature, 1.0 if options.top_p is None else options.top_p, options.seed or 0
        )
    system = None if options.system is None else clean(options.system)
    return lambda: Conversation(model, options.frames, system, options.max_new_tokens, sampling)


class Screen:
    """Where answers and remarks go: plain through a pipe, with NO_COLOR or on a dumb terminal."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.interactive = options.once is None and sys.stdin.isatty() and sys.stdout.isatty()
        terminal = self.interactive or (options.once is not None and sys.stdout.isatty())
        self.colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.quiet = options.quiet

    def answer(self, piece: str) -> None:
        """A piece of an answer, at once."""
        print(clean(piece), end="", flush=True)

    def remark(self, text: str, style: str = "2") -> None:
        """A line about what happens, beside the answers."""
        if not self.quiet:
            self._tell(text, style)

    def warn(self, text: str) -> None:
        """A line that is never left out."""
        self._tell(text, "1;33")

    def result(self, text: str) -> None:
        """What a command was asked for."""
        print(clean(text), flush=True)

    def _tell(self, text: str, style: str) -> None:
        shown = clean(text)
        if self.colour:
            shown = f"\033[{style}m{shown}\033[0m"
        print(shown, file=sys.stdout if self.interactive else sys.stderr, flush=True)

    def questions(self) -> Iterator[str]:
        """What is typed or piped in, line by line."""
        if isinstance(sys.stdin, io.TextIOWrapper):
            # Bytes that are no text must not end the conversation.
            sys.stdin.reconfigure(errors="replace")
        if not self.interactive:
            for line in sys.stdin:
                yield clean(line.removeprefix("\ufeff"))
            return
        with contextlib.suppress(ImportError):  # not on every system; then lines cannot be edited
            import readline

            readline.set_completer_delims(" ")
            readline.set_completer(_completion)
            readline.parse_and_bind("tab: complete")
        # readline must know which signs take no room.
        prompt = "\001\033[1;36m\002> \001\033[0m\002" if self.colour else "> "
        while True:
            try:
                yield clean(input(prompt))
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()
                self.remark("/quit or Ctrl-D leaves")


def _completion(text: str, state: int) -> str | None:
    found = [name for name in COMMANDS if text.startswith("/") and name.startswith(text)]
    return found[state] if state < len(found) else None


class Chat:
    """The conversation at the terminal."""

    def __init__(self, options: argparse.Namespace, screen: Screen) -> None:
        self.options = options
        self.screen = screen
        self.actions: dict[str, Callable[[str], None]] = {
            "/frames": self._frames,
            "/video": self._video,
            "/reset": self._reset,
            "/times": self._times,
            "/history": self._history,
            "/save": self._save,
            "/help": self._help,
        }

    def run(self) -> int:
        """Until /quit or the end of the questions; the exit code."""
        signal.signal(signal.SIGTERM, _terminated)
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            # Here Ctrl-C ends one answer, and the next one may be ended too.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.screen.remark(f"loading {self.options.model} ...")
        self.talk = make_conversation(self.options)()
        self._greet()
        if self.options.once is not None:
            return self._once(clean(self.options.once).strip())
        for line in self.screen.questions():
            if line.strip().lower().split(" ")[0] in ("/quit", "/exit"):
                break
            self._take(line.strip())
        return 0

    def _once(self, question: str) -> int:
        if not question:
            raise UserError("--once '': give a question")
        self._ask(question)
        return 0

    def _greet(self) -> None:
        model = self.talk.model
        self.screen.remark(f"{model.name} on {model.settings['device']}, {model.dtype}", "1")
        for note in model.notes:
            self.screen.warn(f"WARNING: {note}: the answers mean nothing" if "untrained" in note else note)
        try:
            self._open(self.options.video, self.options.start, self.options.end)
        except DataError as error:
            if not self.screen.interactive:
                raise
            self.screen.warn(f"{error}; /video PATH opens another")
        if self.screen.interactive:
            self.screen.remark("Ask about the video. /help lists the commands, Ctrl-D leaves.")

    def _take(self, line: str) -> None:
        """A question or a command. What is refused is said, and at a terminal one can go on."""
        if not line:
            return
        try:
            if line.startswith("/"):
                name, _, rest = line.partition(" ")
                self.actions.get(name.lower(), self._unknown(name))(rest.strip())
            else:
                self._ask(line)
        except UserError as error:
            if not self.screen.interactive:
                raise
            self.screen.warn(" ".join(str(error).split()))
        except KeyboardInterrupt:
            if not self.screen.interactive:
                raise
            self.screen.remark("stopped")

    def _ask(self, question: str) -> None:
        if self.talk.look is None:
            raise UserError("no video is open: /video PATH opens one")
        rounds = len(self.talk.rounds)
        try:
            self.talk.ask(question, self.screen.answer)
        except MemoryError as error:
            raise RunFailed(f"out of memory ({error}): take fewer frames (/frames N, --frames N)") from error
        except ArithmeticError as error:
            raise RunFailed(str(error)) from error
        finally:
            print(flush=True)
        if len(self.talk.rounds) > rounds:
            self.screen.remark(told_of_answer(_last(self.talk)))
        else:
            self.screen.remark("stopped before the answer began")
        stopped = len(self.talk.rounds) == rounds or _last(self.talk).stopped == "interrupted"
        if stopped and not self.screen.interactive:
            raise KeyboardInterrupt

    def _open(self, path: str, start: float | None = None, end: float | None = None) -> None:
        with _told():
            self.talk.open(path, start, end)
        self._tell_look()

    def _tell_look(self) -> None:
        facts = self.talk.facts
        self.screen.remark(told_of_look(facts))
        if facts.repeated:
            self.screen.warn(
                f"{facts.repeated} of the frames are damaged; their neighbours stand in for them"
            )

    def _frames(self, rest: str) -> None:
        if not (rest.isascii() and rest.isdigit()):
            raise UserError(f"/frames {rest}: give a number of frames, such as /frames 64")
        with _told():
            self.talk.set_frames(int(rest))
        self._tell_look() if self.talk.look else self.screen.remark(f"{rest} frames of the next video")

    def _video(self, rest: str) -> None:
        path = rest[1:-1] if len(rest) > 1 and rest[0] == rest[-1] and rest[0] in "'\"" else rest
        if not path:
            raise UserError("/video: give a file, such as /video holiday.mp4")
        self._open(os.path.expanduser(path))

    def _reset(self, _: str) -> None:
        self.talk.reset()
        self.screen.remark("a new conversation about the same video")

    def _times(self, _: str) -> None:
        times = self.talk.facts.times
        self.screen.result(
            ", ".join(f"{second:.3f}" for second in times) + " s" if times else "no video is open"
        )

    def _history(self, _: str) -> None:
        for number, (question, answer) in enumerate(self.talk.rounds, 1):
            self.screen.result(f"{number}. {question}\n{answer.text}")
        if not self.talk.rounds:
            self.screen.remark("nothing has been asked yet")

    def _save(self, rest: str) -> None:
        if not rest:
            raise UserError("/save: give a file, such as /save talk.json")
        path = Path(os.path.expanduser(rest))
        text = json.dumps(self.talk.record(), ensure_ascii=False, indent=1) + "\n"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise UserError(f"/save {rest}: there is such a file; give another name") from None
        except OSError as error:
            raise UserError(f"/save {rest}: cannot be written ({error.strerror})") from error
        self.screen.remark(f"saved: {path}")

    def _help(self, _: str) -> None:
        width = max(len(f"{name} {what}") for name, (what, _) in COMMANDS.items())
        lines = [f"{f'{name} {what}'.strip():{width}}  {text}" for name, (what, text) in COMMANDS.items()]
        self.screen.result("\n".join([*lines, "Ctrl-C stops an answer; what there is of it stays."]))

    def _unknown(self, name: str) -> Callable[[str], None]:
        def refuse(_: str) -> NoReturn:
            near = difflib.get_close_matches(name.lower(), COMMANDS, n=1, cutoff=0.5)
            raise UserError(
                f"unknown command {name}."
                + (f" Did you mean {near[0]}?" if near else "")
                + " /help lists them"
            )

        return refuse


def _last(talk: Conversation) -> Answer:
    return talk.rounds[-1].answer


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """A video that cannot be read, as the error that ends a command with its exit code."""
    try:
        yield
    except MediaError as error:
        raise DataError(str(error)) from error


def _terminated(*_: object) -> NoReturn:
    """A signal to end is not Ctrl-C, which ends an answer only."""
    raise SystemExit(INTERRUPTED)
