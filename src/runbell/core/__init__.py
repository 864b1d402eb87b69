"""Room: core.

Lives here: facts, decisions and state moves of the domain; the same code beside dbt and on the server.
May import: the standard library.
May touch: nothing; no clock, environment, files, network or database. `now` is an argument.
Never: a sentence for a person (messages), a Django object, a side effect.
Ask for: `RunReport`, `Outcome`, `decide`, `next_step`.
Example file: outcomes.py
"""
