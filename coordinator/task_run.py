"""Runs a task: its workloads one after the other, each set up, planned, conducted, judged and cleaned up.

Rules: whatever happens after something was made on the cloud, it is cleaned up: after a failure, an abort, and by
whoever resumes the task after a crash. What is made is recorded before it is made. A workload that cannot be set up ends
the task before any load of it; one that fails its SLA does not keep the next from running, unless the user asked so.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from osbench.common.clock import NS_PER_S, Clock
from osbench.common.error import AbortedError, OsbenchError
from osbench.common.job import Job
from osbench.common.scenarios.registry import SCENARIOS
from osbench.common.task import Workload
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.conductor import Conductor
from osbench.coordinator.contexts.messages import CleanUp, Leftover, Progress, SetUp, SetUpDone
from osbench.coordinator.contexts.process import ContextsProcess
from osbench.coordinator.crew import Crew
from osbench.coordinator.live import LiveNumbers
from osbench.coordinator.planner import expected_iterations, expected_load_ns, plan_run
from osbench.coordinator.progress import SHOWN_PHASES, Phase, ProgressUpdate, TaskOutcome
from osbench.coordinator.result_reader import FINAL_PHASES, read_run
from osbench.coordinator.run_events import RunPhase, RunSettings
from osbench.coordinator.run_snapshot import unpack_snapshot
from osbench.coordinator.run_state import RunState
from osbench.coordinator.sla import Judgement, judge_all, parse_criteria, worst
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.values import Run
from osbench.coordinator.store_ledger import StoreLedger
from osbench.coordinator.task_state import Task, TaskStatus
from osbench.coordinator.verdict import Verdict

log = logging.getLogger(__name__)

T = TypeVar("T")

PROGRESS_S = 0.5


class TaskRun:
    """One task on its way.

    Args:
        store: where all is kept. conductor: drives the runs. contexts: sets up and cleans up. clock: the coordinator's.
        crew: chooses the agents of its runs. on_progress: told twice a second.
        abort_on_sla_failure: end the task as soon as a criterion has failed for good.
    """

    def __init__(
        self,
        task: Task,
        *,
        store: Store,
        conductor: Conductor,
        contexts: ContextsProcess,
        clock: Clock,
        crew: Crew,
        on_progress: Callable[[ProgressUpdate], None],
        abort_on_sla_failure: bool = False,
    ) -> None:
        self.task = task
        self.verdicts: list[Verdict] = []
        #: Why the task ends early; empty if it does not. is_sla_abort: because a criterion failed.
        self.aborted = ""
        self.is_sla_abort = False
        self.leftovers: list[Leftover] = []
        #: The user leaves all as it is: what is still under way is going to fail, and nobody needs to be told.
        self._is_left = False
        self._store = store
        self._conductor = conductor
        self._contexts = contexts
        self._clock = clock
        self._crew = crew
        self._on_progress = on_progress
        self._abort_on_sla_failure = abort_on_sla_failure
        self._current = ""
        #: What is waited for before the load begins; an abort ends it.
        self._waiting: asyncio.Task[Any] | None = None

    # What the user says.

    def drain(self, reason: str = "asked for by the user") -> None:
        """Start nothing more; let what is in flight end; clean up; run no further workload."""
        if not self.aborted:
            self.aborted = reason
            if self._waiting is not None:
                self._waiting.cancel()
            self._conductor.drain(self._current, reason)

    def stop(self) -> None:
        """End what is in flight too; clean up; run no further workload."""
        self.drain()
        self._conductor.stop(self._current, self.aborted)

    # The task.

    async def execute(self) -> TaskOutcome:
        """Run all workloads that are not done yet."""
        failure = ""
        try:
            runs = {run.position: run for run in await asyncio.to_thread(self._store.run_list, self.task.id)}
            for workload in self.task.spec.workloads:
                if self.aborted:
                    break
                await self._run_workload(workload, runs.get(workload.position))
        except AbortedError:
            assert self.aborted, "who is aborted was asked to end"
        except OsbenchError as error:
            failure = str(error)
        if self.leftovers and not failure:
            failure = f"{len(self.leftovers)} resources are left on the cloud: {self.leftovers[0]}"
        await asyncio.to_thread(self._end, failure)
        return TaskOutcome(
            task=self.task.id,
            verdicts=tuple(self.verdicts),
            is_aborted=bool(self.aborted) and not self.is_sla_abort,
            is_sla_abort=self.is_sla_abort,
            failure=failure,
        )

    def _end(self, failure: str) -> None:
        """Put the task into its last status; another command may have moved it to draining or aborting meanwhile."""
        update = self._store.task_update_status
        if failure:
            update(self.task.id, TaskStatus.CRASHED, failure=failure)
        elif not self.aborted:
            update(self.task.id, TaskStatus.FINISHED)
        else:
            if self._store.task_get(self.task.id).status is TaskStatus.RUNNING:
                update(self.task.id, TaskStatus.DRAINING)
            update(self.task.id, TaskStatus.ABORTED, failure=self.aborted if self.is_sla_abort else "")

    async def _run_workload(self, workload: Workload, known: Run | None) -> None:
        if known is not None and known.phase in FINAL_PHASES and known.verdict:
            self.verdicts.append(msgspec.convert(known.verdict, Verdict))
            await self._clean_up_again(known, workload)
            return
        run = known
        if run is None:
            run = await asyncio.to_thread(self._store.run_create, task=self.task.id, workload=workload)
        self._current = run.id
        ledger = StoreLedger(self._store, deployment=self.task.deployment, task=self.task.id, run=run.id)
        made: SetUpDone | None = None
        try:
            settings = await self._settings(run, workload)
            made = await self._made_before(run) or await self._set_up(run, workload, ledger)
            await self._load(run, workload, made, settings)
        except asyncio.CancelledError:
            # Agents may go on with the run, and whoever takes it up again needs what is on the cloud.
            self._is_left = True
            raise
        finally:
            if not self._is_left:
                await asyncio.shield(self._clean_up(run, workload, ledger, made))

    # Before the load.

    async def _settings(self, run: Run, workload: Workload) -> RunSettings:
        """How the run is conducted, and by whom: settled before anything is made on the cloud."""
        snapshot = await asyncio.to_thread(self._store.run_snapshot, run.id)
        if snapshot:
            return self._crew.resumed(unpack_snapshot(snapshot).lives)
        self._show(self._at(workload, Phase.STARTING))
        return await self._unless_aborted(self._crew.gather())

    async def _unless_aborted(self, waited_for: Coroutine[Any, Any, T]) -> T:
        """Wait for something that an abort may cut short.

        Raises:
            AbortedError: it was.
        """
        self._waiting = waiting = asyncio.create_task(waited_for)
        try:
            if self.aborted:
                waiting.cancel()
            return await waiting
        except asyncio.CancelledError:
            waiting.cancel()
            if self.aborted:
                raise AbortedError(f"task {self.task.id} was ended before its load began") from None
            raise
        finally:
            self._waiting = None

    async def _made_before(self, run: Run) -> SetUpDone | None:
        """What a coordinator that died had set up for this run."""
        stored = await asyncio.to_thread(self._store.run_contexts, run.id)
        return msgspec.convert(stored, SetUpDone) if stored and run.plan is not None else None

    async def _set_up(self, run: Run, workload: Workload, ledger: StoreLedger) -> SetUpDone:
        deployment = await asyncio.to_thread(self._store.deployment_secrets, self.task.deployment)
        order = SetUp(
            request=0,
            task=self.task.id,
            run=run.id,
            credentials=dict(deployment.credentials),
            contexts=workload.contexts,
            scenario=workload.scenario,
            arguments=workload.arguments,
        )
        self._show(self._at(workload, Phase.PREPARING))
        made = await self._unless_aborted(
            self._contexts.set_up(order, ledger, lambda step: self._show_step(workload, Phase.PREPARING, step))
        )
        await asyncio.to_thread(self._store.run_contexts_update, run.id, msgspec.to_builtins(made))
        if run.plan is None:  # A run that is taken up again keeps its plan, which its records belong to.
            seed = secrets.randbits(63)
            plan = plan_run(workload, run=run.id, task=self.task.id, seed=seed, arguments=made.arguments)
            await asyncio.to_thread(self._store.run_update, run.id, plan=plan)
        return made

    # The load.

    async def _load(self, run: Run, workload: Workload, made: SetUpDone, settings: RunSettings) -> None:
        plan = (await asyncio.to_thread(self._store.run_get, run.id)).plan
        assert plan is not None, "a run that is set up is planned"
        job = Job(plan=plan, cloud=made.cloud, users=made.users, admin=made.admin)
        snapshot = await asyncio.to_thread(self._store.run_snapshot, run.id)
        if snapshot:
            saved = unpack_snapshot(snapshot)
            state = RunState.restore(plan, settings, saved, self._clock.now_ns())
            self._conductor.remember_agents(saved.lives)
        else:
            state = RunState(plan, settings)
        live = LiveNumbers(run.id)
        conduct = asyncio.create_task(
            self._conductor.conduct(
                state,
                job,
                admits=self._crew.admits,
                is_adopted=bool(snapshot),
                on_phase=lambda _: None,
                on_committed=live.add,
            )
        )
        await asyncio.sleep(
            0
        )  # It has begun: what the user says from here on is heard; what was said before is said again.
        if self.aborted:
            self._conductor.drain(run.id, self.aborted)
        shown = asyncio.create_task(self._show_load(workload, state, live))
        try:
            accounting = await conduct
        finally:
            shown.cancel()
            conduct.cancel()
        await self._judge(run, accounting)

    async def _judge(self, run: Run, accounting: Accounting) -> None:
        result = await asyncio.to_thread(read_run, self._store, run.id, accounting=accounting)
        await asyncio.to_thread(
            self._store.run_update,
            run.id,
            verdict=msgspec.to_builtins(result.verdict),
            ended_ns=self._clock.wall_ns(),
        )
        self.verdicts.append(result.verdict)

    # After it.

    async def _clean_up_again(self, run: Run, workload: Workload) -> None:
        """Of a run that had ended when the coordinator did: its clean-up may not have begun, or have left something."""
        ledger = StoreLedger(self._store, deployment=self.task.deployment, task=self.task.id, run=run.id)
        await self._clean_up(run, workload, ledger, await self._made_before(run))

    async def _clean_up(self, run: Run, workload: Workload, ledger: StoreLedger, made: SetUpDone | None) -> None:
        """Remove all the run made; what cannot be removed is said, and is no reason to hide the run's numbers."""
        scenario = SCENARIOS[workload.scenario]
        recorded = await asyncio.to_thread(ledger.recorded)
        if not recorded and not (made is not None and scenario.cleanup):
            return
        self._show(self._at(workload, Phase.CLEANING))
        deployment = await asyncio.to_thread(self._store.deployment_secrets, self.task.deployment)
        order = CleanUp(
            request=0,
            credentials=dict(deployment.credentials),
            task=self.task.id,
            run=run.id,
            recorded=recorded,
            users=made.users if made is not None else (),
        )
        try:
            done = await self._contexts.clean_up(
                order, ledger, lambda step: self._show_step(workload, Phase.CLEANING, step)
            )
        except OsbenchError as error:
            if self._is_left:
                return
            log.error("clean-up of run %s: %s; `osbench task status` lists what is left", run.id, error)
            self.leftovers += [Leftover(resource=resource, reason=str(error)) for resource in recorded]
            return
        self.leftovers += done.leftovers
        for leftover in done.leftovers:
            log.error("left on the cloud: %s", leftover)
        if (
            not done.leftovers
        ):  # Nothing is to be cleaned up again, and passwords of users who are gone need no keeping.
            await asyncio.to_thread(self._store.run_contexts_update, run.id, {})

    # What is shown, and what is watched.

    async def _show_load(self, workload: Workload, state: RunState, live: LiveNumbers) -> None:
        criteria = parse_criteria(workload.sla)
        while True:
            self._show(self._load_update(workload, state, live))
            if self._abort_on_sla_failure and not self.aborted and state.phase is RunPhase.RUNNING:
                results = judge_all(criteria, live.achieved())
                if worst([result.judgement for result in results]) is Judgement.FAIL:
                    self.is_sla_abort = True
                    self.drain("SLA failed: " + "; ".join(r.detail for r in results if r.judgement is Judgement.FAIL))
            await asyncio.sleep(PROGRESS_S)

    def _load_update(self, workload: Workload, state: RunState, live: LiveNumbers) -> ProgressUpdate:
        reports = self._conductor.reports(state.plan.run)
        workers = [worker for report in reports for worker in report.workers]
        now_ns = self._clock.now_ns()
        p95_s = live.p95_s
        return replace(
            self._at(workload, SHOWN_PHASES[state.phase]),
            elapsed_ns=max(now_ns - state.start_ns, 0) if state.start_ns else 0,
            expected_ns=expected_load_ns(state.plan.schedule),
            planned=expected_iterations(state.plan.schedule),
            started=sum(worker.started for worker in workers),
            ended=sum(worker.ended for worker in workers),
            failed=sum(worker.failed for worker in workers),
            dropped=sum(worker.dropped for worker in workers),
            in_flight=sum(worker.in_flight for worker in workers),
            rate_hz=live.rate_hz(now_ns / NS_PER_S, reports),
            p95_us=None if p95_s is None else round(p95_s * 1e6),
            agents=len(reports),
            warning=self._conductor.trouble,
        )

    def _at(self, workload: Workload, phase: Phase) -> ProgressUpdate:
        """An update that says only where the task is."""
        return ProgressUpdate(
            task=self.task.id,
            workload=workload.position + 1,
            workloads=len(self.task.spec.workloads),
            scenario=workload.scenario,
            phase=phase,
        )

    def _show_step(self, workload: Workload, phase: Phase, step: Progress) -> None:
        self._show(replace(self._at(workload, phase), detail=f"{step.what}: {step.done} of {step.total}"))

    def _show(self, update: ProgressUpdate) -> None:
        self._on_progress(update)
