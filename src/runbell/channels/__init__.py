"""Room: channels.

Lives here: words turned into what goes over the wire, one file per kind of destination.
May import: messages, core, the wire libraries.
May touch: the outside network, in `Connection.send` alone.
Never: Django, a table, the clock, a decision about who is told.
Ask for: `channel(kind)` in registry.py.
Example file: email.py
"""
