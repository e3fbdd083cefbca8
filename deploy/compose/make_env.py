"""Write passwords, users and rights for compose below a folder: `make_env.py SITE`. What is there is kept.

The folder is for its owner only. What is in it may be read by all, for containers have users of their own; each gets
its own files and no others.
"""

import secrets
import sys
from pathlib import Path
from typing import Any

from porelay_kit import security
from porelay_kit.store import policies

PLACE = security.Site(amqp="amqp://rabbitmq:5672", vhost="porelay", s3="http://s3:8080", bucket="porelay")
NO_QUEUES: dict[str, Any] = {}
"""The job `topology` makes them: a broker that reads them at each start has been seen to fail at one not yet up."""


def main(site: Path) -> None:
    """Write all of it."""
    security.write(site, PLACE, NO_QUEUES)
    theirs = site / "secrets"
    password = (theirs / "porelay-admin/amqp_password").read_text()
    (theirs / "porelay-admin/amqp_management_url").write_text(f"http://porelay-admin:{password}@rabbitmq:15672")
    users = [(one.name, theirs / one.name) for one in policies.grants()]
    lines = [
        f"{name} {keys.joinpath('s3_access_key').read_text()} {keys.joinpath('s3_secret_key').read_text()}\n"
        for name, keys in users
    ]
    (site / "s3/users").write_text("".join(lines))
    grafana = theirs / "grafana/admin_password"
    grafana.parent.mkdir(exist_ok=True)
    if not grafana.exists():
        grafana.write_text(secrets.token_hex(16))
    for path in site.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    site.chmod(0o700)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
