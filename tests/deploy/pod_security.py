"""The Pod Security Standards, profile "restricted", as checks of a pod's specification.

After https://kubernetes.io/docs/concepts/security/pod-security-standards/, its rules of "baseline" and of "restricted".
"""

from collections.abc import Iterator
from typing import Any

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = {"RuntimeDefault", "Localhost"}
HOST = ("hostNetwork", "hostPID", "hostIPC")


def violations(pod: dict[str, Any]) -> Iterator[str]:
    """Yield what of a pod the profile forbids."""
    context = pod.get("securityContext", {})
    yield from (f"{name} is set" for name in HOST if pod.get(name))
    yield from (f"volume {one['name']} is a {kind}" for one in pod.get("volumes", []) for kind in _forbidden(one))
    if "sysctls" in context or "windowsOptions" in context:
        yield "sysctls or Windows options are set"
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        name, own = container["name"], container.get("securityContext", {})
        yield from (f"{name}: {found}" for found in _container(own, context))
        yield from (
            f"{name}: port {one['hostPort']} of the host" for one in container.get("ports", []) if "hostPort" in one
        )


def _forbidden(volume: dict[str, Any]) -> set[str]:
    return set(volume) - {"name"} - VOLUMES


def _container(own: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    both = pod | own
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    if both.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if both.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield "seccompProfile is neither RuntimeDefault nor Localhost"
    if both.get("procMount", "Default") != "Default" or "seLinuxOptions" in both:
        yield "procMount or seLinuxOptions are set"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"]:
        yield "not all capabilities are dropped"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities are added"
