"""The report of a run: one HTML file that opens offline, bound from the pages that the stages wrote.

A stage writes its page with `bench.section(Section(...))`; the blocks are in `porelay_schemas.section`. For the author
of a stage or method:

- `headline` is one plain sentence with the result in it ("Pore 0.401, active material 0.499, CBD 0.100."). It stands
  on the card at the top of the report.
- `Text` is a paragraph; an empty line in it begins another. `tone="warning"` for what the reader must know before
  trusting the result, `tone="note"` for what helps to read it.
- `Figure(file, caption)` names a PNG or SVG that the stage has written to its artifact, best by `porelay_kit.figures`.
  The caption says what is seen and is what a blind reader gets. `wide=True` where it needs the whole page.
- `Gallery` puts figures side by side: before and after, real and generated, one a phase.
- `Table` takes numbers as numbers, never as formatted text, and units in the header ("surface area / µm⁻¹"). They
  are shown with four significant digits, and columns of numbers are aligned. `None` is shown as a dash.
- `Checks` are verdicts of quality control. The worst of all sections becomes the verdict of the run.

All texts are shown as they are, never as markup. No scripts, and nothing is loaded from anywhere.
"""

from porelay_kit.report.gather import gather
from porelay_kit.report.page import page
from porelay_kit.store.base import Store


def build(store: Store, run_id: str) -> str:
    """Return the report of what a run has done so far, as HTML; raise BadInput where there is no such run."""
    return page(gather(store, run_id))


__all__ = ["build"]
