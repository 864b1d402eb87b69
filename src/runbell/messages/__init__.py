"""Room: messages.

Lives here: facts turned into words, in the reader's language; the neutral `Message` every channel starts from.
May import: core, babel.
May touch: nothing; catalogues are read from the package.
Never: HTML, Slack markup, an address, a formatted time inside a stored message.
Ask for: `compose_run`, `reason`, `Message`, `Reader`.
Example file: reasons.py
"""
