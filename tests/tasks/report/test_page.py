"""The page and the card: what they say, that nothing of the data is taken for HTML, and what a browser makes of it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Watched, chromium, serious
from markupsafe import escape
from PIL import Image
from ruamel.yaml import YAML

from gan_core.data.dataset import DatasetSpec
from gan_core.data.labels import Classes
from gan_core.errors import ConfigError
from gan_core.generator import GeneratorConfig
from gan_core.kinds.captions import Captioned
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.points import Points
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.params.networks import MlpGeneratorParams
from gan_core.privacy import Privacy
from tasks.report import card, charts, page
from tasks.report.facts import Facts, Figure, Former, Quarantine, ScoreRow, _scores
from tasks.report.place import page_of
from tasks.workspace import Workspace

EVIL = "<script>document.title='taken'</script><img src=http://elsewhere.invalid/x.png>"
COST = {
    "seconds": 412.3,
    "images_per_second": 1_602,
    "device": "cpu",
    "processes": 1,
    "threads": 2,
    "processor_seconds": 801.0,
    "peak_memory": 612_345_678,
}


def facts(outcome: str = "promoted", **changes: Any) -> Facts:
    """A decision between two versions, with everything that a page can show."""
    classes = ("cat", EVIL)
    spec = MlpGeneratorParams(widths=(8,))
    comparison = {
        "metric": "fid",
        "better": "lower",
        "challenger": 12.5,
        "champion": 14.75,
        "difference": -2.25,
        "interval": [-3.1, -1.2],
        "probability_better": 0.998,
        "replicates": 1_000,
        "confidence": 0.95,
    }
    record = {
        "outcome": outcome,
        "reasons": [f"fid 12.5 is lower than {EVIL}"],
        "version": 3,
        "former_champion": 2,
        "metrics": {"challenger": {"fid": 12.5, "recall": 0.5, "copies": 0.01}, "champion": {"fid": 14.75, "recall": 0.5}},
        "comparison": comparison,
        "noise_floor": {"metric": "fid", "deviation": 0.25},
        "fresh": {"metric": "fid", "seed": 1, "score": 12.75},
        "evaluation": {
            "n_real": 180,
            "n_generated": 1_800,
            "seed": 0,
            "copies": {"compared": 500, "closer_than": 0.5, "generated": 0.03, "held_out": 0.02},
        },
        "decided_at": "2026-01-02T03:04:05Z",
    }
    grid = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    drift = {
        "champion": 2,
        "findings": [f"class {EVIL} is lost"],
        "columns": [{"name": "brightness", "before": {"mean": 80.0, "std": 9.0}, "now": {"mean": 81.0, "std": 9.0}}],
        "labels": {"distance": 0.2, "noise": 0.01},
        "features": {"distance": 0.01, "noise": 0.002},
    }
    made = Facts(
        name="digits",
        record=record,
        metric="fid",
        scores=[ScoreRow("fid", "lower", 12.5, 14.75, 1.5, True), ScoreRow("recall", "higher", 0.5, 0.5, None, False)],
        pictures=[Figure("champion, version 2", grid), Figure("version 3", grid)],
        earlier=[Figure("version 1", grid)],
        copies=Figure("pairs", grid),
        curves={
            "generator_loss": [(0, 2.0), (640, 1.0)],
            "discriminator_loss": [(0, 1.0), (640, 1.5)],
            "diversity": [(0, 0.5), (640, 0.9)],
        },
        quarantine=Quarantine(12, [("empty file", 11), (EVIL, 1)], [(f"{EVIL}.png", EVIL)]),
        drift=drift,
        lineage={"data": {"source": f"folder:///{EVIL}", "digest": "d" * 64}, "training": {"run": "r"}, "code": {"gantry": "0.1.0"}},
        history=[
            Former(2, "2026-01-01T00:00:00Z", "promoted", 14.75, ""),
            Former(1, "2025-12-01T00:00:00Z", "first", None, "measured otherwise"),
        ],
        generator=GeneratorConfig("gan", Images((1, 8, 8), classes=classes), 4, spec, 640, 0, "d" * 64),
        counts={"train": 1_600, "holdout": 180},
        labels=Classes(classes),
    )
    return replace(made, **changes)


def test_what_rows_tell_of_training_rows_is_said_on_page_and_card() -> None:
    told = {"value": 0.123, "interval": [0.01, 0.2], "compared": [900, 600]}
    near = {"generated": {"median": 1.5}, "held_out": {"median": 1.75}}
    evaluation = {
        "membership": told,
        "class_membership": {**told, "value": 0.5, "class": EVIL},
        "closest_training_row": {"distances": near},
    }
    shown = facts()
    shown = replace(shown, record={**shown.record, "evaluation": {**shown.record["evaluation"], **evaluation}})
    for text in (page.render(shown), card.render(shown)):
        assert "0.12 (0.01 to 0.20 at 95% confidence)" in text
        assert f"the class {escape(EVIL)}: 0.50" in text
        assert "median: 1.5 against 1.75" in text


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


class TestPage:
    def test_nothing_of_the_data_becomes_html(self) -> None:
        html = page.render(facts(name=EVIL))
        tags = _Tags(html).seen
        assert "script" not in {tag for tag, _ in tags}
        addresses = [value for _, attributes in tags for key, value in attributes.items() if key in ("src", "href", "data", "action")]
        assert len(addresses) == 4
        assert all(str(value).startswith("data:image/png;base64,") for value in addresses)
        assert not re.search(r"url\(|@import", html)
        assert html.count("&lt;script&gt;") >= 7

    @pytest.mark.parametrize(
        ("outcome", "badge", "said"),
        [
            ("first", "promoted", "Version 3 became the champion in place of version 2."),
            ("promoted", "promoted", "Version 3 became the champion in place of version 2."),
            ("kept: inconclusive", "inconclusive", "Version 2 stays the champion."),
            ("kept: worse", "worse", "Version 2 stays the champion."),
            ("vetoed: recall 0.1 is not >= 0.4", "vetoed", "Version 2 stays the champion."),
        ],
    )
    def test_the_decision_in_words(self, outcome: str, badge: str, said: str) -> None:
        html = page.render(facts(outcome))
        assert f'class="badge {badge}"' in html
        assert said in html

    def test_the_comparison_with_its_uncertainty(self) -> None:
        text = " ".join(re.sub(r"<[^>]*>", " ", page.render(facts())).split())
        assert "fid 12.5 against 14.75 (lower is better). The difference lies between -3.1 and -1.2 in 95 % of 1,000 resamples" in text
        assert "better in 99.8 % of them. Chance alone makes two equal generators differ by 0.25 (one standard deviation)." in text
        assert "The new champion from other latents, which had no part in its choice: fid 12.75." in text
        assert "3 % of 500 generated images are near-copies" in text
        assert "12 samples were set aside: empty file (11)" in text
        assert "measured otherwise" in text

    def test_a_first_version_has_nothing_to_be_compared_with(self) -> None:
        base = facts("first")
        record = {key: value for key, value in base.record.items() if key not in ("comparison", "noise_floor")}
        record = {**record, "former_champion": None, "metrics": {"challenger": {"fid": 12.5}, "champion": None}, "evaluation": {}}
        bare = replace(
            base,
            record=record,
            scores=[ScoreRow("fid", "lower", 12.5, None, None, True)],
            earlier=[],
            pictures=[],
            copies=None,
            drift=None,
            curves={},
        )
        html = page.render(replace(bare, quarantine=Quarantine(0, [], []), history=[]))
        assert "There is no data of a former champion to compare with." in html
        assert "No sample was set aside." in html
        assert 'id="comparison"' not in html

    def test_how_far_from_real_and_which_floors_held(self) -> None:
        scores = [
            ScoreRow("fid", "lower", 12.5, 14.75, 0.4, True),
            ScoreRow("recall", "higher", 0.5, 0.5, None, False, ">= 0.4"),
            ScoreRow("copies", "lower", 0.11, None, None, False, "<= 0.05", False),
            ScoreRow("membership", "lower", 0.12, None, None, False, "<= 0.1"),
        ]
        html = page.render(facts(scores=scores, cost=COST))
        text = " ".join(re.sub(r"<[^>]*>", " ", html).split())
        assert "fid 12.5 is 31 times real against real (0.4): far from real." in text
        assert "0.4 31 x real lower" in text
        assert "&gt;= 0.4: held" in text
        assert "&lt;= 0.05: not met, vetoed" in text
        assert "&lt;= 0.1: not met, and chance explains it" in text
        assert "share of generated samples that are near-copies of training samples" in text
        assert "training 7 min images a second 1,602 on cpu, 2 threads time of processors 13 min memory at most 612 MB" in text
        assert "Range: 0 to 1. Paper: Kynkaanniemi et al., 2019" in text
        assert "With accuracy" not in text
        assert "What the generator lowers: how well its samples pass for real." in text

    def test_the_gates_reasons_say_which_floor_was_not_met(self) -> None:
        record = {
            "metrics": {"challenger": {"fid": 2.0, "copies": 0.11, "recall": 0.5}, "champion": None},
            "reasons": ["copies 0.11 is not <= 0.05", "precision is required to be >= 0.9 and was not measured"],
            "evaluation": {"real_against_real": {"fid": 1.0}},
        }
        found = _scores(record, "fid", {"copies": "<= 0.05", "recall": ">= 0.4", "precision": ">= 0.9"})
        assert [(score.metric, score.floor, score.held) for score in found] == [
            ("fid", "", True),
            ("copies", "<= 0.05", False),
            ("recall", ">= 0.4", True),
            ("precision", ">= 0.9", False),
        ]

    def test_a_first_decision_is_one_clear_sentence(self) -> None:
        base = facts("first")
        html = page.render(replace(base, record={**base.record, "former_champion": None, "reasons": ["there was no champion before it"]}))
        assert "<p>Version 3 is the champion, the first: <span>fid 12.5 is 8.3 times real against real (1.5)</span>.</p>" in html
        assert html.count("real against real (1.5)") == 1
        assert "there was no champion before it" not in html

    def test_what_an_earlier_gantry_did_not_measure_is_left_out(self) -> None:
        earlier = {"seconds": 60.0, "images_per_second": 1_602, "device": "cuda", "processes": 4}
        assert page.took(earlier, "rows") == [("training", "60 s"), ("rows a second", "1,602"), ("on", "cuda, 4 processes")]
        estimated = page.took({**earlier, "energy_kwh": 0.0123, "co2_kg": 0.00412}, "rows")
        assert estimated[-1] == ("energy, estimated", "0.0123 kWh (0.00412 kg CO2e)")
        assert page.took({"run_id": "r"}, "images") == []

    def test_what_a_version_started_from_is_said(self) -> None:
        base = facts()
        start = {"from": f"models/{EVIL}", "share": 0.975, "before": ["digits/2", "digits/1"]}
        warm = page.render(replace(base, lineage={**base.lineage, "training": {"run": "r", "start": start}}))
        assert f"It started from models/{escape(EVIL)}: 97.5 % of the numbers" in warm
        assert "digits/2, digits/1" in warm
        assert "It started from" not in page.render(base)

    def test_its_curves_stand_beside_those_of_its_start(self) -> None:
        base = facts()
        start = {"from": f"models/{EVIL}", "share": 1.0, "before": ["digits/1"], "replayed": "0" * 32}
        training = {"run": "r", "start": start}
        selected = {"images": 320, "seen": 640, "budget": 640, "scored": 20, "metric": "fid", "value": 1.5, "last": 2.5}
        warm = replace(
            base,
            lineage={**base.lineage, "training": training},
            cost={"selected": selected},
            start_curves={"diversity": [(0, 0.1), (1_280, 0.7)]},
        )
        section = page.render(warm).partition('<section id="start">')[2].partition("</section>")[0]
        assert f"It started from models/{escape(EVIL)}, which in its turn came of digits/1." in section
        assert "A part of each batch was of the data that" in section
        assert "The snapshot at 320 of 640 images is shipped, its fid of 1.5 is the best of 20 (the last had 2.5)." in section
        assert section.count("<polyline") == 2
        assert section.count("<figure>") == 1
        assert "here 0.9" in section
        assert f"models/{escape(EVIL)} 0.7" in section
        assert "The curves of its start are not at hand" in page.render(replace(warm, start_curves={}))
        assert '<section id="start">' not in page.render(base)

    def test_what_scrolls_can_be_reached_by_keyboard_and_has_a_name(self) -> None:
        scrolled = [attributes for tag, attributes in _Tags(page.render(facts())).seen if attributes.get("class") == "scroll"]
        assert len(scrolled) == 3
        assert all(one["tabindex"] == "0" and one["role"] == "region" and one["aria-label"] for one in scrolled)

    def test_each_picture_can_be_shown_large(self) -> None:
        seen = _Tags(page.render(facts())).seen
        pictures = [index for index, (tag, _) in enumerate(seen) if tag == "img"]
        assert len(pictures) == 4
        assert all(seen[index - 1][0] == "input" and seen[index - 1][1]["type"] == "checkbox" for index in pictures)

    def test_a_large_picture_is_scaled_down(self, tmp_path: Path) -> None:
        shown = page.Shown.of(Figure("large", np.zeros((900, 1_800, 3), dtype=np.uint8)))
        assert Image.open(io.BytesIO(base64.b64decode(shown.uri.partition(",")[2]))).size == (shown.width, shown.height) == (1_440, 720)
        assert not shown.is_small

    def test_a_file_of_a_right_size_stays_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "small.png"
        Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(path, compress_level=1)
        shown = page.Shown.of(Figure("small", path))
        assert base64.b64decode(shown.uri.partition(",")[2]) == path.read_bytes()
        assert (shown.width, shown.height) == (30, 20)

    @pytest.mark.parametrize(
        ("challenger", "champion", "better", "verdict"),
        [
            (1.0, 2.0, "lower", "better"),
            (1.0, 2.0, "higher", "worse"),
            (1.0, 1.0, "lower", "equal"),
            (None, 1.0, "lower", ""),
            (1.0, None, "lower", ""),
        ],
    )
    def test_which_one_is_better(self, challenger: float | None, champion: float | None, better: str, verdict: str) -> None:
        assert ScoreRow("fid", better, challenger, champion, None, False).verdict == verdict


class TestCharts:
    def test_curves_that_are_named_alike_share_their_axes(self) -> None:
        losses, diversity = charts.charts(facts().curves)
        assert (losses.title, [line.title for line in losses.lines]) == ("loss", ["generator", "discriminator"])
        assert (losses.low, losses.high, losses.images) == (1.0, 2.0, 640)
        assert losses.lines[0].points == "0.0,0.0 300.0,110.0"
        assert diversity.title == "diversity"

    def test_both_sides_of_a_number_stand_in_one_chart(self) -> None:
        names = ["accuracy_fake", "accuracy_real", "fake_score", "real_score", "generator_gradient", "cycle_loss"]
        found = {chart.title: [line.title for line in chart.lines] for chart in charts.charts({key: [(0, 1.0), (1, 2.0)] for key in names})}
        assert found == {"accuracy": ["fake", "real"], "score": ["fake", "real"], "generator gradient": ["generator"], "cycle loss": [""]}

    def test_the_relativistic_games_accuracy_says_what_it_counts(self) -> None:
        found = charts.charts({"accuracy_pairs": [(0, 0.5), (640, 0.8)], "photos_accuracy_pairs": [(0, 0.5), (640, 0.8)]})
        said = "accuracy: share of pairs whose real sample is rated above the generated one"
        assert [chart.title for chart in found] == [said, f"photos {said}"]

    def test_a_constant_and_a_curve_that_is_not_finite(self) -> None:
        constant, broken = charts.charts({"a": [(0, 1.0), (10, 1.0)], "b": [(0, float("nan"))]})
        assert constant.lines[0].points == "0.0,110.0 300.0,110.0"
        assert broken.lines == []

    def test_an_interval_stands_beside_zero(self) -> None:
        bar = charts.interval(-3.0, -1.0, -2.0, 0.5)
        assert bar is not None
        assert bar.low < bar.value < bar.high < bar.zero
        assert bar.noise_low is not None
        assert bar.noise_high is not None
        assert bar.noise_low < bar.zero < bar.noise_high
        assert charts.interval(float("-inf"), 0.0, 0.0, None) is None


class TestCard:
    def test_headings_and_front_matter(self) -> None:
        text = card.render(facts())
        front, _, body = text.removeprefix("---\n").partition("\n---\n")
        read = YAML(typ="safe", pure=True).load(front)
        assert read["model-index"][0]["results"][0]["metrics"] == [{"type": "fid", "value": 12.5}, {"type": "recall", "value": 0.5}]
        assert read["model-index"][0]["results"][0]["dataset"]["name"] == f"folder:///{EVIL}"
        headings = re.findall(r"^##? (.*)$", body, re.MULTILINE)
        assert headings == [
            "Model Card for digits, version 3",
            "Model Details",
            "Uses",
            "Bias, Risks, and Limitations",
            "Training Details",
            "Evaluation",
            "Model Card Contact",
        ]
        assert "<script>" not in body
        assert "| fid (decides) | 12.5 | 14.75 | 1.5 | lower | Frechet distance" in body
        assert "\n\nfid 12.5 is 8.3 times real against real (1.5).\n\n" in body
        assert card.without_front_matter(text).startswith("# Model Card for digits, version 3\n")

    def test_what_was_promised_of_each_row(self) -> None:
        promised = Privacy(epsilon=3.0, delta=1e-5, clip=1.0, noise=1.9, rows=20_000, share=0.05, steps=600, accountant="Opacus 1.6.0, rdp")
        base = facts(cost={**COST, "privacy": promised.as_record()})
        for text in (card.render(base), page.render(base)):
            text = " ".join(text.split())
            assert (
                "with differential privacy of each row: epsilon 3, delta 1e-05, by 600 steps that saw a row with a chance of 0.05" in text
            )
            assert "It holds of the network" in text
            assert "are of the rows as they are" in text
        assert "differential" not in card.render(facts())

    def test_what_the_training_took(self) -> None:
        text = card.render(facts(cost={**COST, "energy_kwh": 0.0123, "co2_kg": 0.00412}))
        section = text.partition("#### Speeds, Sizes, Times\n\n")[2].partition("\n\n")[0]
        assert section.splitlines() == [
            "- **Training:** 7 min",
            "- **Images a second:** 1,602",
            "- **On:** cpu, 2 threads",
            "- **Time of processors:** 13 min",
            "- **Memory at most:** 612 MB",
            "- **Energy, estimated:** 0.0123 kWh (0.00412 kg CO2e)",
        ]
        front = YAML(typ="safe", pure=True).load(text.removeprefix("---\n").partition("\n---\n")[0])
        assert front["co2_eq_emissions"] == {"emissions": pytest.approx(4.12), "source": "CodeCarbon"}  # grams
        without = card.render(facts())  # of a version that an earlier Gantry made
        assert "Speeds" not in without
        assert "co2_eq_emissions" not in without

    @pytest.mark.parametrize(
        ("data", "command"),
        [
            (Images((1, 8, 8)), "gantry sample digits/3 --count 64 --seed 0"),
            (Pairs((1, 8, 8), inputs=(1, 8, 8)), "gantry sample digits/3 --input FILE --out made.png"),
            (Captioned((1, 8, 8), examples=("a red heart",)), "gantry sample digits/3 --prompt TEXT --count 16"),
            (Table((1,), schema=Schema((Column("a", "number", "float64"),))), "gantry sample digits/3 --count 500 --seed 0 --out rows.csv"),
        ],
    )
    def test_the_command_is_one_that_this_generator_takes(self, data: DatasetSpec, command: str) -> None:
        base = facts()
        text = card.render(replace(base, generator=replace(base.generator, data=data)))
        assert re.findall(r"`(gantry sample [^`]*)`", text) == [command]


def test_where_the_page_is(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(ConfigError, match="digits: has no report yet; `gantry run digits`"):
        page_of(workspace, "digits")
    workspace.report("digits").mkdir(parents=True)
    (workspace.report("digits") / "report.html").write_text("")
    assert page_of(workspace, "digits") == tmp_path / "reports/digits/report.html"
    with pytest.raises(ConfigError, match="has no report"):
        page_of(workspace, "../reports/digits")


KINDS: dict[str, DatasetSpec] = {
    "images": Images((1, 8, 8), classes=("cat", EVIL)),
    "points": Points((2,), mean=(0.0, 0.0), std=(1.0, 1.0)),
    "table": Table((1,), schema=Schema((Column("a", "number", "float64"),))),
    "pairs": Pairs((1, 8, 8), inputs=(1, 8, 8)),
    "captions": Captioned((1, 8, 8), examples=("a red heart",)),
}
FLOORS = [
    ScoreRow("fid", "lower", 12.5, 14.75, 0.4, True),
    ScoreRow("recall", "higher", 0.5, 0.5, None, False, ">= 0.4"),
    ScoreRow("copies", "lower", 0.11, None, None, False, "<= 0.05", False),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1_280, 360])
def test_a_browser_shows_it_axe_finds_nothing_serious_and_nobody_is_asked(tmp_path: Path, width: int, scheme: str) -> None:
    base = facts("vetoed: copies 0.11 is not <= 0.05", scores=FLOORS, cost=COST)
    with chromium() as browser:
        for kind, data in KINDS.items() if (width, scheme) == (360, "light") else [("images", KINDS["images"])]:
            path = tmp_path / f"{kind}.html"
            path.write_text(page.render(replace(base, generator=replace(base.generator, data=data))), encoding="utf-8")
            watched = Watched(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
            shown = watched.page
            shown.goto(path.as_uri())
            assert shown.title() == "digits, version 3: vetoed: copies 0.11 is not <= 0.05"  # and no script of the data has changed it
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
            shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert serious(shown) == [], kind
            assert watched.elsewhere == []
            watched.page.context.close()


def test_where_a_table_scrolls_the_page_says_so_and_the_keyboard_reaches_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page.render(facts(scores=FLOORS)), encoding="utf-8")
    with chromium() as browser:
        for width, is_narrow in ((360, True), (1_280, False)):
            shown = Watched(browser, viewport={"width": width, "height": 900}).page
            shown.goto(path.as_uri())
            for region in shown.get_by_role("region").all():
                scrolls = region.evaluate("one => one.scrollWidth > one.clientWidth")
                hint = region.locator("xpath=preceding-sibling::p")
                assert scrolls == hint.is_visible() == is_narrow, region.get_attribute("aria-label")
            scores = shown.get_by_role("region", name="Scores")
            scores.focus()
            shown.keyboard.press("ArrowRight")
            shown.wait_for_timeout(200)
            assert (scores.evaluate("one => one.scrollLeft") > 0) == is_narrow


def test_a_picture_is_as_large_as_its_card_and_at_a_click_as_the_window(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page.render(facts()), encoding="utf-8")
    with chromium() as browser:
        shown = Watched(browser, viewport={"width": 1_280, "height": 900}).page
        shown.goto(path.as_uri())
        picture = shown.locator("#pictures img").first
        card = shown.locator("#pictures .pictures").first.bounding_box()
        box = picture.bounding_box()
        assert card is not None
        assert box is not None
        assert box["width"] > 0.48 * card["width"], "two beside each other"
        picture.click()
        assert picture.bounding_box() == {"x": 0, "y": 0, "width": 1_280, "height": 900}
        shown.keyboard.press("Space")
        again = picture.bounding_box()
        assert again is not None
        assert (again["width"], again["height"]) == (box["width"], box["height"])
