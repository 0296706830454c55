"""The recipients of the config with their addresses. One that cannot be used stops nothing: the others are told."""

from collections.abc import Callable
from pathlib import Path

from connector.alarms.messenger import Target
from connector.config.notify_settings import NotifySettings
from connector.config.secrets import SecretMissing, SecretRef, resolve


def open_targets(
    settings: NotifySettings, base: Path, is_address: Callable[[str], bool]
) -> tuple[list[Target], list[str]]:
    """The usable recipients, and what is wrong with the others. `base` is the directory of the config."""
    targets, faults = [], []
    for number, recipient in enumerate(settings.to, start=1):
        try:
            address = resolve(recipient.address, base).get_secret_value().strip()
        except SecretMissing as missing:
            faults.append(f"recipient {number} of notify: {missing}")
            continue
        if is_address(address):
            targets.append(Target(number=number, address=address, severity=recipient.severity, digest=recipient.digest))
        else:
            faults.append(f"recipient {number} of notify: {bad_address(recipient.address)}")
    return targets, faults


def bad_address(ref: SecretRef) -> str:
    """What is wrong with a recipient whose secret is no address."""
    return f"the {ref} holds no address of the library apprise: write one such as mailto://user:password@example.org"
