"""What else sends mails and posts, each in a process of its own: `python -m bench.peers WAY PORT FILE [FIRST STEP]`.

FILE holds what Runbell sent, pickled: [(sender, recipient, content), …]; of it FIRST and every STEP-th after it are sent. Waits for a line
on standard input after importing, and prints the processor's seconds. Runs in .venv-bench, which Runbell is no part of.
"""

import json
import pickle
import smtplib
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from email import message_from_bytes, policy
from http.client import HTTPSConnection
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import Request

Mail = tuple[str, str, bytes]
Send = Callable[[], object]


def by_smtplib(port: int, mails: Sequence[Mail]) -> Send:
    """The same bytes over one kept connection."""
    smtp = smtplib.SMTP("127.0.0.1", port)
    smtp.ehlo()

    def send() -> None:
        for sender, recipient, content in mails:
            smtp.sendmail(sender, [recipient], content)

    return send


def by_django(port: int, mails: Sequence[Mail]) -> Send:
    """The same subject, text and HTML, over one kept connection."""
    from django.conf import settings
    from django.core.mail import EmailMultiAlternatives, get_connection

    settings.configure(USE_I18N=False)
    connection = get_connection("django.core.mail.backends.smtp.EmailBackend", host="127.0.0.1", port=port)
    told = [(sender, recipient, *parts(content)) for sender, recipient, content in mails]

    def made(sender: str, recipient: str, subject: str, text: str, html: str) -> EmailMultiAlternatives:
        mail = EmailMultiAlternatives(subject, text, sender, [recipient])
        mail.attach_alternative(html, "text/html")
        return mail

    return lambda: connection.send_messages([made(*each) for each in told])


def by_apprise(port: int, mails: Sequence[Mail]) -> Send:
    """The same subject and HTML. It makes the text itself, and connects for each mail. Without its pause of 5.5 s."""
    apprise = import_module("apprise")  # in .venv-bench only
    import_module("apprise.plugins.email").NotifyEmail.request_rate_per_sec = 0
    teller = apprise.Apprise()
    teller.add(f"mailto://127.0.0.1:{port}/?from=runbell@example.org&to=grace@example.com")
    told = [parts(content) for _, _, content in mails]

    def send() -> None:
        for subject, _, html in told:
            if not teller.notify(title=subject, body=html, body_format="html"):
                raise RuntimeError("Apprise did not send")

    return send


def by_slack_sdk(port: int, posts: Sequence[Mail]) -> Send:
    """The same posts over one kept connection, put where the sdk would open one for each."""
    from slack_sdk import WebClient

    kept = HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context())

    class Client(WebClient):
        def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
            kept.request("POST", req.selector, req.data, dict(req.header_items()))
            answer = kept.getresponse()
            return {"status": answer.status, "headers": dict(answer.headers), "body": answer.read().decode()}

    return _posted(Client("xoxb-1-2-bench", f"https://127.0.0.1:{port}/api/"), posts)


def by_plain_slack_sdk(port: int, posts: Sequence[Mail]) -> Send:
    """The same posts by one client as it comes. It connects for each, and reads the certificates each time."""
    from slack_sdk import WebClient

    return _posted(WebClient("xoxb-1-2-bench", f"https://127.0.0.1:{port}/api/"), posts)


def _posted(client: Any, posts: Sequence[Mail]) -> Send:
    bodies = [json.loads(content) for _, _, content in posts]

    def send() -> None:
        for body in bodies:
            client.chat_postMessage(**body)

    return send


def by_apprise_slack(port: int, posts: Sequence[Mail]) -> Send:
    """The text of the posts: it knows no blocks of ours. It connects for each. Without its pause of 1.2 s."""
    apprise = import_module("apprise")
    slack = import_module("apprise.plugins.slack").NotifySlack
    slack.request_rate_per_sec, slack.api_url = 0, f"https://127.0.0.1:{port}/api/{{}}"
    teller = apprise.Apprise()
    teller.add("slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#general")
    texts = [json.loads(content)["text"] for _, _, content in posts]

    def send() -> None:
        for text in texts:
            if not teller.notify(body=text):
                raise RuntimeError("Apprise did not post")

    return send


def parts(content: bytes) -> tuple[str, str, str]:
    """The subject, the text and the HTML of a mail."""
    mail = message_from_bytes(content, policy=policy.default)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text
    assert html
    return str(mail["Subject"]), text.get_content(), html.get_content()


WAYS: Mapping[str, Callable[[int, Sequence[Mail]], Send]] = {
    "smtplib": by_smtplib,
    "django": by_django,
    "apprise": by_apprise,
    "slack_sdk": by_slack_sdk,
    "slack_sdk_plain": by_plain_slack_sdk,
    "apprise_slack": by_apprise_slack,
}


def main() -> int:
    way, port, path, first, step = sys.argv[1:]
    send = WAYS[way](int(port), pickle.loads(Path(path).read_bytes())[int(first) :: int(step)])
    print("ready", flush=True)
    sys.stdin.readline()
    used = time.process_time()
    send()
    print(time.process_time() - used, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
