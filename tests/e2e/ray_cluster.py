"""A Ray cluster of two machines, as far as Ray can tell, on the loopback interface: prints its address, then waits.

The first has one CPU for the driver's machine, the second one more. Run as a process of its own: Ray starts threads and
servers that no test process should have.
"""

from __future__ import annotations

import json
import os
import secrets
import sys

SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else 127.0.0.1 is rewritten to another interface's address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}


def main() -> None:
    os.environ.update(SETTINGS)
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "object_store_memory": 80_000_000})
    cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1", object_store_memory=80_000_000)
    sys.stdout.write(json.dumps({**SETTINGS, "RAY_ADDRESS": cluster.address}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()  # until the test session ends, however it ends
    cluster.shutdown()


if __name__ == "__main__":
    main()
