"""Independent tasks, all at once: five tasks take the time of one."""

from stretto import Task, fan_out

MODULES = ["auth", "payment", "user", "product", "order"]

plan = fan_out(
    [Task(f"Analyze {module} module", model="haiku") for module in MODULES],
    name="fan-out",
    limits={"usd": 1.00},
)
