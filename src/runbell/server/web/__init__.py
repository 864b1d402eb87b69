"""Room: server/web.

Lives here: pages for people, one file per family; templates and static files.
May import: services.
May touch: the request and the response, the clock.
Never: a model, a query, a right decided here.
Ask for: `urlpatterns`.
Example file: runs.py
"""
