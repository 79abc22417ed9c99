"""Golden messages of version 1: what an agent or a coordinator of an earlier release says is understood."""

from itertools import islice
from pathlib import Path
from typing import Any, get_args

import msgpack
import pytest

from osbench.common import wire
from osbench.common.job import CloudAccess, Endpoints, Job, UserAccess, unpack_job
from osbench.common.messages import (
    Ack,
    ClockProbe,
    ClockReply,
    Hello,
    LostBatches,
    Orders,
    PastWorker,
    Prepare,
    Refusal,
    Rejected,
    Report,
    RunReport,
    ShareProgress,
    ToAgent,
    ToCoordinator,
    ToUplink,
    Welcome,
    WorkerReport,
    WorkerShares,
)
from osbench.common.plan import ClosedLoop, OpenLoop, Plan, Polling, RateStage
from osbench.common.share import Level, Share

GOLDEN = Path(__file__).parents[2] / "golden" / "messages-v1.msgpack"
RUN, TASK = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-8999-aaaaaaaaaaaa"

#: What a lost worker left of its share from rank 10 on, which is what another had left from rank 5 to 1,000.
CHAIN = Share(
    epoch=3,
    levels=(
        Level(weights=(2, 1), owner=0),
        Level(weights=(1, 3), owner=1, begin=5, end=1_000),
        Level(weights=(1, 1), owner=1, begin=10, end=500),
    ),
    slots=4,
)
FIRST = Share(epoch=1, levels=(Level(weights=(2, 1), owner=1),), slots=None)
WORKER = WorkerReport(
    worker=1,
    state="running",
    shares=(ShareProgress(epoch=1, started=17), ShareProgress(epoch=3, started=0)),
    started=17,
    ended=12,
    failed=2,
    dropped=3,
    in_flight=2,
    last_seq=41,
    iterations_written=15,
    lag_max_ns=1_000_000,
    stall_ns=2_000_000,
    start_error_ns=250_000,
    lost=(LostBatches(first_seq=2, last_seq=3, iterations=5, first_ns=10**9, last_ns=2 * 10**9),),
    error="ended by signal 9",
)
USER = UserAccess(
    auth_url="http://127.0.0.1:5000/v3",
    username="c_osb_user",
    password="not a real one",
    user_id="u1",
    project_id="p1",
    project_name="c_osb_project",
    user_domain="users",
    project_domain="projects",
    token="gAAAAA",
    expires_at=1_700_003_600.5,
    endpoints=Endpoints(urls={"compute": "http://127.0.0.1:8774/v2.1"}, microversions={"compute": "2.96"}),
)
JOBS = (
    Job(
        plan=Plan(
            run=RUN,
            task=TASK,
            scenario="NovaServers.boot_and_delete_server",
            arguments={"image": "i1", "flavor": {"id": "1"}, "min_sleep": 0.5, "nics": [None, True]},
            schedule=ClosedLoop(concurrency=5, iterations=1_000, duration_ns=60 * 10**9),
            seed=7,
            timeout_ns=90 * 10**9,
            drain_ns=30 * 10**9,
            user_choice="round_robin",
            request_ids="all",
            polling=Polling(mode="rally"),
        ),
        cloud=CloudAccess(cacert="/etc/ssl/cloud.pem", insecure=True, region="RegionOne", interface="internal"),
        users=(USER,),
        admin=USER,
    ),
    Job(
        plan=Plan(
            run=RUN,
            task=TASK,
            scenario="Dummy.dummy",
            arguments={},
            schedule=OpenLoop(
                stages=(
                    RateStage(numerator=1, denominator=3, duration_ns=10**10),
                    RateStage(numerator=500, denominator=1),
                ),
                iterations=10_000,
                max_in_flight=64,
            ),
            seed=2**63,
        )
    ),
)
#: In the order of the file. In place of the bytes of a job stands its number in JOBS.
MESSAGES: list[tuple[Any, Any]] = [
    (
        wire.TO_COORDINATOR,
        Hello(
            agent="load-1",
            life=3,
            protocol=1,
            version="0.1.0",
            workers=2,
            cores=4,
            memory_bytes=2**35,
            nofile=65_536,
            labels=("rack-1", "böse"),
            runs=(RUN,),
        ),
    ),
    (wire.TO_COORDINATOR, ClockProbe(sent_ns=-5)),
    (
        wire.TO_COORDINATOR,
        Report(
            agent="load-1",
            life=3,
            sequence=9,
            runs=(
                RunReport(
                    run=RUN,
                    revision=4,
                    has_job=True,
                    state="running",
                    workers=(WORKER,),
                    unacked=6,
                    spool_bytes=2**40,
                    error="a worker cannot be made ready",
                ),
            ),
            past=(PastWorker(run=RUN, life=2, worker=WORKER),),
            offset_ns=-(2**40),
            offset_error_ns=125_000,
            cpu_permille=999,
            memory_permille=250,
        ),
    ),
    (wire.TO_AGENT, Welcome(life=3, lease_ns=30 * 10**9)),
    (wire.TO_AGENT, Refusal(reason="protocol 1, this coordinator speaks 2")),
    (wire.TO_AGENT, ClockReply(probe_sent_ns=-5, received_ns=2**62, replied_ns=2**62 + 1)),
    (wire.TO_AGENT, Prepare(run=RUN, revision=1, job=b"0")),
    (wire.TO_AGENT, Prepare(run=RUN, revision=2, job=b"1")),
    (
        wire.TO_AGENT,
        Orders(
            run=RUN,
            revision=4,
            goal="run",
            start_ns=2**62,
            shares=(WorkerShares(worker=0), WorkerShares(worker=1, shares=(FIRST, CHAIN))),
        ),
    ),
    (wire.TO_UPLINK, Ack(run=RUN, life=3, worker=1, seqs=(1, 2, 9), credit=64)),
    (wire.TO_UPLINK, Rejected(run=RUN, life=3, worker=1, seq=3, reason="codec 9 is not known here")),
]
NAMES = [f"{place}-{type(message).__name__}" for place, (_, message) in enumerate(MESSAGES)]


def golden() -> list[bytes]:
    """The messages as they were sent: msgpack, an array of frames."""
    frames = msgpack.unpackb(GOLDEN.read_bytes())
    assert isinstance(frames, list)
    return frames


@pytest.mark.parametrize("place", range(len(MESSAGES)), ids=NAMES)
def test_a_golden_message_of_version_1_says_what_it_said(place: int) -> None:
    """Agents and coordinator are upgraded one after the other: each must understand the other of the same version."""
    kind, expected = MESSAGES[place]
    said = wire.decode(golden()[place], kind)
    if isinstance(expected, Prepare):
        assert unpack_job(said.job) == JOBS[int(expected.job)]
        assert (said.run, said.revision) == (expected.run, expected.revision)
    else:
        assert said == expected


def test_there_is_a_golden_message_of_every_kind() -> None:
    kinds = {kind for union in (ToCoordinator, ToAgent, ToUplink) for kind in get_args(union)}

    assert len(golden()) == len(MESSAGES)
    assert {type(message) for _, message in MESSAGES} == kinds


def test_a_golden_share_means_the_indices_it_meant() -> None:
    """Indices are never sent: another release must count the same ones out of the same weights, or run some twice."""
    orders = wire.decode(golden()[8], wire.TO_AGENT)
    first, chain = orders.shares[1].shares

    assert list(islice(first.indices(), 6)) == [1, 4, 7, 10, 13, 16]
    assert list(islice(chain.indices(), 8)) == [30, 35, 38, 42, 47, 50, 54, 59]
    assert (first.size(), chain.size()) == (None, 245)
