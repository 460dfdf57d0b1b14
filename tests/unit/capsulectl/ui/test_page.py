"""The page's files: nothing from elsewhere, no text read as markup, colours that can be read, all of it installed."""

import re
import tomllib
from pathlib import Path

import pytest

from capsulectl.ui.pages import PAGES

ROOT = Path(__file__).resolve().parents[4]
CSS = PAGES["page.css"][1].decode()
GROUNDS = ("paper", "sheet", "well")
READ = ("ink", "soft", "person", "ok", "wait", "bad", "rest", "boot")
SEEN = ("focus",)


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))


def contrast(one: str, other: str) -> float:
    """By the formula of WCAG 2."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    bright, dark = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_every_ground(scheme: str) -> None:
    first, _, second = CSS.partition("@media (prefers-color-scheme: dark)")
    found = colours(first) | (colours(second) if scheme == "dark" else {})
    for ground in GROUNDS:
        for name in READ:
            assert contrast(found[name], found[ground]) >= 4.5, f"{name} on {ground}"
        for name in SEEN:
            assert contrast(found[name], found[ground]) >= 3.0, f"{name} on {ground}"


def test_nothing_comes_from_elsewhere() -> None:
    for name, (_, content) in PAGES.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*//.*$|/\*\*?.*?\*/", "", text, flags=re.MULTILINE | re.DOTALL), name
        assert not re.search(r"@import|url\(|import\(", text), name
    html = PAGES[""][1].decode()
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert set(loaded) == set(PAGES) - {""}, "each file is loaded ahead, and there is no other"
    assert "<script>" not in html and " style=" not in html and not re.search(r"\son\w+=", html)


def test_no_text_is_ever_read_as_markup_or_code() -> None:
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc|javascript:|DOMParser"
    assert not [name for name, (_, content) in PAGES.items() if re.search(sinks, content.decode())]


def test_the_files_are_installed_with_the_package() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    place = ROOT / "capsulectl" / "ui"
    installed = {file for pattern in data["capsulectl.ui"] for file in place.glob(pattern)}
    assert installed == {*(place / "page-files").iterdir()} and len(installed) == len(PAGES)
