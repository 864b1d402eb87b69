"""Room: server/worker.

Lives here: the loop that claims and settles, signals, and the lanes that send.
May import: services.
May touch: the process and the clock.
Never: a table, a rule, a channel's inside.
Ask for: `run_worker`.
Example file: loop.py
"""
