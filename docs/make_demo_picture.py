"""Draws the pictures of the README: what `make demo` prints, in a light and in a dark terminal.

python docs/make_demo_picture.py
"""

import io
import re
import sys
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.terminal_theme import TerminalTheme

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"

Colour = tuple[int, int, int]


def _theme(
    background: Colour, text: Colour, red: Colour, blue: Colour, cyan: Colour
) -> TerminalTheme:
    """A theme with the colours that the demo uses; all others are that of the text."""
    ansi = [text, red, text, text, blue, text, cyan, text]
    return TerminalTheme(background, text, ansi, ansi)


THEMES = {
    "light": _theme((246, 248, 250), (31, 35, 40), (179, 24, 35), (9, 88, 190), (5, 103, 118)),
    "dark": _theme(
        (13, 17, 23), (230, 237, 243), (255, 123, 114), (121, 192, 255), (118, 227, 234)
    ),
}


def pictures() -> dict[str, str]:
    """The SVG of each theme, by its name."""
    console = Console(
        record=True, width=80, file=io.StringIO(), force_terminal=True, color_system="truecolor",
        no_color=False, highlight=False, legacy_windows=False, _environ={},
    )  # fmt: skip
    quickstart, service = _example("quickstart"), _example("_service")
    console.print("$ make demo", style="bold")
    console.print(service.NOTICE, end="\n\n")
    with service.stand_in() as keywords:
        quickstart.main(console, keywords)
    console.print()  # Else the frame cuts off what reaches below the last line.
    return {name: _picture(console, theme) for name, theme in THEMES.items()}


def path_of(theme: str) -> Path:
    """Where the picture of a theme is."""
    return DOCS / "images" / f"demo-{theme}.svg"


def _picture(console: Console, theme: TerminalTheme) -> str:
    svg = console.export_svg(title="make demo", theme=theme, clear=False, unique_id="demo")
    # Without the font from another host, which pictures on a page may not load anyway.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def _example(name: str) -> ModuleType:
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return __import__(name)


def main() -> None:
    """Draw them anew."""
    for theme, picture in pictures().items():
        path_of(theme).parent.mkdir(exist_ok=True)
        path_of(theme).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
