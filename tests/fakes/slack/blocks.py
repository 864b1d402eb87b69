"""What Slack refuses in a message, by its limits: https://docs.slack.dev/reference/block-kit/blocks. `trouble` gives its error word."""

import json
from collections.abc import Callable, Iterator
from typing import Any

MAX_BLOCKS, MAX_ATTACHMENTS, MAX_CHARACTERS = 50, 100, 13_200  # the last is not documented: slackapi/bolt-js issue 2509
TEXT, UPDATED_TEXT, CUT_AT = 3_000, 4_000, 40_000
HEADER, FIELDS, FIELD, CONTEXT, ACTIONS, BUTTON, URL, ID, MARKDOWN = 150, 10, 2_000, 10, 25, 75, 3_000, 255, 12_000
METADATA = 16_000
RICH_PARTS = ("rich_text_section", "rich_text_preformatted", "rich_text_quote", "rich_text_list")
RICH_ELEMENTS = ("text", "link", "emoji", "user", "usergroup", "channel", "date", "broadcast", "color")


class Bad(Exception):
    """Where and why, as Slack says it in response_metadata.messages."""


class Refused(Exception):
    def __init__(self, word: str, messages: tuple[str, ...] = ()) -> None:
        super().__init__(word)
        self.word, self.messages = word, messages


def check_message(args: dict[str, Any], *, is_update: bool = False) -> None:
    """Raises Refused for a message that Slack would not take. Blocks and attachments become lists in `args`."""
    for name, word in (
        ("blocks", "invalid_blocks_format"),
        ("attachments", "invalid_attachments"),
        ("metadata", "invalid_metadata_format"),
    ):
        args[name] = _parsed(args.get(name), word)
    text = args.get("text") or ""
    if args.get("markdown_text") and (text or args["blocks"]):
        raise Refused("markdown_text_conflict")
    if not (text or args["blocks"] or args["attachments"] or args.get("markdown_text")):
        raise Refused("no_text")
    if (is_update and len(text) > UPDATED_TEXT) or len(args.get("markdown_text") or "") > MARKDOWN:
        raise Refused("msg_too_long")
    args["text"] = text[:CUT_AT]
    _check_blocks(args["blocks"], "/blocks", "invalid_blocks")
    _check_attachments(args["attachments"])
    if sum(map(len, _texts([args["blocks"], args["attachments"]]))) > MAX_CHARACTERS:
        raise Refused("msg_blocks_too_long")
    _check_metadata(args["metadata"])


def _parsed(value: Any, word: str) -> Any:
    """In a form they are JSON in a string."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise Refused(word) from None


def _check_blocks(blocks: Any, at: str, word: str) -> None:
    if blocks is None:
        return
    if not isinstance(blocks, list):
        raise Refused("invalid_blocks_format" if word == "invalid_blocks" else word)
    try:
        if len(blocks) > MAX_BLOCKS:
            raise Bad(f"no more than {MAX_BLOCKS} items allowed [json-pointer:{at}]")
        for index, block in enumerate(blocks):
            _check_block(block, f"{at}/{index}")
        ids = [block["block_id"] for block in blocks if "block_id" in block]
        if len(set(ids)) < len(ids):
            raise Bad(f"block_id already exists [json-pointer:{at}]")
    except Bad as bad:
        raise Refused(word, (f"[ERROR] {bad}",)) from None


def _check_attachments(attachments: Any) -> None:
    if attachments is None:
        return
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        raise Refused("invalid_attachments")
    if len(attachments) > MAX_ATTACHMENTS:
        raise Refused("too_many_attachments")
    for index, attachment in enumerate(attachments):
        _check_blocks(attachment.get("blocks"), f"/attachments/{index}/blocks", "invalid_attachments")


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise Refused("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise Refused("invalid_metadata_schema")
    if len(json.dumps(metadata)) > METADATA:
        raise Refused("metadata_too_large")


def _check_block(block: Any, at: str) -> None:
    if not isinstance(block, dict) or block.get("type") not in KINDS:
        raise Bad(f"unsupported type [json-pointer:{at}/type]")
    _string(block.get("block_id", "-"), f"{at}/block_id", ID)
    KINDS[block["type"]](block, at)


def _header(block: Any, at: str) -> None:
    _text(block.get("text"), f"{at}/text", HEADER, ("plain_text",))


def _section(block: Any, at: str) -> None:
    if "text" not in block and "fields" not in block:
        raise Bad(f"missing required field: text or fields [json-pointer:{at}]")
    if "text" in block:
        _text(block["text"], f"{at}/text", TEXT)
    if "fields" in block:
        for index, one in enumerate(_items(block["fields"], f"{at}/fields", FIELDS)):
            _text(one, f"{at}/fields/{index}", FIELD)


def _context(block: Any, at: str) -> None:
    for index, one in enumerate(_items(block.get("elements"), f"{at}/elements", CONTEXT)):
        if not isinstance(one, dict) or one.get("type") != "image":
            _text(one, f"{at}/elements/{index}", TEXT)


def _actions(block: Any, at: str) -> None:
    for index, one in enumerate(_items(block.get("elements"), f"{at}/elements", ACTIONS)):
        here = f"{at}/elements/{index}"
        if not isinstance(one, dict) or one.get("type") != "button":
            raise Bad(f"unsupported type [json-pointer:{here}/type]")
        _text(one.get("text"), f"{here}/text", BUTTON, ("plain_text",))
        _string(one.get("url", "-"), f"{here}/url", URL)
        _string(one.get("action_id", "-"), f"{here}/action_id", ID)


def _rich_text(block: Any, at: str) -> None:
    for index, part in enumerate(_items(block.get("elements"), f"{at}/elements", None)):
        _rich_part(part, f"{at}/elements/{index}")


def _rich_part(part: Any, at: str) -> None:
    if not isinstance(part, dict) or part.get("type") not in RICH_PARTS:
        raise Bad(f"unsupported type [json-pointer:{at}/type]")
    for index, one in enumerate(_items(part.get("elements"), f"{at}/elements", None)):
        here = f"{at}/elements/{index}"
        if part["type"] == "rich_text_list":
            _rich_part(one, here)
        elif not isinstance(one, dict) or one.get("type") not in RICH_ELEMENTS:
            raise Bad(f"unsupported type [json-pointer:{here}/type]")
        elif one["type"] == "text":
            _string(one.get("text"), f"{here}/text", None)
        elif one["type"] == "link":
            _string(one.get("url"), f"{here}/url", URL)


def _markdown(block: Any, at: str) -> None:
    _string(block.get("text"), f"{at}/text", MARKDOWN)


def _anything(block: Any, at: str) -> None:
    """A divider has nothing to be wrong in."""


KINDS: dict[str, Callable[[Any, str], None]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "rich_text": _rich_text,
    "markdown": _markdown,
    "divider": _anything,
}


def _text(value: Any, at: str, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> None:
    if not isinstance(value, dict) or value.get("type") not in kinds:
        raise Bad(f"must be a valid text object [json-pointer:{at}]")
    _string(value.get("text"), f"{at}/text", limit)


def _string(value: Any, at: str, limit: int | None) -> None:
    if not isinstance(value, str):
        raise Bad(f"must be a string [json-pointer:{at}]")
    if not value:
        raise Bad(f"must be more than 0 characters [json-pointer:{at}]")
    if limit is not None and len(value) > limit:
        raise Bad(f"must be less than {limit + 1} characters [json-pointer:{at}]")


def _items(value: Any, at: str, limit: int | None) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise Bad(f"no fewer than 1 items allowed [json-pointer:{at}]")
    if limit is not None and len(value) > limit:
        raise Bad(f"no more than {limit} items allowed [json-pointer:{at}]")
    return value


def _texts(value: Any) -> Iterator[str]:
    """Every text in the blocks, wherever they are."""
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name == "text" and isinstance(one, str):
                yield one
            elif name in ("blocks", "elements", "fields", "text"):
                yield from _texts(one)
