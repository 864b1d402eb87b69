"""What else sends mails and posts, each in a process of its own: `python -m bench.peers WAY PORT FILE [FIRST STEP]`.

FILE holds what Runbell sent, pickled: [(sender, recipient, content), …]; of it FIRST and every STEP-th after it are sent. Waits for a line
on standard input after importing, and prints the processor's seconds. Runs in .venv-bench, which Runbell is no part of.
"""

import pickle
import smtplib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from email import message_from_bytes, policy
from importlib import import_module
from pathlib import Path

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


def parts(content: bytes) -> tuple[str, str, str]:
    """The subject, the text and the HTML of a mail."""
    mail = message_from_bytes(content, policy=policy.default)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text
    assert html
    return str(mail["Subject"]), text.get_content(), html.get_content()


WAYS: Mapping[str, Callable[[int, Sequence[Mail]], Send]] = {"smtplib": by_smtplib, "django": by_django, "apprise": by_apprise}


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
