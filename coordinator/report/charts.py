"""What the page's script draws of a run: plain data, for it goes into the page as JSON.

Rules: keys are those that report/page.js reads. Counts and microseconds travel as they are; the script makes rates and
milliseconds of them.
"""

from typing import Any

from osbench.common.clock import NS_PER_S
from osbench.coordinator.result import LatencyLine, RunResult

#: Marks in the charts; the table of events has them all.
MAX_MARKS = 100


def _latency_name(line: LatencyLine) -> str:
    if line.kind == "action":
        return " › ".join(line.name.split("/"))
    return {"iteration": "iteration", "response": "iteration, from its intended start"}.get(line.kind, line.name)


def chart_data(run: RunResult) -> dict[str, Any]:
    """The load, latencies and hosts of a run over time, with the verdict's findings and the events."""
    timeline = run.timeline
    return {
        "first": timeline.first_second,
        "width": timeline.width_s,
        "load_s": round(run.load_ns / NS_PER_S, 3),
        "asked": timeline.asked,
        "started": timeline.started,
        "ended": timeline.ended,
        "failed": timeline.failed,
        "dropped": timeline.dropped,
        "in_flight": timeline.in_flight,
        "bands": [{"from": one.first_second, "to": one.last_second, "text": str(one)} for one in run.verdict.findings],
        "marks": [
            {"at": event.at_ns / NS_PER_S, "text": f"{event.kind}: {event.text}"[:200]}
            for event in run.events[:MAX_MARKS]
        ],
        "latencies": [
            {"name": _latency_name(line), "p50": line.p50_us, "p95": line.p95_us, "p99": line.p99_us}
            for line in run.latencies
        ],
        "host_first": run.hosts[0].first_second if run.hosts else 0,
        "host_width": run.hosts[0].width_s if run.hosts else 1,
        "hosts": [
            {
                "agent": host.agent,
                "core": host.core_max_permille,
                "cpu": host.cpu_permille,
                "memory": host.memory_permille,
                "steal": host.steal_permille,
                "stall": host.stall_us,
                "run_queue": host.run_queue_permille,
                "lag": host.lag_us,
                "sent": host.sent_bytes,
                "received": host.received_bytes,
            }
            for host in run.hosts
        ],
    }
