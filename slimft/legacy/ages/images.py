"""Names that Pillow had until 9 or 10. Which: its page of deprecations and removals (pillow.readthedocs.io)."""

from __future__ import annotations

from slimft.legacy.ages.script import Script

_FILTERS = {"ANTIALIAS": "LANCZOS", "LINEAR": "BILINEAR", "CUBIC": "BICUBIC"}


def put_in(script: Script) -> None:
    """Gives the script these names, when it imports them."""

    def filters(module):
        table = {
            old: (getattr(module, new), f"gone since Pillow 10, Image.{new} stands for it")
            for old, new in _FILTERS.items()
        }
        script.answer(module, "Image", "pillow", table)

    def fonts(module):
        def getsize(self, text, *arguments, **named):
            """Width of a text, and how far it goes down."""
            script.say("pillow", "font.getsize", "gone since Pillow 10, font.getbbox stands for it")
            left, _, right, bottom = self.getbbox(text, *arguments, **named)
            return right - left, bottom  # The height was from the origin, the width was the text's own.

        for kind in (module.FreeTypeFont, module.ImageFont):
            if not hasattr(kind, "getsize"):
                script.patches.set(kind, "getsize", getsize)

    def drawings(module):
        def textsize(self, text, font=None, *arguments, **named):
            """Width of a text, and how far it goes down."""
            script.say("pillow", "draw.textsize", "gone since Pillow 10, draw.textbbox stands for it")
            left, _, right, bottom = self.textbbox((0, 0), text, font, *arguments, **named)
            return right - left, bottom

        if not hasattr(module.ImageDraw, "textsize"):
            script.patches.set(module.ImageDraw, "textsize", textsize)

    script.later.update({"PIL.Image": filters, "PIL.ImageFont": fonts, "PIL.ImageDraw": drawings})
