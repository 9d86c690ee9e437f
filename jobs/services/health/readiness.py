"""Whether this installation can do its work: what monitors ask."""

from jobs.services.health import broker, monitoring


def check() -> dict[str, bool]:
    """For each part whether it works. Takes a second at most where the broker is mute."""
    fails = monitoring.check(broker_answers=broker.answers()).parts_that_fail
    return {part: part not in fails for part in monitoring.PARTS}
