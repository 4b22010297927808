"""Two tasks for each file, without a barrier between files, then a tree of calls that merges the results."""

from stretto import Input, Task, map_reduce, pipeline

folder = Input("path", default=".")


def look_into(file):
    scan = Task(f"List what is risky in {file}", model="haiku", output={"risks": [str]}, id="scan")
    judge = Task(f"Which of {scan.out.risks} are real?", model="sonnet", id="judge")
    return pipeline(scan, judge, id="files")


plan = map_reduce(
    over=Task(run=["ls", "-1", folder], output="lines", id="list"),
    as_="file",
    map=look_into,
    max=500,
    tolerate="5%",
    reduce=Task("Merge into one list, keep the file names", model="sonnet", id="merge"),
    fan_in=20,
    name="map-reduce",
    inputs={"folder": folder},
    limits={"usd": 5.00, "parallel": 8},
)
