"""Room: server/sources.

Lives here: other systems that tell us of runs, such as the dbt platform.
May import: services.
May touch: the request and the response; an upstream API through channels.
Never: a model, a query, a right decided here.
Ask for: `urlpatterns`.
Example file: dbt_platform.py
"""
