"""A Slack in a process of its own, for the demo and for tests with real processes:

    python -m tests.fakes.slack --port 8485 --events http://127.0.0.1:8484/integrations/slack/events

prints one line of JSON: its address, and the settings to start Runbell with. It ends with its standard input.
"""

import argparse
import json
import sys

from tests.fakes.slack import FakeSlack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--events", default="", help="where the app hears of what happens in Slack")
    parser.add_argument("--scale", type=float, default=1, help="shrinks the times of Slack's limits")
    options = parser.parse_args()
    with FakeSlack(port=options.port, scale=options.scale) as slack:
        slack.app.events_url = options.events
        beta = slack.add_workspace("Beta Labs", "beta")
        beta.add_person("ada", "member")
        beta.add_channel("general", is_general=True)
        slack.acme.add_channels(300)
        print(json.dumps({"url": slack.url, "settings": slack.settings}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
