"""A program: serves one GGUF file by llama.cpp on loopback until its standard input closes.

It is a process of its own because llama.cpp holds the interpreter while it loads (0.4 s for the smallest
model), ends the process when an assertion of its own fails, and crashes where it is torn down with a request
in flight. It needs `xllamacpp` and the standard library, nothing of Stretto.
"""

from __future__ import annotations

import json
import os
import sys

import xllamacpp


def main() -> None:
    """Reads its settings from the first line of stdin; writes one line with its `url`, or none and ends."""
    settings = json.loads(sys.stdin.buffer.readline())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the library prints goes to the log
    try:
        server = xllamacpp.Server(_parameters(settings))
    except RuntimeError:  # its text is always the same and names no reason
        os._exit(1)
    print(json.dumps({"url": server.listening_address}), file=answers, flush=True)
    # Whoever started us holds the other end; it closes even if that process is killed.
    while os.read(0, 4096):
        pass
    # No tidying up: the server's destructor crashes or hangs while a request is in flight.
    os._exit(0)


def _parameters(settings: dict[str, object]) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["path"]
    parameters.model_alias = {settings["alias"]}
    parameters.n_ctx = settings["context"]
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = settings["threads"]
    parameters.cpuparams_batch.n_threads = settings["threads"]
    parameters.sampling.temp = 0.0
    parameters.verbosity = 0
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.cache_ram_mib = 0
    parameters.api_keys = [settings["key"]]
    return parameters


if __name__ == "__main__":
    main()
