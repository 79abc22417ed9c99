"""A static nginx on loopback that answers the GET of one server, so that the server's own work is as small as can be."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.get_server import SERVER_ID

CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type application/json;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port}; root {folder}/www; open_file_cache max=100; index index.json;
    location = /v2.1 {{ try_files /v2.1/index.json =404; }}
  }}
}}
"""

LINK = "http://127.0.0.1/v2.1/"
SERVER = {
    "server": {
        "id": SERVER_ID,
        "name": "s_osb_0123456789ab_0",
        "status": "ACTIVE",
        "tenant_id": "6f70656e737461636b20342065766572",
        "user_id": "fake",
        "metadata": {"My Server Name": "Apache1"},
        "hostId": "2091634baaccdc4c5a1d57069c833e402921df696b7f970791b12ec6",
        "image": {"id": "70a599e0-31e7-49b7-b260-868f441e862b", "links": [{"rel": "bookmark", "href": LINK}]},
        "flavor": {"id": "1", "links": [{"rel": "bookmark", "href": LINK + "flavors/1"}]},
        "created": "2026-10-10T15:27:48Z",
        "updated": "2026-10-10T15:27:49Z",
        "addresses": {
            "private": [{"addr": "192.168.1.30", "OS-EXT-IPS-MAC:mac_addr": "00:0c:29:0d:11:74", "version": 4}]
        },
        "accessIPv4": "1.2.3.4",
        "accessIPv6": "80fe::",
        "links": [{"rel": "self", "href": LINK + "servers/" + SERVER_ID}],
        "OS-DCF:diskConfig": "AUTO",
        "progress": 0,
        "OS-EXT-AZ:availability_zone": "nova",
        "config_drive": "",
        "key_name": None,
        "OS-SRV-USG:launched_at": "2026-10-10T15:27:49.000000",
        "OS-SRV-USG:terminated_at": None,
        "security_groups": [{"name": "default"}],
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:power_state": 1,
        "os-extended-volumes:volumes_attached": [],
    }
}

#: What openstacksdk asks for before its first call.
VERSION = {
    "version": {
        "id": "v2.1",
        "status": "CURRENT",
        "version": "2.96",
        "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": "http://127.0.0.1:{port}/v2.1/"}],
        "media-types": [],
    }
}


@contextmanager
def static_server(cpu: int) -> Iterator[str]:
    """Run nginx on one core; gives the URL of the compute API, without a slash at its end."""
    if shutil.which("nginx") is None:
        raise SystemExit("the path benchmark needs nginx: apt-get install nginx-light")
    with tempfile.TemporaryDirectory(prefix="osbench-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        root = folder / "www" / "v2.1" / "servers"
        root.mkdir(parents=True)
        (root / SERVER_ID).write_text(json.dumps(SERVER))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (root.parent / "index.json").write_text(json.dumps(VERSION).replace("{port}", str(port)))
        (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port))
        process = subprocess.Popen(
            ["nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")],
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
        )
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/v2.1"
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nginx did not come up on port {port}")
