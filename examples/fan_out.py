"""Independent tasks, all at once: five take the time of one, and one that fails leaves the others alone."""

from stretto import Task, fan_out

MODULES = ["auth", "payment", "user", "product", "order"]

plan = fan_out(
    [Task(f"Analyze {module} module", model="haiku", optional=True) for module in MODULES],
    name="fan-out",
    limits={"usd": 1.00},
)
