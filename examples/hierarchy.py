"""A strong model says what is worth doing; cheaper ones do it side by side; one puts it together."""

from stretto import Task, hierarchy

plan = hierarchy(
    Task(
        "Pick the five modules of this code base that most need a security audit.",
        model="opus",
        subagent_type="Plan",
        output={"modules": [str]},
        id="choose",
    ),
    each="modules",
    as_="module",
    max=5,
    tolerate=1,
    do=lambda module: Task(f"Security audit of {module}", model="sonnet", id="audit"),
    finish=Task("Integrate the findings into one report", model="sonnet", id="integrate"),
    name="hierarchy",
    limits={"usd": 5.00},
)
