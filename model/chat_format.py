"""How a conversation is written for the LLM: Llama-3's headers, or ChatML (SmolLM2 and many others)."""

from __future__ import annotations

from typing import Any, NamedTuple

PARTS = (
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<|video|>{% endif %}"
    "{% endfor %}{% endif %}"
)
"""A message's content in Jinja: text, or a list of text and video parts."""


class ChatFormat(NamedTuple):
    """The pieces of a turn: `start` role `close` `gap` text `end` `after`.

    `begin`, `start`, `close` and `end` are special tokens ("": none); `gap` and `after` are plain text.
    `end` closes every turn, so it is also what ends an answer. No system turn is added that nobody asked for,
    not even where an LLM's own template has a default one.
    """

    name: str
    begin: str
    start: str
    close: str
    gap: str
    end: str
    after: str

    @property
    def tokens(self) -> tuple[str, ...]:
        """The special tokens that a tokenizer must have."""
        return tuple(filter(None, (self.begin, self.start, self.close, self.end)))

    @property
    def template(self) -> str:
        """The format as a Jinja template, for tools that want one. It renders text: `KangarooProcessor` builds
        ids instead, because in text a user's "<|eot_id|>" cannot be told from the real one."""
        begin = "{{ bos_token }}" if self.begin else ""
        turn = f"{self.start}{{{{ message['role'] }}}}{self.close}{self.gap}{PARTS}{self.end}{self.after}"
        opened = f"{self.start}assistant{self.close}{self.gap}"
        loop = f"{{% for message in messages %}}{turn}{{% endfor %}}"
        return f"{begin}{loop}{{% if add_generation_prompt %}}{opened}{{% endif %}}"


LLAMA_3 = ChatFormat(
    "llama-3", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "\n\n", "<|eot_id|>", ""
)
CHATML = ChatFormat("chatml", "", "<|im_start|>", "", "\n", "<|im_end|>", "\n")
FORMATS = (LLAMA_3, CHATML)


def chat_format(tokenizer: Any) -> ChatFormat:
    """The format that a chat LLM was trained on, by the special tokens that its tokenizer has.

    Where it has those of both (a Llama-3 tuned on ChatML), its chat template decides. ChatML begins with
    the tokenizer's BOS token where its template does. ValueError for a tokenizer of another format.
    """
    known = [each for each in FORMATS if all(_has(tokenizer, token) for token in each.tokens)]
    template = str(tokenizer.chat_template or "")
    if len(known) > 1:
        known = [each for each in known if each.start in template]
    if len(known) != 1:
        wanted = " or ".join(f"{each.name} ({' '.join(each.tokens)})" for each in FORMATS)
        raise ValueError(
            f"the tokenizer has no known chat format: its special tokens must be those of {wanted}"
        )
    (found,) = known
    if not found.begin and "bos_token" in template and tokenizer.bos_token:
        return found._replace(begin=str(tokenizer.bos_token))
    return found


def _has(tokenizer: Any, token: str) -> bool:
    index = tokenizer.convert_tokens_to_ids(token)
    return index is not None and tokenizer.convert_ids_to_tokens(index) == token
