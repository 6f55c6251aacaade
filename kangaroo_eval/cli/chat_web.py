"""`kangaroo-eval chat --web`: the conversation as a page in the browser, for this machine alone unless asked.

Gradio carries it. Nothing is fetched from elsewhere and nothing is told to anybody: no analytics, no fonts, no
tunnel. Every browser session has a conversation of its own; the model answers one at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import importlib
import ipaddress
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kangaroo_eval.cli.chat_text import clean, told_of_answer, told_of_look, told_seconds
from kangaroo_eval.errors import DataError, MediaError, UserError

if TYPE_CHECKING:
    from kangaroo_eval.model.conversation import Conversation

HOST = "127.0.0.1"
MAX_UPLOAD = "2gb"
MOST_FRAMES = 256
QUESTION_SIGNS = 8000
SESSIONS = 16
"""Browsers at a time; the conversation of the one longest unused makes room for a further one."""

FONTS = ["system-ui", "sans-serif"]
"""By name: gradio's own themes fetch theirs from Google."""

LOOK = """
#look textarea, #status textarea, #status input { font-size: .8rem; line-height: 1.3 }
#chat .message-content span { white-space: pre-wrap }
#frames .caption-label { font-size: .7rem }
footer { display: none !important }
"""


def serve(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C. UserError where gradio is absent or the address cannot be had."""
    # Gradio reads these when it is imported, and the first one also stops its look-up of newer versions.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with tempfile.TemporaryDirectory(prefix="kangaroo-chat-", ignore_cleanup_errors=True) as folder:
        # Uploads and the pictures shown are gone when the page is.
        os.environ["GRADIO_TEMP_DIR"] = folder
        gradio = _gradio()
        from kangaroo_eval.cli.chat import make_conversation

        make = make_conversation(options)
        if options.video:
            _try_out(make(), options)
        page = Page(gradio, make, options, Path(folder).resolve()).blocks()
        return _run(gradio, page, options)


def _gradio() -> Any:
    try:
        return importlib.import_module("gradio")
    except ImportError as error:
        raise UserError(
            f"chat --web needs the package {error.name!r}: pip install 'kangaroo-eval[web]'"
        ) from error


def _try_out(talk: Conversation, options: argparse.Namespace) -> None:
    """What is wrong with the video of the command line is said there, not in the browser."""
    try:
        talk.open(options.video, options.start, options.end)
    except MediaError as error:
        raise DataError(str(error)) from error


def _run(gradio: Any, page: Any, options: argparse.Namespace) -> int:
    host = options.host or HOST
    try:
        _, url, _ = page.queue(api_open=False).launch(
            server_name=host,
            server_port=options.port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            max_file_size=MAX_UPLOAD,
            state_session_capacity=SESSIONS,
            theme=gradio.themes.Base(font=FONTS, font_mono=["monospace"]),
            css=LOOK,
        )
    except OSError as error:
        raise UserError(
            f"--port {options.port or ''} --host {host}: cannot be had ({error}); give another --port"
        ) from error
    print(f"chat with a Kangaroo: {url} (Ctrl-C ends it)", flush=True)
    if not _is_loopback(host):
        print(f"kangaroo-eval: everybody who reaches {host} can use this page and the model", file=sys.stderr)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return 0
    finally:
        page.close(verbose=False)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(eq=False)
class Session:
    """One browser's conversation. `busy` is held while its answer is made, `stop` asks for the end of it."""

    talk: Conversation
    busy: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Conversation]:
        """The conversation while no answer is being made; one that is, ends."""
        self.stop.set()
        with self.busy:
            yield self.talk


class Page:
    """The page: what is on it, and what its buttons do. `uploads` is the folder that gradio saves files in."""

    def __init__(
        self, gradio: Any, make: Callable[[], Conversation], options: argparse.Namespace, uploads: Path
    ) -> None:
        self.gradio = gradio
        self.make = make
        self.options = options
        self.uploads = uploads
        # The arithmetic is one at a time whatever gradio does: a second would only slow the first.
        self.lock = threading.Lock()

    def blocks(self) -> Any:
        """The page as gradio's Blocks."""
        gr, model = self.gradio, self.make().model
        notes = "".join(f" — **{note.upper()}**" for note in model.notes)
        frames_most = max(MOST_FRAMES, self.options.frames)
        with gr.Blocks(title=f"{model.name} - chat", fill_width=True, analytics_enabled=False) as page:
            state = gr.State(None, delete_callback=_close)
            gr.Markdown(f"### {model.name}{notes}", elem_id="title")
            with gr.Row():
                with gr.Column(scale=2, min_width=320):
                    video = gr.Video(
                        label="Video", height=190, interactive=False, buttons=[], elem_id="video"
                    )
                    upload = gr.UploadButton(
                        "Another video ...", file_types=["video"], size="sm", elem_id="upload"
                    )
                    frames = gr.Slider(
                        1,
                        frames_most,
                        self.options.frames,
                        step=1,
                        label="Frames it looks at",
                        buttons=[],
                        elem_id="count",
                    )
                    look = gr.Textbox(show_label=False, lines=2, interactive=False, elem_id="look")
                    gallery = gr.Gallery(
                        label="The frames as the model sees them",
                        columns=4,
                        height=230,
                        format="png",
                        object_fit="contain",
                        buttons=[],
                        interactive=False,
                        elem_id="frames",
                    )
                with gr.Column(scale=3, min_width=380):
                    chat = gr.Chatbot(
                        label="Conversation",
                        height="64vh",
                        render_markdown=False,
                        sanitize_html=True,
                        buttons=[],
                        elem_id="chat",
                        placeholder="Ask about the video, in English or Chinese.",
                    )
                    status = gr.Textbox(
                        show_label=False, interactive=False, container=False, elem_id="status"
                    )
                    with gr.Row(equal_height=True):
                        question = gr.Textbox(
                            show_label=False,
                            container=False,
                            placeholder="A question, then Enter",
                            scale=8,
                            autofocus=True,
                            max_length=QUESTION_SIGNS,
                            elem_id="question",
                        )
                        send = gr.Button("Ask", variant="primary", min_width=60, elem_id="send")
                        stop = gr.Button("Stop", min_width=60, elem_id="stop")
                        reset = gr.Button("Reset", min_width=60, elem_id="reset")
            shown = [state, video, look, gallery, chat, status]
            quiet = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": SESSIONS}
            page.load(self.begin, [frames], shown, **quiet)
            upload.upload(self.open, [state, upload, frames], shown, **quiet)
            frames.release(self.set_frames, [state, frames], shown, **quiet)
            for event in (send.click, question.submit):
                event(self.ask, [state, question], [chat, status, question], **quiet)
            stop.click(self.stop, [state], None, **quiet)
            for event in (reset.click, chat.clear):
                event(self.reset, [state], [chat, status], **quiet)
        return page

    def begin(self, frames: float) -> tuple[Any, ...]:
        """A page was opened: a conversation of its own, about the command line's video where there is one."""
        session = Session(self.make())
        session.talk.set_frames(int(frames))
        if not self.options.video:
            return self._shown(session, "Upload a video.")
        try:
            session.talk.open(self.options.video, self.options.start, self.options.end)
        except (MediaError, UserError) as error:
            return self._shown(session, _plain(error))
        return self._shown(session, "")

    def open(self, session: Session, path: str, frames: float) -> tuple[Any, ...]:
        """Look at the video that was uploaded; where that fails, the one before stays."""
        if not Path(path).resolve().is_relative_to(self.uploads):
            return self._shown(session, "That file was not uploaded here.")
        with session.alone() as talk:
            try:
                if talk.look is None:
                    talk.set_frames(int(frames))
                talk.open(str(path))
            except (MediaError, UserError) as error:
                return self._shown(session, _plain(error).replace(str(path), Path(path).name))
        return self._shown(session, "")

    def set_frames(self, session: Session, frames: float) -> tuple[Any, ...]:
        """Another number of frames of the same video; the conversation goes on."""
        with session.alone() as talk:
            try:
                talk.set_frames(int(frames))
            except (MediaError, UserError) as error:
                return self._shown(session, _plain(error))
        return self._shown(session, "")

    def stop(self, session: Session | None) -> None:
        """End the answer that is being made; what there is of it stays."""
        if session is not None:
            session.stop.set()

    def reset(self, session: Session | None) -> tuple[Any, ...]:
        """Start anew with the same video."""
        if session is not None:
            with session.alone() as talk:
                talk.reset()
        return [], ""

    def ask(self, session: Session | None, question: str) -> Iterator[tuple[Any, ...]]:
        """The answer while it is made: the conversation, the status line, and the box of the question."""
        question = clean(question).strip()
        if session is None or session.talk.look is None or not question:
            talk = session.talk if session else None
            yield _messages(talk), "Upload a video first." if question else "Ask something.", question
            return
        with session.busy:
            session.stop.clear()
            before = _messages(session.talk)
            yield [*before, *_round(question, "")], "waiting for the model ...", ""
            with self.lock:
                told = ""
                pieces = session.talk.stream(question)
                try:
                    with contextlib.closing(pieces):
                        for piece in pieces:
                            told += piece
                            yield [*before, *_round(question, told)], "answering ...", ""
                            if session.stop.is_set():
                                break
                except (UserError, MemoryError, ArithmeticError) as error:
                    yield before, _plain(error), question
                    return
            yield _messages(session.talk), told_of_answer(session.talk.rounds[-1].answer), ""

    def _shown(self, session: Session, status: str) -> tuple[Any, ...]:
        """State, video, what is looked at, the frames, the conversation, the status line."""
        talk = session.talk
        if talk.look is None:
            return session, None, "", [], [], status
        facts = talk.facts
        pictures = [
            (picture, told_seconds(second))
            for picture, second in zip(talk.look.frames.pixels, facts.times, strict=True)
        ]
        damage = f"; {facts.repeated} damaged, neighbours stand in" if facts.repeated else ""
        told = told_of_look(facts) + damage
        return session, talk.look.video.path, told, pictures, _messages(talk), status


def _close(session: Session | None) -> None:
    """The browser has gone."""
    if session is not None:
        with session.alone() as talk:
            talk.close()


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _messages(talk: Conversation | None) -> list[dict[str, str]]:
    rounds = () if talk is None else talk.rounds
    return [message for question, answer in rounds for message in _round(question, answer.text)]


def _round(question: str, answer: str) -> list[dict[str, str]]:
    # Gradio shows HTML even where it does not render Markdown: what anybody says is escaped, and stays text.
    return [
        {"role": "user", "content": html.escape(question)},
        {"role": "assistant", "content": html.escape(clean(answer))},
    ]
