"""Writes what is derived here: the dashboards' JSON, and the chart's copies of dashboards and alert rules.

Run `python deploy/monitoring/build.py` after a change of `boards/` or `rules/`; a test finds a stale file.
"""

from pathlib import Path

from boards import BOARDS

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "helm" / "porelay" / "files"


def documents() -> dict[Path, str]:
    """Return the derived files and what they should hold."""
    boards = {f"dashboards/{board.name}.json": board.json() for board in BOARDS}
    rules = {f"rules/{path.name}": path.read_text(encoding="utf-8") for path in (HERE / "rules").glob("*.yaml")}
    ours = {HERE / name: text for name, text in boards.items()}
    return ours | {CHART / name: text for name, text in (boards | rules).items()}


def main() -> None:
    """Write them."""
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
