"""The files of the page, as they are sent: read once, from beside this module, and no other file ever."""

from importlib.resources import files

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

_PLACE = files("capsulectl.ui") / "page-files"
PAGES: dict[str, tuple[str, bytes]] = {
    one.name: (_KINDS[one.name.rpartition(".")[2]], one.read_bytes()) for one in _PLACE.iterdir() if one.is_file()
}
"""By name: the kind, and the content. The page itself has none."""
PAGES[""] = PAGES.pop("page.html")
