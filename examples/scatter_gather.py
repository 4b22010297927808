"""Several views of the same thing side by side, then one answer from at least three of them."""

from stretto import Task, fan_out, scatter_gather

reviews = fan_out(
    Task("Review the code for security vulnerabilities", model="sonnet", id="security"),
    Task("Review the code for performance issues", model="sonnet", id="performance"),
    Task("Review the code for its quality", model="sonnet", id="quality"),
    Task("Review the code for test coverage", model="haiku", id="coverage"),
    id="reviews",
)

plan = scatter_gather(
    reviews,
    gather=Task("Make one action plan of the reviews, most urgent first", model="sonnet", id="action-plan"),
    min_ok=3,
    name="scatter-gather",
    limits={"usd": 3.00},
)
