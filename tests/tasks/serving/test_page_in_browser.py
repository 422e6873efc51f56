"""The page of a served generator, looked at by a browser: nothing serious in it, whatever the window and the mode."""

from __future__ import annotations

from pathlib import Path

from chromium import Watched, chromium, serious

from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.points import Points
from gan_core.networks import build_generator
from gan_core.params.networks import MlpGeneratorParams
from tasks.serving.champion import Served
from tasks.serving.described import page


def test_axe_finds_nothing_serious_on_the_page_of_a_server(tmp_path: Path) -> None:
    data, params = Points((2,), mean=(0.0, 0.0), std=(1.0, 1.0)), MlpGeneratorParams(widths=(4,))
    generator = Generator(GeneratorConfig("gan", data, 2, params, 640, 0, "d" * 64), build_generator(params, data, 2))
    path = tmp_path / "page.html"
    path.write_text(page(Served("circle", 1, generator, ("application/json", "text/csv"), True)), encoding="utf-8")
    with chromium() as browser:
        for width in (1_280, 360):
            for scheme in ("light", "dark"):
                watched = Watched(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
                watched.page.goto(path.as_uri())
                assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
                assert serious(watched.page) == [], (width, scheme)
                watched.page.screenshot(path=tmp_path / f"{width}-{scheme}.png")
                assert watched.elsewhere == []
                watched.page.context.close()
