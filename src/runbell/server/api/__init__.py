"""Room: server/api.

Lives here: JSON for programs; Runbell's own API and the shapes of the dbt Admin API.
May import: services.
May touch: the request and the response, the clock.
Never: a model, a query, a right decided here.
Ask for: `api.urls`.
Example file: native.py
"""
