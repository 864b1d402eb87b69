"""Room: server/services.

Lives here: use cases, the doors that check rights, and the reads that feed pages and API.
May import: db, channels, messages, core.
May touch: the database; the outside network through a channel's connection, in deliveries.py and mailbox.py alone; files in
backups.py and key_files.py.
Never: a request, a clock, a sentence for a person.
Ask for: `record_run`, `<thing>_for(actor, key, action)`, `list_…`.
Example file: tokens.py
"""
