"""Refuses a dependency of the server whose licence would bind those who run or change it: GPL and AGPL. LGPL is fine."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

REFUSED = re.compile(r"\bA?GPL|Affero|(?<!Lesser )General Public License")


def needed(name: str, extras: frozenset[str], seen: set[str]) -> Iterator[Distribution]:
    """A package and all that it needs here, each once."""
    found = distribution(name)
    for text in found.requires or ():
        need = Requirement(text)
        if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        if need.name.lower() in seen:
            continue
        seen.add(need.name.lower())
        yield distribution(need.name)
        yield from needed(need.name, frozenset(need.extras), seen)


def licence(package: Distribution) -> str:
    """What a package says of its licence: the expression, the classifiers, or the first line of the old free text."""
    meta = package.metadata.json
    classifiers = [text for text in meta.get("classifier", ()) if text.startswith("License ::")]
    return " ".join([*classifiers, str(meta.get("license_expression") or meta.get("license") or "").partition("\n")[0]])


def main() -> int:
    try:
        packages = list(needed("runbell", frozenset({"server"}), set()))
    except PackageNotFoundError as missing:
        print(f"licences: {missing} is not installed; run make setup", file=sys.stderr)
        return 2
    refused = {package.name: said for package in packages if REFUSED.search(said := licence(package))}
    for name, said in sorted(refused.items()):
        print(f"licences: {name} is under {said.strip()}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
