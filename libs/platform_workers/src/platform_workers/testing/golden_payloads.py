"""Golden payloads: what was once accepted is still decodable (docs/payload-versions.md)."""

from collections.abc import Iterator
from pathlib import Path

from platform_core.errors import DecodeError
from platform_core.json_values import decode_json

from platform_workers.handlers import HandlerRegistry


def golden_payload_faults(registry: HandlerRegistry, folder: Path) -> list[str]:
    """Check the payloads that a team keeps as files, `<folder>/<job type>/<name>.json`.

    Jobs wait in the queue and in the store over a release, so a file here is never changed; a new release
    adds files for what it newly takes.

    Returns:
        One sentence for each fault: a payload that the registry does not decode any more, a job type without
        a file, a folder of a job type that is not registered. Empty if all is well.
    """
    return [
        *_of_types(registry, folder),
        *(
            f"{path.name}: no such job type is registered; a type is kept as long as its jobs are"
            for path in sorted(folder.iterdir())
            if path.name not in registry.job_types
        ),
    ]


def _of_types(registry: HandlerRegistry, folder: Path) -> Iterator[str]:
    for job_type in registry.job_types:
        paths = sorted((folder / job_type).glob("*.json"))
        if not paths:
            yield f"{job_type}: there is no golden payload in {folder / job_type}"
        bind = registry.get(job_type)["bind"]
        for path in paths:
            try:
                bind(decode_json(path.read_bytes()))
            except DecodeError as error:
                yield f"{job_type}/{path.name}: {error}"
