"""Write the AsyncAPI document of the event channels: `make asyncapi`."""

from pathlib import Path

from platform_core.asyncapi import asyncapi_text

DOCUMENT = Path(__file__).parent.parent / "docs" / "asyncapi.json"

if __name__ == "__main__":
    DOCUMENT.write_text(asyncapi_text(), "utf-8")
    print(f"wrote {DOCUMENT.name}")
