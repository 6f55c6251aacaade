"""What a failed request says of the whole endpoint, and the mend, in one line for the user."""

from __future__ import annotations

from kangaroo_eval.chat import EndpointConfig, Failed


def diagnosis(config: EndpointConfig, failed: Failed, answered: bool) -> str:
    """The line; `answered` is whether the endpoint gave any reply before."""
    url, flags, base_url = config.url, config.flags, config.option("base-url")
    said = failed.message
    if answered and failed.type in ("http_403", "http_404"):
        return (
            f"{url} answered before and now refuses one request after another ({said}): see its log, and "
            f"whether {flags} and the key in {config.key_variable} are still right"
        )
    trouble = "refuses the API key" if config.api_key else "wants an API key"
    key = f"{url} {trouble} ({said}): set the right one in {config.key_variable}"
    account = f"{url} takes no more from this account ({said}): fill it up, or use another key"
    garbage = f"{url} gave no chat completion ({said}): correct {base_url} or {flags}"
    lines = {
        "connection": f"cannot reach {url} ({said}): start the server, or correct {base_url}",
        "timeout": f"{url} did not answer ({said}): see whether it is busy, then run the same command again",
        "http_401": key,
        "http_403": key,
        "quota": account,
        "http_402": account,
        "http_429": f"{url} limits the rate ({said}): wait, then run the same command again",
        "malformed": garbage,
        "broken_off": f"{url} breaks replies off ({said}): see its log, then run the same command again",
        "no_text": garbage,
        "only_thoughts": f"{url} sends no answer ({said})",
    }
    return lines.get(failed.type, f"{url} fails ({said}): see the server's log, and whether {flags} is right")


def unknown_model(config: EndpointConfig, failed: Failed, models: str | None) -> str:
    """The line for a 404 before any reply: the address is wrong, or the model's name. `models` are those that the
    server lists, joined; None where it lists none because the address is wrong."""
    if models is None:
        return (
            f"{config.url} has no chat completions ({failed.message}): correct {config.option('base-url')}, often it "
            "ends in /v1"
        )
    return f"{config.url} does not know the model {config.model!r}: give {config.flags} one of: {models or 'none'}"
