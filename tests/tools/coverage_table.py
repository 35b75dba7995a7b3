"""Prints the covered lines of each folder of src out of an LCOV file, and fails where they are too few.

    coverage_table.py FILE

Lines of `#[cfg(test)]` modules do not count.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Of this folder at least so many lines, in per cent.
LEAST = {"src/translate": 95.0}
# Of these files every line: what they map is what a caller is told.
WHOLE = ["src/api/error.rs", "src/upstream/error.rs", "src/upstream/refusal.rs"]


def main() -> int:
    files = read(Path(sys.argv[1]))
    folders: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, lines in files.items():
        parts = name.split("/")
        for depth in {2, 3} & set(range(2, len(parts))):
            total = folders["/".join(parts[:depth])]
            total[0] += sum(count > 0 for count in lines.values())
            total[1] += len(lines)
        if len(parts) == 2:
            folders["src/*.rs"] = [a + b for a, b in zip(folders["src/*.rs"], [sum(c > 0 for c in lines.values()), len(lines)])]
    print(f"{'folder':<32} {'lines':>6} {'covered':>8}")
    for name in sorted(folders):
        covered, all_lines = folders[name]
        print(f"{name:<32} {all_lines:>6} {share(folders[name]):>7.1f}%")
    wrong = [
        f"{name}: {share(folders[name]):.1f} % of the lines are covered, and {least} % should be"
        for name, least in LEAST.items()
        if share(folders[name]) < least
    ]
    for name in WHOLE:
        missing = [line for line, count in files.get(name, {0: 0}).items() if count == 0]
        if missing:
            wrong.append(f"{name}: not covered: {', '.join(map(str, missing))}")
    print("\n".join(wrong))
    return 1 if wrong else 0


def share(total: list[int]) -> float:
    covered, all_lines = total
    return 100 * covered / all_lines if all_lines else 0.0


def read(path: Path) -> dict[str, dict[int, int]]:
    """How often each line of each file below src ran."""
    files: dict[str, dict[int, int]] = {}
    name, end = None, 0
    for record in path.read_text().splitlines():
        kind, _, value = record.partition(":")
        if kind == "SF":
            source = Path(value)
            name = source.relative_to(ROOT).as_posix() if source.is_relative_to(ROOT / "src") else None
            end = tests_begin(source) if name else 0
        elif kind == "DA" and name:
            line, count = map(int, value.split(",")[:2])
            if line < end:
                lines = files.setdefault(name, {})
                lines[line] = max(count, lines.get(line, 0))
    return files


def tests_begin(source: Path) -> int:
    lines = source.read_text().splitlines()
    return next((at for at, line in enumerate(lines, 1) if line == "#[cfg(test)]"), len(lines) + 1)


if __name__ == "__main__":
    sys.exit(main())
