"""Feed hostile files to every reader: what they answer with, how long they take, how much memory they ask for.

    ./dev python benchmarks/fuzz.py                                   # ten minutes a target and engine; resumable
    ./dev python benchmarks/fuzz.py --target yaml zip --minutes 1 --engine hypothesis --seed 7
    ./dev python benchmarks/fuzz.py --list
    ./dev python benchmarks/fuzz.py --report                          # writes the table from what is there

Two engines change small files that are right (benchmarks/fuzz_targets.py): hypothesis draws changes from a list of what
hurts formats (benchmarks/fuzz_bytes.py), atheris lets libFuzzer look for bytes that reach new lines of this package.
Both run in a process of their own with bounds on memory and on the processor's time for a file.

What may happen: the file loads (where check sums cover it, as what it was made from), or a sentence of this package
names it. Everything else is a find: another error, a recursion without end, memory beyond the bound, even where that is
caught and told in a sentence, time beyond the bound, the death of the process, and a folder that code in a pickle would
make.

Results are added to results/reliability/fuzz.json whenever a target ends, so that the same command goes on where it was
interrupted; `--again` starts anew. Files that are finds are kept under `runs/fuzz/`.
"""

import argparse
import contextlib
import faulthandler
import hashlib
import importlib.util
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]
RESULTS = ROOT / "results" / "reliability"
KEPT = ROOT / "runs" / "fuzz"
ENGINES = ("hypothesis", "atheris")
STUCK_S = 180
"""A process that has not ended a file after so long is ended, whatever it waits for."""
STARTING_S = 1800
"""What a process may take to begin, where the machine has little time for it."""
NOTED_S = 0.5
BATCH = 400
"""Files that hypothesis draws before it starts anew."""
MOST_SENTENCE = 1500

Row = dict[str, Any]


class TooLongError(BaseException):
    """A reader took more of the processor than it may; readers catch exceptions, and not this."""


class Judge:
    """Reads files as a target does and says what is wrong with what happens.

    Args:
        target: A target of fuzz_targets.
        folder: Where the files lie.
    """

    def __init__(self, target: Any, folder: Path) -> None:
        import fuzz_targets

        self.target, self.folder, self.canary = target, folder, Path(fuzz_targets.CANARY)
        self.whole_folder = target.name in fuzz_targets.WHOLE_FOLDER
        self.seeds = target.seeds()
        self.right: list[object] = []
        """What seeds that are files and can be read hold, where check sums cover it."""
        for name, data in target.beside().items():
            place = (folder / target.file).parent / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        for seed in self.seeds if target.checked else ():
            if seed.pack is None:
                with contextlib.suppress(Exception):  # of a hostile one
                    self.right.append(self._read(self._place(seed, seed.body)))
        if target.checked and not self.right:
            raise SystemExit(f"{target.name}: no seed can be read")

    def packed(self, index: int, body: bytes) -> bytes:
        """Give the file that a seed makes of a changed body."""
        pack = self.seeds[index].pack
        return body if pack is None else pack(body)

    def look(self, index: int, data: bytes) -> tuple[str, str]:
        """Read a file; give `loaded` or `refused` with "", or the kind of find with where it came from."""
        seed = self.seeds[index]
        place = self._place(seed, data)
        if seed.file is not None:
            self._restore(self.folder / self.target.file)
        try:
            found = self._read(place)
        except Exception as error:
            outcome = self._of_error(error, place)
        except TooLongError as error:
            outcome = "takes too long", where(error)
        else:
            older = self.target.older is not None and self.target.older in data
            fine = seed.pack is not None or older or not self.right or data == seed.body or found in self.right
            outcome = ("loaded", "") if fine else ("wrong content", "")
        if self.canary.exists():
            self.canary.rmdir()
            outcome = "code of the file ran", ""
        if seed.file is not None:
            self._restore(place)
        return outcome

    def _place(self, seed: Any, data: bytes) -> Path:
        place = self.folder / (seed.file or self.target.file)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return place

    def _restore(self, place: Path) -> None:
        place.unlink(missing_ok=True)
        beside = self.target.beside()
        if place.name in beside:
            place.write_bytes(beside[place.name])

    def _read(self, place: Path) -> object:
        with limited(self.target.seconds):
            return self.target.read(place.parent if self.whole_folder else place)

    def _of_error(self, error: Exception, place: Path) -> tuple[str, str]:
        if any(asks_for_memory(one) for one in chain(error)):
            return "asks for too much memory", where(error)
        own = type(error).__module__.partition(".")[0] == "sagan" or type(error) is ValueError
        said = str(error).replace(str(self.folder), "")
        names = any(name in said for name in (place.name, place.parent.name))
        if own and names and "\n" not in said.strip() and len(said) < MOST_SENTENCE:
            return "refused", ""
        return f"{type(error).__name__}: {said.splitlines()[0][:100] if said else ''}", where(error)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and those that it came from, each once: they can go round in a circle."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def asks_for_memory(error: BaseException) -> bool:
    """Tell whether an error says that there is no more memory."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "not enough memory" in str(error)


def where(error: BaseException) -> str:
    """Give the innermost place in this package that an error, or what it came from, went through."""
    last = list(chain(error))[-1]
    frames = [f for f in traceback.extract_tb(last.__traceback__) if f"{os.sep}sagan{os.sep}" in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else ""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooLongError when the process has computed for so long."""

    def end(*_: object) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def bound_memory(mib: int) -> None:
    """Let the process ask for so much more memory than it has."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    now = next(int(line.split()[1]) for line in lines if line.startswith("VmSize:")) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (now + mib * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))


class Tally:
    """Counts what happened, and keeps finds: one of each kind and place, the smallest file.

    Args:
        file: Where it is written now and then, for the process that waits.
        kept: Folder for the files.
        name: The target.
    """

    def __init__(self, file: Path, kept: Path, name: str) -> None:
        self.file, self.kept, self.name = file, kept, name
        self.counts = {"cases": 0, "loaded": 0, "refused": 0}
        self.finds: dict[str, Row] = {}
        self.noted = 0.0

    def add(self, outcome: tuple[str, str], data: bytes) -> None:
        """Count one."""
        kind, place = outcome
        self.counts["cases"] += 1
        if kind in self.counts:
            self.counts[kind] += 1
        else:
            key = f"{kind.partition(':')[0]} {place}"
            old = self.finds.get(key, {"bytes": len(data) + 1, "times": 0})
            self.finds[key] = old | {"times": old["times"] + 1}
            if len(data) < old["bytes"]:
                name = f"{self.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
                self.kept.mkdir(parents=True, exist_ok=True)
                (self.kept / name).write_bytes(data)
                self.finds[key] |= {"kind": kind, "place": place, "bytes": len(data), "file": name}
        if time.monotonic() - self.noted > NOTED_S:
            self.note()

    def note(self) -> None:
        """Write it down."""
        self.noted = time.monotonic()
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps({**self.counts, "finds": list(self.finds.values())}), encoding="utf-8")
        part.replace(self.file)


def child(name: str, engine: str, seconds: float, seed: int, folder: Path) -> None:
    """Fuzz a target until the time is over; this is a process of its own."""
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT)
    os.dup2(said, 1)
    os.dup2(said, 2)
    faulthandler.enable(said)
    os.environ |= {"OMP_NUM_THREADS": "1", "SAGAN_CACHE": str(folder / "cache")}
    import torch

    torch.set_num_threads(1)
    watching: Any = contextlib.nullcontext()
    if engine == "atheris":
        import atheris

        watching = atheris.instrument_imports(include=["sagan"])
    work = folder / "work"
    work.mkdir()
    os.chdir(work)
    with watching:  # what is imported later is not watched, and counts as memory
        import fuzz_targets

        target = fuzz_targets.TARGETS[name]
        judge, tally = Judge(target, work), Tally(folder / "tally.json", KEPT, name)
        judge.look(0, judge.packed(0, judge.seeds[0].body))
    tally.note()
    bound_memory(target.memory_mib)

    def one(index: int, body: bytes) -> None:
        try:
            data = judge.packed(index, body)
        except (ValueError, TypeError, KeyError, OverflowError):  # what cannot be packed is no file
            return
        (folder / "last").write_bytes(data)
        tally.add(judge.look(index, data), data)

    for index, each in enumerate(judge.seeds):
        one(index, each.body)
    tally.note()
    (by_hypothesis if engine == "hypothesis" else by_atheris)(one, judge.seeds, seconds, seed, folder)
    tally.note()


def by_hypothesis(one: Any, seeds: Sequence[Any], seconds: float, seed: int, folder: Path) -> None:
    """Draw changes."""
    import fuzz_bytes
    import hypothesis
    from hypothesis import strategies as st

    end = time.monotonic() + seconds
    hypothesis.settings.register_profile("fuzz", database=None, deadline=None, max_examples=BATCH)
    hypothesis.settings.load_profile("fuzz")
    indices = st.integers(0, len(seeds) - 1)
    batch = 0
    while time.monotonic() < end:

        @hypothesis.seed(seed + 1000 * batch)
        @hypothesis.settings(suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate])
        @hypothesis.given(indices, fuzz_bytes.changes(), indices)
        def draw(index: int, changes: Any, other: int) -> None:
            if time.monotonic() < end:
                one(index, fuzz_bytes.changed(seeds[index].body, changes, seeds[other].body))

        draw()
        batch += 1


def by_atheris(one: Any, seeds: Sequence[Any], seconds: float, seed: int, folder: Path) -> None:
    """Let libFuzzer change bytes; it ends the process."""
    import atheris

    corpus = folder / "corpus"
    corpus.mkdir()
    for index, each in enumerate(seeds):
        if index < 256:
            (corpus / str(index)).write_bytes(bytes([index]) + each.body)
    longest = max(len(each.body) for each in seeds) + 1024

    def given(data: bytes) -> None:
        if data:
            one(data[0] % len(seeds), data[1:])

    options = [f"-max_total_time={max(1, int(seconds))}", f"-seed={seed % 2**31 or 1}", f"-max_len={longest}"]
    options += ["-rss_limit_mb=0", f"-timeout={STUCK_S}", "-verbosity=0", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], given)
    atheris.Fuzz()


def run(name: str, engine: str, seconds: float, seed: int) -> Row:
    """Fuzz a target for so long, in as many processes as it takes; give what happened."""
    total: Row = {"cases": 0, "loaded": 0, "refused": 0, "seconds": 0.0, "processor_s": 0.0, "finds": []}
    while total["seconds"] < seconds:
        with tempfile.TemporaryDirectory(prefix="sagan-fuzz-") as place:
            folder = Path(place)
            began, used = time.monotonic(), processor_s()
            died, said = watched(name, engine, seconds - total["seconds"], seed + total["cases"], folder)
            total["seconds"] += time.monotonic() - began
            total["processor_s"] += processor_s() - used
            if not (folder / "tally.json").exists():
                raise SystemExit(f"{name} by {engine} did not start:\n{said[-3000:]}")
            found = json.loads((folder / "tally.json").read_text(encoding="utf-8"))
            finds = found.pop("finds")
            if died:
                data = (folder / "last").read_bytes()
                file = f"{name}-{hashlib.sha256(data).hexdigest()[:8]}"
                KEPT.mkdir(parents=True, exist_ok=True)
                (KEPT / file).write_bytes(data)
                finds.append({"kind": died, "place": "", "bytes": len(data), "file": file, "times": 1})
                print(said[-2000:], file=sys.stderr)
            total = added(total, found | {"finds": finds})
    return total | {key: round(total[key], 1) for key in ("seconds", "processor_s")}


def processor_s() -> float:
    """Give the seconds of processors that processes took that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def watched(name: str, engine: str, seconds: float, seed: int, folder: Path) -> tuple[str, str]:
    """Run a process and wait for it; give how it died, "" if it ended well, and what it said."""
    # Both begin with what is imported already; atheris must watch imports, and starts anew.
    how = multiprocessing.get_context("fork" if engine == "hypothesis" else "spawn")
    process = how.Process(target=child, args=(name, engine, seconds, seed, folder))
    process.start()
    last, since, died = b"", time.monotonic(), ""
    while process.is_alive():
        process.join(0.2)
        now = (folder / "tally.json").read_bytes() if (folder / "tally.json").exists() else b""
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > (STUCK_S if now else STARTING_S) and process.pid is not None:
            os.kill(process.pid, signal.SIGABRT)  # faulthandler says where it is
            process.join()
            died = "hangs"
    if process.exitcode and not died:
        died = f"the process ended with {process.exitcode}"
    said = folder / "said"
    return died, said.read_text(encoding="utf-8", errors="replace") if said.exists() else ""


def added(total: Row, more: Row) -> Row:
    """Add counts and finds of the same target."""
    finds = {(find["kind"], find["place"]): find for find in total["finds"]}
    for find in more["finds"]:
        old = finds.get((find["kind"], find["place"]))
        finds[find["kind"], find["place"]] = find | {"times": find["times"] + (old["times"] if old else 0)}
    counts = {key: total[key] + more[key] for key in ("cases", "loaded", "refused")}
    return {**total, **counts, "finds": list(finds.values())}


def read_report(file: Path) -> dict[str, Any]:
    """Read what there is."""
    if file.exists():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    return {"rows": []}


def render(report: dict[str, Any]) -> str:
    """Draw the table."""
    lines = [
        "# Hostile files",
        "",
        "Made by `benchmarks/fuzz.py`, which says what is done and what counts as a find; raw: `fuzz.json`. Seconds",
        "are of the clock and, in brackets, of the processor, with the start of each process; cases are files that",
        "were read. A file may ask for so much memory beyond what the process has after its imports, and take so many",
        "seconds of the processor.",
        "",
        "| target | engine | seconds | cases | loaded | refused | finds | MiB a file | s a file |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        counts = " | ".join(f"{row[key]:,}" for key in ("cases", "loaded", "refused"))
        bounds = f"{row['memory_mib']:,} | {row['limit_s']:g}"
        lines.append(
            f"| {row['target']} | {row['engine']} | {row['seconds']:.0f} ({row['processor_s']:.0f}) | {counts} "
            f"| {len(row['finds'])} | {bounds} |"
        )
    finds = [(row, find) for row in report["rows"] for find in row["finds"]]
    if finds:
        lines += ["", "| target | engine | find | at | bytes | times |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {row['target']} | {row['engine']} | {find['kind'].replace('|', '/')} | {find['place']} "
            f"| {find['bytes']:,} | {find['times']:,} |"
            for row, find in finds
        ]
    return "\n".join(lines) + "\n"


def write(report: dict[str, Any], results: Path) -> None:
    """Write both files."""
    results.mkdir(parents=True, exist_ok=True)
    (results / "fuzz.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (results / "fuzz.md").write_text(render(report), encoding="utf-8")


def main() -> None:
    """Fuzz what is asked for."""
    import fuzz_targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", nargs="*", default=list(fuzz_targets.TARGETS), choices=list(fuzz_targets.TARGETS))
    parser.add_argument("--engine", nargs="*", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target and engine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of fuzz.json and fuzz.md")
    parser.add_argument("--again", action="store_true", help="forget what was run of these targets")
    parser.add_argument("--report", action="store_true", help="only draw the table")
    parser.add_argument("--list", action="store_true", help="name the targets")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(fuzz_targets.TARGETS))
        return
    if "atheris" in arguments.engine and not importlib.util.find_spec("atheris"):
        print("atheris is not installed (uv sync --group fuzz): hypothesis alone is run", file=sys.stderr)
        arguments.engine = [engine for engine in arguments.engine if engine != "atheris"]
    report = read_report(arguments.out / "fuzz.json")
    if "hypothesis" in arguments.engine and not arguments.report:  # once, for all that are forked
        import hypothesis  # noqa: F401

        import sagan.data.sources
        import sagan.generators.pretrained  # noqa: F401
    if not arguments.report:
        for name in arguments.target:
            for engine in arguments.engine:
                go_on(report, fuzz_targets.TARGETS[name], engine, arguments)
    write(report, arguments.out)
    raise SystemExit(1 if any(row["finds"] for row in report["rows"]) else 0)


def go_on(report: dict[str, Any], target: Any, engine: str, arguments: argparse.Namespace) -> None:
    """Run what is missing of a target, and write it down."""
    rows = {(row["target"], row["engine"]): row for row in report["rows"]}
    key = (target.name, engine)
    empty = {"target": target.name, "engine": engine, "seconds": 0.0, "processor_s": 0.0}
    empty |= {"cases": 0, "loaded": 0, "refused": 0, "finds": []}
    row = empty if arguments.again else rows.get(key, empty)
    missing = 60 * arguments.minutes - row["seconds"]
    if missing <= 0:
        return
    found = run(target.name, engine, missing, arguments.seed + row["cases"])
    took = {name: round(row[name] + found[name], 1) for name in ("seconds", "processor_s")}
    rows[key] = added(row, found) | took | {"memory_mib": target.memory_mib, "limit_s": target.seconds}
    order = list(read_order())
    report["rows"] = sorted(rows.values(), key=lambda row: order.index((row["target"], row["engine"])))
    write(report, arguments.out)
    counted = " ".join(f"{name} {rows[key][name]}" for name in ("seconds", "cases", "loaded", "refused"))
    print(f"{target.name} by {engine}: {counted}", flush=True)
    for find in found["finds"]:
        print(f"  FIND {find['kind']} at {find['place']}: {find['bytes']} bytes, {find['times']} times", flush=True)


def read_targets() -> list[str]:
    """Name all targets."""
    import fuzz_targets

    return list(fuzz_targets.TARGETS)


def read_order() -> Iterator[tuple[str, str]]:
    """Give all rows that there can be, in their order."""
    return ((name, engine) for name in read_targets() for engine in ENGINES)


if __name__ == "__main__":
    main()
