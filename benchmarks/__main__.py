"""``python -m benchmarks NAME [--write]``: measure, print the table, write it into README.md."""

from __future__ import annotations

import argparse
import os
import sys
from time import monotonic

from benchmarks import bus, chat, others, report
from benchmarks.faults import bench as faults
from benchmarks.runner import TrialFailed, measure

BENCHES = {"bus": bus.groups, "chat": chat.groups}
FAULTS = "faults"


def main() -> None:
    options = _options()
    if options.name == FAULTS:
        _faults(options)
        return
    groups = BENCHES[options.name]()
    if options.only:
        known = [group.key for group in groups]
        if unknown := [key for key in options.only if key not in known]:
            sys.exit(f"bench: no row {', '.join(unknown)}; there are {', '.join(known)}")
        groups = [group for group in groups if group.key in options.only]
    if options.write:
        _check_writable(options)
    if not options.quick and any(group.key == bus.OTHERS for group in groups):
        others.install(_say)
    load = os.getloadavg()[0]
    if load > 0.5:
        _say(f"the machine is busy (load {load:.2f}): figures of now say little")
    started = monotonic()
    try:
        measured = measure(groups, options.rounds, options.quick, _say)
    except TrialFailed as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted, nothing was written")
    text = f"{report.table(measured)}\n\n{report.stamp(load, monotonic() - started)}"
    print(text)
    if missed := [one.figure.title for one in measured if one.is_missed]:
        _say(f"missed: {'; '.join(missed)}")
    for reason in dict.fromkeys(one.missing for one in measured if one.missing):
        _say(f"not run: {reason}")
    if options.write:
        report.write(options.name, text)
        _say(f"written into {report.README}")


def _faults(options: argparse.Namespace) -> None:
    """Ends with exit code 1 where a promise did not hold."""
    chosen = [row for row in faults.rows() if not options.only or any(word in row.fault for word in options.only)]
    if not chosen:
        sys.exit(f"bench: no fault has {' or '.join(options.only)} in its name")
    if options.write:
        _check_writable(options)
    load = os.getloadavg()[0]
    started = monotonic()
    lines = faults.run(
        chosen, faults.LONG if options.long else 1, options.rounds or 1, lambda text: print(text, flush=True)
    )
    print("", *faults.remarks(lines), "", report.stamp(load, monotonic() - started), sep="\n")
    if options.write:
        text = f"{faults.table(lines)}\n\n{report.stamp(load, monotonic() - started)}"
        report.write(options.name, text)
        _say(f"written into {report.README}")
    if broken := [f"{line.row.fault}, {line.row.level}: {'; '.join(line.broken)}" for line in lines if line.broken]:
        sys.exit("bench: broken promises:\n" + "\n".join(broken))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure; see benchmarks/README.md.")
    parser.add_argument("name", choices=[*BENCHES, FAULTS], help="what to measure")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    parser.add_argument(
        "--force", action="store_true", help="write it also where files are not committed; the stamp says so"
    )
    parser.add_argument("--rounds", type=_count, help="rounds of every row, in place of their own numbers")
    parser.add_argument(
        "--only", action="append", metavar="ROW", help="measure only these rows; may be repeated; a word, of faults"
    )
    parser.add_argument("--long", action="store_true", help="faults: each happens very often; takes hours")
    parser.add_argument("--quick", action="store_true", help="tiny counts: shows that it works, not how fast")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rounds; give 1 or more")
    return int(text)


def _check_writable(options: argparse.Namespace) -> None:
    if options.only or options.quick:
        sys.exit("bench: a table is written whole and measured in full; leave out --only and --quick")
    changed = report.dirty()
    if changed and not options.force:
        named = ", ".join(line[2:].strip() for line in changed[:5]) + (", ..." if len(changed) > 5 else "")
        sys.exit(f"bench: not committed: {named}. Figures belong to a commit; commit first, or add --force")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
