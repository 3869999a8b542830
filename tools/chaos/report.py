"""The result of a run in plain words."""

from collections.abc import Iterator

from chaos.run import Result
from chaos.stage import Options

REPEATS = "repeats.txt"
"""The file that names every mail that arrived more than once."""

LISTED = 20
"""How many of a long list are shown."""


def list_repeats(result: Result) -> list[str]:
    """Name each mail that arrived more than once, and why it may."""
    return [
        f"delivery {repeat['delivery_id']} of {repeat['job_id']}: {repeat['times']} times; "
        f"cut short {repeat['interrupted']}, doubtful answers {repeat['ambiguous']}"
        for repeat in result["count"]["repeats"]
    ]


def report_on(options: Options, result: Result) -> Iterator[str]:
    """Tell what was done and what came of it, line by line."""
    fell, settling = result["seconds"]
    yield f"seed {options['seed']}: {fell:.0f} s of blows, settled {settling:.0f} s later"
    yield ""
    yield from _what_was_done(result)
    yield "what came of it"
    yield from _what_came_of_it(options, result)
    yield ""
    yield from _verdict(result)


def _what_was_done(result: Result) -> Iterator[str]:
    yield "what was done"
    for name, times in sorted(result["blows"].items()):
        yield f"  {times:6}  {name.replace('_', ' ')}"
    yield "how the mail service treated requests"
    for name, times in sorted(result["moods"].items()):
        yield f"  {times:6}  {name.replace('_', ' ')}"
    cancelled, begun = result["told"]
    yield "what was asked of the API"
    yield f"  {cancelled:6}  runs that it said are cancelled"
    yield f"  {begun:6}  runs that it said begin, of failed and cancelled jobs"
    yield f"  {result['repeated']:6}  submissions repeated under their key"
    yield f"  {result['lost']:6}  requests whose answer was lost"
    yield f"  {result['connections']:6}  connections of the client that follows the events"
    if result["revived"]:
        yield "brought back at the end, as an operator does with `notifier replay`"
        yield f"  {result['revived']:6}  deliveries that the mail service had refused for good"
    shortened = result["shortened"]
    if shortened is not None:
        yield "cut short at the end, when every process had been stopped and the mail service was well"
        yield f"  {shortened['retries']:6}  waits for the next attempt of a mail"
        yield f"  {shortened['claims']:6}  claims on mails by notifiers that had ended"
        yield f"  {shortened['leases']:6}  leases on jobs by workers that had ended"


def _what_came_of_it(options: Options, result: Result) -> Iterator[str]:
    count = result["count"]
    yield f"  {count['jobs']:6}  jobs that Redis or the API acknowledged"
    yield f"  {count['outcomes']:6}  outcomes"
    yield f"  {count['cancelled']:6}  of them of cancelled runs"
    yield f"  {count['reruns']:6}  of them of second and later runs"
    yield f"  {count['expected']:6}  mails asked for"
    yield f"  {count['arrived']:6}  of them arrived"
    if count["untold"]:
        yield f"  {count['untold']:6}  of them nothing told of: trimmed unread, and the job run again since"
    yield f"  {count['gathered']:6}  of them in digests, of which there were {count['digests']}"
    yield f"  {count['in_flight']:6}  were being sent when their notifier ended or lost its claim"
    yield f"  {count['doubtful']:6}  got an answer that left open whether they had arrived"
    cut_short = sum(repeat["interrupted"] > 0 for repeat in count["repeats"])
    yield f"  {len(count['repeats']):6}  arrived more than once; {cut_short} of them had an attempt cut short"
    yield from (f"          {line}" for line in list_repeats(result)[:LISTED])
    if len(count["repeats"]) > LISTED:
        yield f"          and {len(count['repeats']) - LISTED} more; all are in {options['folder'] / REPEATS}"
    yield f"  {result['heard']:6}  starts and outcomes that the client of the events has heard"
    yield f"  {count['keys']:6}  keys in Redis"


def _verdict(result: Result) -> Iterator[str]:
    broken, left = result["broken"], result["left"]
    if any(left.values()):
        yield (
            f"It did not settle in time: {left['jobs']} jobs, {left['entries']} log entries and "
            f"{left['deliveries']} deliveries are unfinished."
        )
    if not broken:
        yield (
            "Every promise was kept: one outcome for each run, one job for each key, no mail lost, none "
            "repeated without a cause, no event missed, indexes and counters right, no key that should "
            "expire and does not."
        )
    for sentence in broken[:LISTED]:
        yield f"BROKEN: {sentence}"
    if len(broken) > LISTED:
        yield f"BROKEN: and {len(broken) - LISTED} more"
