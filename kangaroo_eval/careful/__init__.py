"""The careful reader of multiple-choice answers: what a person would read, or nothing.

What the writer settles on in the end counts. A letter that the writer rejects is no choice, an article or a name
("A man", "Vitamin C") is no letter, and refusals, enumerations and error texts are unreadable.

The work is split: `text` makes the reply ready and keeps every place, `languages` puts the frame of an answer in
another language into English (`glossary`), `tags` finds answers in a machine's form, `letters`, `ordinals` and
`roles` find letters and what is said of them (`mentions`), `walk` reads verdicts on one option after the other,
`words` (with `kin` and `hints`), `amounts`, `options` and `clauses` find what the words describe, and `described`
which option that is. `weigh` weighs what they found; `reader` is the way through them.
"""

from kangaroo_eval.careful.option_texts import letters_of, texts_of
from kangaroo_eval.careful.reader import careful
from kangaroo_eval.careful.reading import Reading

__all__ = ["Reading", "careful", "letters_of", "texts_of"]
