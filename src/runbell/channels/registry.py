"""The channels there are."""

from runbell.channels.base import Channel
from runbell.channels.email import EmailChannel
from runbell.channels.slack import SlackChannelKind
from runbell.channels.slack_webhook import SlackWebhook

_CHANNELS: dict[str, Channel] = {channel.kind: channel for channel in (EmailChannel(), SlackChannelKind(), SlackWebhook())}
KINDS = tuple(_CHANNELS)


def channel(kind: str) -> Channel:
    """The channel of a kind. Raises KeyError for a kind that is not in `KINDS`."""
    return _CHANNELS[kind]
