"""The careful reader of multiple-choice answers: what a person would read, or nothing.

What the writer settles on in the end counts. A letter that the writer rejects is no choice, an article or a name
("A man", "Vitamin C") is no letter, and refusals, enumerations and error texts are unreadable.

The work is split: `text` makes the reply ready and keeps every place, `tags` finds answers in a machine's form,
`letters` and `roles` find letters and what is said of them, `walk` reads verdicts on one option after the other,
`words`, `options` and `clauses` find what the words describe. `weigh` weighs what they found; `reader` is the way
through them.
"""

from kangaroo_eval.careful.options import letters_of, plain
from kangaroo_eval.careful.reader import careful
from kangaroo_eval.careful.weigh import Reading

__all__ = ["Reading", "careful", "letters_of", "plain"]
