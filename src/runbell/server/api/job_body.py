"""What a client of the dbt Admin API sends to make or change a job."""

import json
from collections.abc import Callable
from typing import Any

from runbell.core.fields import MAX_INTEGER, BadField, Fields

ACTIVE, DELETED = 1, 2
MAX_STEPS, MAX_COMMAND, MAX_OBJECT = 200, 2000, 10_000  # commands; characters of one; characters of a nested object as JSON
_YEARLY = "0 0 1 1 *"

DEFAULTS: dict[str, Any] = {
    "description": "",
    "dbt_version": None,
    "execute_steps": [],
    "execution": {"timeout_seconds": 0},
    "generate_docs": False,
    "run_generate_sources": False,
    "job_type": "other",
    "settings": {"threads": 4, "target_name": "default"},
    "triggers": {"github_webhook": False, "git_provider_webhook": False, "schedule": False, "on_merge": False},
    "schedule": {"cron": _YEARLY, "date": {"type": "custom_cron", "cron": _YEARLY}, "time": {"type": "every_hour", "interval": 1}},
    "deferring_job_definition_id": None,
    "deferring_environment_id": None,
    "self_deferring": False,
    "run_lint": False,
    "errors_on_lint_failure": True,
    "run_compare_changes": False,
    "compare_changes_flags": "--select state:modified",
    "triggers_on_draft_pr": False,
    "cost_optimization_features": [],
    "job_completion_trigger_condition": None,
    "force_node_selection": None,
    "validate_execute_steps": False,
}
"""What can be said of a job, and what a job has that nobody described: its triggers say that it does not run by this schedule."""

_FLAGS = frozenset({"force_node_selection"} | {name for name, value in DEFAULTS.items() if isinstance(value, bool)})
_NUMBERS = frozenset({"deferring_job_definition_id", "deferring_environment_id"})
_LISTS = frozenset({"execute_steps", "cost_optimization_features"})
_TEXTS = frozenset({"description", "dbt_version", "job_type", "compare_changes_flags"})


def _described(name: str) -> dict[str, Any]:
    if name in _FLAGS:
        return {"type": ["boolean", "null"]}
    if name in _NUMBERS:
        return {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_INTEGER}
    if name in _TEXTS:
        return {"type": ["string", "null"], "description": f"Cut at {MAX_COMMAND} characters."}
    if name in _LISTS:
        return {"type": ["array", "null"], "maxItems": MAX_STEPS, "items": {"type": ["string", "null"]}}
    return {"type": ["object", "null"], "description": f"At most {MAX_OBJECT} characters of JSON."}


_ID = {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_INTEGER}
JOB_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": ["string", "null"], "minLength": 1},
        "state": {"enum": [ACTIVE, DELETED, None]},
        **dict.fromkeys(("id", "account_id", "project_id", "environment_id"), _ID),
        **{name: _described(name) for name in DEFAULTS},
    },
}
NEW_JOB = {**JOB_SCHEMA, "required": ["environment_id", "name"]}


class JobBody:
    """One body, checked field by field; read-only and unknown fields are taken and left alone. Raises `BadField`."""

    def __init__(self, raw: object, account_id: int) -> None:
        self.fields = Fields(raw)
        if self.fields.integer("account_id", low=0) not in (None, account_id):
            raise BadField("account_id", f"is not the account in the address, {account_id}")
        self.state = self.fields.integer("state", low=ACTIVE, high=DELETED) or ACTIVE
        self.name = self.fields.name("name", limit=MAX_INTEGER) if self.fields.has("name") else ""

    def environment_id(self) -> int:
        self.fields.required("environment_id")
        return self.fields.integer("environment_id", low=1) or 0

    def new_name(self) -> str:
        return self.fields.name("name", limit=MAX_INTEGER)

    def require_same(self, **now_there: int) -> None:
        """Raises `BadField` for a place that differs from where the job is."""
        for name, value in now_there.items():
            if self.fields.integer(name, low=0) not in (None, value):
                raise BadField(
                    name, f"must be {value} here; to put a job elsewhere, make it there and merge the two in Account settings › Jobs"
                )

    def definition(self) -> dict[str, Any]:
        """Of `DEFAULTS`, what the body names."""
        return {name: self._read(name) for name in DEFAULTS if name in self.fields.value}

    def _read(self, name: str) -> Any:
        if not self.fields.has(name):
            return DEFAULTS[name]
        readers: list[tuple[frozenset[str], Callable[[str], Any]]] = [
            (_FLAGS, self.fields.flag),
            (_NUMBERS, lambda name: self.fields.integer(name, low=0)),
            (_TEXTS, lambda name: self.fields.text(name, limit=MAX_COMMAND)),
            (_LISTS, lambda name: list(self.fields.items(name, _command, limit=MAX_STEPS))),
        ]
        return next((read for names, read in readers if name in names), self._object)(name)

    def _object(self, name: str) -> dict[str, Any]:
        value = dict(self.fields.nested(name).value)
        if len(json.dumps(value)) > MAX_OBJECT:
            raise BadField(name, f"must have at most {MAX_OBJECT} characters as JSON")
        return {**(DEFAULTS[name] or {}), **value}


def _command(value: object, path: str) -> str:
    return Fields({path: value}).text(path, limit=MAX_COMMAND)
