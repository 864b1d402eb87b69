"""The options that several commands share. argparse is the heaviest import before the child starts (6 ms)."""

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter


def command_parser(name: str, about: str, examples: str) -> ArgumentParser:
    return ArgumentParser(
        prog=f"runbell {name}",
        description=about,
        epilog=examples,
        formatter_class=_Wide,
        allow_abbrev=False,
    )


class _Wide(RawDescriptionHelpFormatter):
    """Of a fixed width: asking the terminal for its own would import shutil before the child is up."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=120)


def add_job(parser: ArgumentParser, *, required: bool = True) -> None:
    group = parser.add_argument_group("which job")
    group.add_argument("--job", type=name, required=required, metavar="NAME", help="the job's name, as people know it")
    group.add_argument("--environment", type=name, metavar="NAME", help="default: RUNBELL_ENVIRONMENT, runbell.toml, dbt's target")
    group.add_argument("--project", type=name, metavar="NAME", help="default: RUNBELL_PROJECT, runbell.toml, dbt_project.yml")
    group.add_argument("--project-dir", metavar="DIR", help="where dbt_project.yml is (default: here or above)")


def add_server(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("where to")
    group.add_argument("--url", help="the server's address (default: RUNBELL_URL, runbell.toml)")
    group.add_argument(
        "--token-file", metavar="FILE", help="file with the token (default: RUNBELL_TOKEN, RUNBELL_TOKEN_FILE, runbell.toml)"
    )
    group.add_argument(
        "--spool-dir", metavar="DIR", help="where unsent reports are kept (default: RUNBELL_SPOOL_DIR, ~/.local/state/runbell/spool)"
    )


def add_sending(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        type=seconds,
        metavar="SECONDS",
        help="go on trying so long before the report is kept for later (default: RUNBELL_WAIT, 0)",
    )
    parser.add_argument(
        "--send-artifacts",
        action="store_const",
        const="on",
        help="leave manifest.json and its like with the run (default: RUNBELL_SEND_ARTIFACTS, off)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the report and send nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what was sent, and the run's link")


def name(text: str) -> str:
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        raise ArgumentTypeError("must not be empty")
    return text


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 86_400:
        raise ArgumentTypeError(f"must be seconds between 0 and 86400, not {text!r}")
    return value
