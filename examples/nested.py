"""Patterns inside patterns: a planner names the parts; each is built, and reviewed from two sides."""

from stretto import Task, hierarchy, pipeline, scatter_gather


def build_and_review(part):
    return pipeline(
        Task(f"Build {part.name}: {part.goal}", model={"from": "sonnet", "to": "opus"}, id="build"),
        scatter_gather(
            [
                Task(f"Review {part.name} for security", id="security"),
                Task(f"Review {part.name} for speed", id="speed"),
            ],
            gather=Task("One list of what has to change", id="verdict"),
            min_ok=1,
            id="review",
        ),
        id="parts",
    )


plan = hierarchy(
    Task(
        'Split the feature "email notifications" into parts that can be built side by side.',
        model="opus",
        output={"parts": [{"name": str, "goal": str}]},
        id="design",
    ),
    each="parts",
    as_="part",
    max=10,
    do=build_and_review,
    finish=pipeline(
        Task("Fit the parts together", model="sonnet", id="fit"),
        Task("Write the tests for the whole", model="sonnet", id="test"),
        id="integrate",
    ),
    name="nested",
    limits={"usd": 20.00},
)
