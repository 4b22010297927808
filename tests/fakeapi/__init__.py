"""A fake provider on loopback that speaks two LLM APIs, limits, fails on demand and keeps its own bill.

Start it around a test or a bench; each keyword is a top-level key of the configuration:

    with FakeApi(seed=7, rules=[{"match": "capital", "reply": "Paris"}]) as api:
        client = anthropic.AsyncAnthropic(base_url=api.url, api_key="test", max_retries=0)
        ...
        assert api.bill()["cost_nusd"] == ledger.spent_nusd

`api.url + "/any/prefix"` works as a base URL too; bill and requests can be asked for one prefix. By hand:
`python -m tests.fakeapi --port 8080 --script FILE.json --detached`, then `GET /__bill`, `GET /__requests`
(both take `?list=0` and `?prefix=/p`), `POST /__configure`, `POST /__reset` (forgets all, keeps the first
script). OpenAI's base URL is `api.url + "/v1"`.

Configuration, all keys optional, unknown ones refused:

    {"seed": 0,
     "time_scale": 1,            # server seconds per real second: 60 turns a minute's limit into a second's
     "chunk_tokens": 16,         # per streamed delta
     "split_bytes": 0,           # cuts the stream into HTTP chunks of so many bytes, in the middle of events
     "rules": [RULE, ...], "default": RULE, "faults": [FAULT, ...],
     "limits": {"haiku": {"requests": 50, "input_tokens": 30000, "output_tokens": 8000}, "*": {...}},
     "speed":  {"opus": {"delay_s": [0.5, 2], "tokens_per_s": 50}, "*": {...}},
     "prices": {"claude-haiku-5-5": {"input": 100, "output": 500, "cache_read": 10, "cache_write_5m": 125,
                "cache_write_1h": 200, "step_tokens": 100000, "step_times": 5}},  # nano-dollars per token
     "cache_min_tokens": 1024,
     "always_thinks": "opus-5-5",  # models (regex) that think unasked and refuse forced tools; "" for none
     "strict_models": false}       # true: a model without a price is 404; else it is served, its cost null

RULE: the first whose patterns (regex, searched) are all found applies, else `default` (echo):

    {"match": "review (\\\\w+)",   # last user text, without tool results, reminders and system messages
     "match_first": "", "model": "", "path": "",   # first user text, model id, URL prefix
     "header": {"x-run": "a"},
     "times": 2, "times_each": 1,   # applies so often in all / per equal body, then later rules are tried
     "reply": "seen ${1}",          # or an object (sent as JSON), or a list by user turn, whose last stays
     "tools": [{"name": "Read", "input": {"path": "${1}"}}, ["two at once", CALL, CALL]],   # then the reply
     "thinking": "hm",
     "tokens": 200 or [100, 400],   # the whole answer is padded to so many, never shortened
     "delay_s": 0.1 or [0, 1], "tokens_per_s": 50,      # over `speed`
     "fault": FAULT}

Replies and tool inputs know ${prompt}, ${head} (its first 60 characters), ${first}, ${system}, ${model},
${tool_result}, ${turn}, and the groups of `match` by number and name.

FAULT: a kind, or {"kind": ..., "probability": 0.1, "model": regex, ...}; a rule's own comes before `faults`.

    refuse the call: rate_limit (retry_after_s), rate_limit_bare, quota, overloaded, api_error, auth,
        permission, billing (message: as a spend cap says it)
    break the answer: cut (after_tokens, reset), stall (after_tokens, stall_s), error_event (after_tokens);
        after half of it unless given, and a large number means just before the final usage
    spoil the answer: slow (tokens_per_s), refusal, broken_json, empty

Chance is a hash of (seed, purpose, body, how often that body came before), never of the order of arrival;
`stream` and `stream_options` are no part of the body here, nor of `body_hash` and `times_each`.
Durations here are the server's seconds; what the client is told (`retry-after`, resets) is in real seconds,
whole ones as long as `time_scale` is 1 and `retry_after_s` is not given a fraction.
A schema asked for (`output_config.format`, `response_format`) is answered by the reply if that is JSON, else
by a generated instance. Tokens are ceil(UTF-8 bytes / 4) per block.

Bill: {calls, delivered, unpriced, cost_nusd, cost_nusd_delivered, usage: {input, cache_read, cache_write_5m,
cache_write_1h, output}, by_model, by_prefix, entries: [{id, prefix, model, usage, cost_nusd, end, ...}]} with
`end` one of completed, cut, error_event, gone. A call is on the bill before its client can know of its end;
one that its client left is there after `wait_idle`. Without `tokens_per_s` an answer is in the kernel at
once, so a client that leaves is not noticed: pace it.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from .config import Config

ROOT = Path(__file__).resolve().parents[2]
STOP_TIMEOUT_S = 5.0


class FakeApi:
    """One fake provider process; it ends with `stop`, with the `with` block, or when this process dies."""

    def __init__(self, **config: Any) -> None:
        # Here too, because an error of the child would be a trace on stderr and not the caller's own.
        Config().merged(config)
        # -S: it needs the standard library alone, so it starts faster and cannot come to need more.
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-m", "tests.fakeapi", "--script", "-"],
            cwd=ROOT,
            env={"PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for whoever started it, who may still want the bill: this end goes when stdin closes.
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(config).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._end()
            raise RuntimeError("the fake provider did not start; its own error is on stderr")
        self.url: str = json.loads(line)["url"]

    @property
    def pid(self) -> int:
        return self._process.pid

    def bill(self, prefix: str | None = None, *, entries: bool = True) -> dict[str, Any]:
        """What was generated and what it costs, in all or for one path prefix."""
        return self._ask("GET", "/__bill", prefix=prefix, wants_list=entries)

    def requests(self, prefix: str | None = None, *, records: bool = True) -> dict[str, Any]:
        """Every call that came, by status, and how many were in flight at most."""
        return self._ask("GET", "/__requests", prefix=prefix, wants_list=records)

    def configure(self, **changes: Any) -> None:
        """Replaces these top-level keys of the configuration."""
        self._ask("POST", "/__configure", json.dumps(changes).encode())

    def reset(self) -> None:
        """Forgets bill, requests, cache and buckets, and goes back to the configuration of the start."""
        self._ask("POST", "/__reset", b"{}")

    def wait_idle(self, timeout_s: float = 5.0) -> None:
        """Returns when nothing is in flight, so that calls whose client left are on the bill too."""
        deadline = time.monotonic() + timeout_s
        while self.requests(records=False)["in_flight"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"calls were still in flight after {timeout_s} s")
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the process; raises if the server itself had an error, which no test may take for a fault."""
        if self._process.poll() is None:
            bugs = self.requests(records=False)["bugs"]
            self._end()
            if bugs:
                raise RuntimeError("the fake provider has a bug:\n" + "\n".join(bugs))
        else:
            self._end()
            raise RuntimeError(f"the fake provider had died with exit code {self._process.returncode}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            self._end()

    def _end(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        prefix: str | None = None,
        wants_list: bool = True,
    ) -> dict[str, Any]:
        query = {"list": str(int(wants_list))} | ({} if prefix is None else {"prefix": prefix})
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            connection.request(method, f"{path}?{urlencode(query)}", body)
            answer = connection.getresponse()
            data = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(data["error"])
        assert isinstance(data, dict)
        return data
