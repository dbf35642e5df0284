"""Makes this process as poor as one in a plain container: from here on the kernel grants it no new namespaces."""

from pathlib import Path

from mizzen.lab import kernel


def forbid_namespaces() -> None:
    """Raises OSError where not even this one user namespace can be had (then nothing needs to be forbidden)."""
    kernel.become_root_of_user_namespace()
    for kind in ("user", "net", "pid", "mnt"):
        # Each user namespace has limits of its own; they bind what is below it.
        Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")
