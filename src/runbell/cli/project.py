"""The few plain values we need out of dbt's YAML files, read without a YAML library.

Only top-level `key: value` lines count, and for a profile its own `target:`. A file that says it in another way reads as
not saying it, and the defaults apply. Imported before the child starts, so it imports nothing heavy.
"""

from collections.abc import Iterator, Mapping


def read_scalars(path: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The top-level scalars of a YAML file; empty when it cannot be read."""
    found: dict[str, str] = {}
    for indent, key, value in _pairs(path):
        if indent == 0 and value and key not in found:
            found[key] = _resolve(value, environ)
    return found


def default_target(path: str, profile: str, environ: Mapping[str, str]) -> str:
    """The `target:` of one profile in a profiles.yml, or empty."""
    inside, depth = False, 0
    for indent, key, value in _pairs(path):
        if indent == 0:
            inside, depth = key == profile, 0
        elif inside:
            depth = depth or indent
            if indent == depth and key == "target":
                return _resolve(value, environ)
    return ""


def _pairs(path: str) -> Iterator[tuple[int, str, str]]:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            lines = file.read(1_000_000).splitlines()
    except OSError:
        return
    for line in lines:
        text = line.lstrip(" ")
        key, colon, value = text.partition(":")
        if colon and not text.startswith(("#", "- ")):
            yield len(line) - len(text), key.strip().strip("'\""), _scalar(value)


def _scalar(text: str) -> str:
    text = text.strip()
    if text[:1] in ("'", '"'):
        return text[1:].split(text[0], 1)[0] if "{{" not in text else text.rsplit(text[0], 1)[0][1:]
    text = text.partition(" #")[0].strip()
    return "" if text in ("~", "null") or text.startswith("#") else text


def _resolve(value: str, environ: Mapping[str, str]) -> str:
    """`{{ env_var('NAME', 'default') }}` as dbt renders it; any other template is not ours to guess."""
    if "{{" not in value:
        return value
    inner = value.strip().removeprefix("{{").removesuffix("}}").strip()
    if not (inner.startswith("env_var(") and inner.endswith(")")):
        return ""
    words = [word.strip().strip("'\"") for word in inner[len("env_var(") : -1].split(",")]
    return environ.get(words[0], words[1] if len(words) > 1 else "")
