"""The whole simulated cloud as one pure value: a request and the time in, an answer out.

Rules: no socket, no waiting. Before each request all that has come due is done. What the server saw is counted here, so
that a test can ask; the control path that answers it is control.py.
"""

from collections import Counter
from collections.abc import Callable

from osbench.common.clock import Clock
from osbench.deploy.simulated.block_storage.routes import BlockStorageService
from osbench.deploy.simulated.compute.routes import ComputeService
from osbench.deploy.simulated.config import SimulationSpec
from osbench.deploy.simulated.exchange import Answer, Refused, Request, json_answer
from osbench.deploy.simulated.faults import ExpireToken, Fault, FaultBook, Status
from osbench.deploy.simulated.identity.routes import IdentityService
from osbench.deploy.simulated.identity.tokens import TokenBook
from osbench.deploy.simulated.image.routes import ImageService
from osbench.deploy.simulated.network.routes import NetworkService
from osbench.deploy.simulated.service import Service, Stage
from osbench.deploy.simulated.world import World


class Cloud:
    """All services on one origin, each below its name: `/identity`, `/compute`, …

    Args:
        spec: what the cloud is made of.
        clock: its time.
        entropy: gives n unguessable bytes, for tokens and secrets.
    """

    def __init__(self, spec: SimulationSpec, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self.world = World(spec, clock, entropy)
        self.tokens = TokenBook(lifetime_s=spec.token_lifetime_s, entropy=entropy)
        self.identity = IdentityService(self.world, self.tokens)
        owner = self.identity.project_id(spec.admin.project)
        self.image = ImageService(self.world, self.tokens, owner)
        self.network = NetworkService(self.world, self.tokens, owner)
        self.block_storage = BlockStorageService(self.world, self.tokens, self.image.store)
        self.compute = ComputeService(
            self.world,
            self.tokens,
            images=self.image.store,
            network=self.network.store,
            block_storage=self.block_storage.store,
        )
        self.services: dict[str, Service] = {
            service.name: service
            for service in (self.identity, self.compute, self.image, self.network, self.block_storage)
        }
        self.faults = FaultBook(spec.seed)
        self.faults.replace(spec.faults)
        #: (route name, status) to requests answered; a status of 0 is one a fault left without an answer.
        self.answered: Counter[tuple[str, int]] = Counter()

    def fault(self, request: Request) -> Fault | None:
        """What goes wrong with this request; what a fault does to tokens is done here."""
        service, _ = _split(request.path)
        fault = self.faults.decide(service, request.method, request.path)
        if fault is not None and isinstance(fault.then, ExpireToken):
            self.tokens.revoke(request.headers.get("x-auth-token", ""))
        return fault

    def handle(self, request: Request) -> Answer:
        """Answer a request at the present time."""
        self.world.agenda.run_due(self.world.now_ns())
        name, path = _split(request.path)
        service = self.services.get(name)
        if service is None:
            self.answered["(no service)", 404] += 1
            return json_answer(404, {"services": sorted(self.services)})
        route, answer = service.answer(request, path)
        self.answered[route, answer.status] += 1
        return answer

    def handle_faulty(self, request: Request, then: Status) -> Answer:
        """The answer of a fault that gives a status; the request has no effect."""
        name, _ = _split(request.path)
        service = self.services.get(name)
        self.answered[f"{name} {request.method} (fault)", then.status] += 1
        headers = () if then.retry_after_s is None else (("Retry-After", str(then.retry_after_s)),)
        if then.body is None and service is not None:
            refused = Refused(then.status, "The server could not answer this request.", headers=headers)
            answer = service.refusal(request, refused)
        else:
            body = (then.body or "").encode()
            answer = Answer(status=then.status, body=body, headers=[("Content-Type", "application/json"), *headers])
        if service is not None:
            service.dress(answer, request, 0, Stage.TURNED_AWAY)
        return answer

    def count_unanswered(self, request: Request) -> None:
        """Count a request a fault left without an answer."""
        name, _ = _split(request.path)
        self.answered[f"{name} {request.method} (fault)", 0] += 1


def _split(path: str) -> tuple[str, str]:
    """The service's name and the path below it."""
    name, _, rest = path.lstrip("/").partition("/")
    return name, "/" + rest
