"""What an agent needs to run a plan: the plan, and the sign-ins its iterations act with.

Rules: a job holds passwords and tokens. It travels over the encrypted control channel and a worker's private pipe only;
it is never logged, spooled or written to disk, and its repr shows none of them.
"""

import msgspec

from osbench.common.plan import Plan


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where the cloud's services are, from a token's catalogue: service type (e.g. `compute`) to URL without a slash
    at its end, and the microversion asked of each, empty for none."""

    urls: dict[str, str] = {}
    microversions: dict[str, str] = {}


class UserAccess(msgspec.Struct, frozen=True, kw_only=True):
    """One user of one project, signed in.

    Attributes:
        auth_url: Keystone, with /v3. password: for renewing the token.
        token: made in prepare. expires_at: its end, seconds since the Unix epoch.
    """

    auth_url: str
    username: str
    password: str
    user_id: str
    project_id: str
    project_name: str
    user_domain: str = "Default"
    project_domain: str = "Default"
    token: str = ""
    expires_at: float = 0.0
    endpoints: Endpoints = Endpoints()

    def __repr__(self) -> str:
        return f"UserAccess(username={self.username!r}, project_name={self.project_name!r})"


class CloudAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How all users reach the cloud.

    Attributes:
        cacert: path of a CA bundle on the load host, empty for the system's. insecure: do not verify certificates.
        region, interface: which of the catalogue's endpoints were taken.
    """

    cacert: str = ""
    insecure: bool = False
    region: str = ""
    interface: str = "public"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with its sign-ins. `admin` is the deployment's own administrator, where the scenario needs one."""

    plan: Plan
    cloud: CloudAccess = CloudAccess()
    users: tuple[UserAccess, ...] = ()
    admin: UserAccess | None = None


def pack_job(job: Job) -> bytes:
    """A job as bytes (msgpack)."""
    return msgspec.msgpack.encode(job)


def unpack_job(data: bytes) -> Job:
    """Bytes to a job.

    Raises:
        msgspec.ValidationError: not a job.
    """
    return msgspec.msgpack.decode(data, type=Job)
