"""The model card of a version: Markdown under the headings that Hugging Face's template has, with its YAML front matter."""

from __future__ import annotations

from tasks import kinds
from tasks.report.facts import Facts
from tasks.report.page import took
from tasks.report.templates import environment


def render(facts: Facts) -> str:
    """The card as Markdown; HTML in names and reasons is escaped, and so is what Markdown would take for a table's end."""
    return (
        environment()
        .get_template("card.md")
        .render(
            facts=facts,
            record=facts.record,
            lineage=facts.lineage,
            task=_task(facts),
            makes=kinds.of(facts.generator.kind).makes,
            took=took(facts.cost, facts.generator.data.unit),
        )
    )


def without_front_matter(card: str) -> str:
    """The card as a description: Markdown alone."""
    return card.partition("\n---\n")[2].lstrip("\n")


def _task(facts: Facts) -> str:
    """Hugging Face's name for what the generator does."""
    if len(facts.generator.shape) != 3:
        return "other"
    return "image-to-image" if facts.generator.inputs is not None else "unconditional-image-generation"
