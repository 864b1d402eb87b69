"""`runbell doctor`: what is wrong with the settings, and a test mail."""

import argparse


def doctor(options: argparse.Namespace) -> int:
    """Prints every finding; 1 when one is an error, or when the test mail was not taken."""
    from django.core.checks import ERROR, run_checks

    from runbell.server import checks  # noqa: F401  registers them

    findings = run_checks(include_deployment_checks=False)
    for finding in findings:
        print(f"{finding.id}: {finding.msg}" + (f"\n  {finding.hint}" if finding.hint else ""))
    if not findings:
        print("Nothing is wrong with the settings.")
    if any(finding.level >= ERROR for finding in findings):
        return 1
    return _send_test(options.send_test) if options.send_test else 0


def _send_test(address: str) -> int:
    from django.utils import timezone

    from runbell.messages.reasons import reason
    from runbell.server.services import mail_check

    ways = mail_check.ways()
    checked = mail_check.send_test_from_shell(address, now=timezone.now())
    print(f"\nA test mail from {ways.sender} to {checked.address}, by {ways.relay}:")
    for heard in checked.heard:
        print(f"  {heard.stage.value:<10} {heard.words}")
    print(f"  not taken: {reason(checked.because, 'en')}" if checked.because else "  The mail server took it.")
    print(f"\nThe public URL: {reason(checked.url, 'en') if checked.url else 'leads to this server.'}")
    if not ways.is_no_domain:
        print(HINTS.format(domain=ways.domain, relay=ways.host))
    return int(checked.because is not None)


HINTS = """
What the domain of the From should publish, so that receivers trust the mail:
  SPF    a TXT record at {domain} that includes the servers behind {relay}, such as "v=spf1 include:… -all"
  DKIM   {relay} signs as {domain}; its provider says which record to publish under _domainkey.{domain}
  DMARC  a TXT record at _dmarc.{domain}; "v=DMARC1; p=none" is a beginning"""
