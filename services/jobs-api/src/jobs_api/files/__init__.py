"""The reference worker's real work, domain `files`: one local file in, one result file out.

Nothing here knows Redis, HTTP or the object store. Each operation is a function
`(source, result, payload, report) -> summary`: it reads `source`, writes `result`, tells `report` how far it
is, and raises `JobUserError` with a sentence for the person who sent the file when the file is at fault.
Temporary files lie next to `result`, have no name, and so vanish with the process, however it ends. After an
error `result` may be missing or half written: the caller owns that folder and removes it.
"""
