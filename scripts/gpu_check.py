"""Does evalkit's GPU path work on this machine, and how fast is it?

    python scripts/gpu_check.py > gpu.json                    # all parts; a table on stderr, JSON on stdout
    python scripts/gpu_check.py --part golden,determinism     # some
    python scripts/gpu_check.py --part throughput --models minicpm_2_4b,bge_v2_m3_568m --folder DIR
    python scripts/gpu_check.py --device cpu --tiny           # a miniature of everything, on a CPU

Every part fits 10 minutes on an H200. Exit code 0 where every check passed, 1 where one failed, 2 for a mistake of the
caller's. Nothing is downloaded. docs/gpu.md says what each part proves and how to read it.
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import full_size  # first, since it makes the tests' modules importable
import gpu_families
import gpu_faults
import gpu_speed
import torch
from benchmark_machine import chosen_device, machine
from benchmarking import DTYPES, chosen, write_json
from gpu_checks import Check, Options, parse
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evalkit.errors import ConfigError, EvalkitError
from evalkit.system.reporting import reason, report

Part = Callable[[Options], Iterator[Check]]

PARTS: Mapping[str, Part] = {
    "versions": gpu_families.versions,
    "golden": gpu_families.golden,
    "determinism": gpu_families.determinism,
    "memory": gpu_faults.memory,
    "resume": gpu_faults.resume,
    "throughput": gpu_speed.throughput,
    "profile": gpu_speed.profile,
}
_MARKS = {True: "ok", False: "FAILED", None: "-"}


def main(arguments: list[str] | None = None) -> int:
    """Run, print, save."""
    asked = parse(arguments, list(PARTS), __doc__)
    try:
        parts = chosen(asked.part or list(PARTS), list(PARTS), "--part")
        with tempfile.TemporaryDirectory() as folder:
            found = run(parts, _options(asked, Path(folder)), asked.minutes, asked.json)
    except (EvalkitError, OSError) as error:
        return report(error)
    _console().print(table(found))
    print(json.dumps(found, indent=1, ensure_ascii=False))
    return 0 if found["ok"] else 1


def _options(asked: Any, scratch: Path) -> Options:
    tokens = tuple(int(part) if part.strip().isdigit() else 0 for part in asked.batch_tokens.split(","))
    if min(tokens) < 1:
        raise ConfigError(f"--batch-tokens {asked.batch_tokens} is no list of counts, such as 8192,65536.")
    settings = dict(part.partition("=")[::2] for part in asked.compute)
    return Options(
        device=chosen_device(asked.device),
        dtype=chosen([asked.dtype], DTYPES, "--dtype")[0],
        tiny=asked.tiny,
        scratch=asked.folder or scratch,
        models=tuple(chosen(asked.models or list(full_size.SIZES), list(full_size.SIZES), "--models")),
        batch_tokens=tokens,
        seconds=asked.seconds,
        kills=asked.kills,
        compute={name: _value(value) for name, value in settings.items()},
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def run(parts: Sequence[str], options: Options, minutes: float, file: Path | None) -> dict[str, Any]:
    """All parts; one that breaks off is a failed check of its own."""
    found: dict[str, Any] = {
        "machine": machine(torch.get_num_threads(), options.device),
        "settings": {"dtype": options.dtype, "tiny": options.tiny, **options.compute},
        "ok": True,
        "parts": {},
    }
    for name in parts:
        start = time.monotonic()
        checks = []
        for check in _checks(name, dataclasses.replace(options, until=start + 60 * minutes)):
            sys.stderr.write(f"{name}: {check.name}: {_MARKS[check.ok]} {check.says}\n")
            checks.append(check._asdict())
        ok = all(check["ok"] is not False for check in checks)
        found["parts"][name] = {"ok": ok, "seconds": round(time.monotonic() - start, 1), "checks": checks}
        found["ok"] &= ok
        if file:
            write_json(file, found)
    return found


def _checks(name: str, options: Options) -> Iterator[Check]:
    try:
        yield from PARTS[name](options)
    except Exception as error:  # noqa: BLE001 - what breaks off is what this command is to find
        yield Check("runs to its end", ok=False, says=f"{type(error).__name__}: {reason(error)}")


def table(found: Mapping[str, Any]) -> Table:
    """A line a check."""
    shown = Table(
        title=f"{found['machine']['gpu'] or found['machine']['processor']}: {'ok' if found['ok'] else 'FAILED'}"
    )
    for column in ("part", "check", "", "found"):
        shown.add_column(column, overflow="fold")
    for name, part in found["parts"].items():
        for check in part["checks"]:
            shown.add_row(name, escape(check["name"]), _MARKS[check["ok"]], escape(check["says"]))
        shown.add_row(name, "seconds", "", f"{part['seconds']:.0f}", end_section=True)
    return shown


def _console() -> Console:
    return Console(stderr=True, width=None if sys.stderr.isatty() else 160)


if __name__ == "__main__":
    raise SystemExit(main())
