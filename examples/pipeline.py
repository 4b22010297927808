"""Each task starts after the one before succeeded, and gets its output."""

from stretto import Task, pipeline

plan = pipeline(
    Task("Build the application and report what was built", model="sonnet", id="build"),
    Task("Run the test suite on what was built", model="sonnet", attempts=2, id="test"),
    Task("Deploy to staging", model="haiku", timeout="10m", id="deploy"),
    id="release",
    name="pipeline",
    limits={"usd": 2.00},
)
