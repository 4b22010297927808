"""What a planner is asked for (`grow: plan`): the safe subset of the plan format as a JSON Schema.

A list of tasks with ids and not a mapping, no free keys and no recursion: structured output of the models'
providers allows nothing else. The compiler reads the mapping of the format as well.
"""

from __future__ import annotations

from typing import Any

from stretto.plan.references import ID
from stretto.spec.fields import GROUP, PLAN, TASK

_IDS = {"type": "array", "items": {"type": "string"}}


def _text(says: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": says, **more}


PLANNED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "description": PLAN["tasks"].says,
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "id": _text("A short name for the task.", pattern=f"^{ID.pattern}$"),
                    "prompt": _text(TASK["prompt"].says),
                    "role": _text(TASK["role"].says),
                    "model": _text(TASK["model"].says),
                    "needs": {**_IDS, "description": TASK["needs"].says},
                    "after": {**_IDS, "description": GROUP["after"].says},
                    "output": _text(TASK["output"].says, enum=["text", "lines", "json"]),
                },
                "required": ["id", "prompt"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}
