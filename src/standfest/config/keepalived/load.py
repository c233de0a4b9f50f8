"""keepalived.conf -> frozen settings, or one ConfigError with everything that is wrong."""

from dataclasses import dataclass

from standfest.config.keepalived import compile_global, compile_vrrp
from standfest.config.keepalived.compile_balancer import balancer
from standfest.config.keepalived.judge import judge
from standfest.config.keepalived.parse import Parsed, parse
from standfest.config.keepalived.source import Files, Setting
from standfest.model.balancing import BalancerSettings
from standfest.model.director import DirectorSettings
from standfest.model.errors import ConfigError, Finding


@dataclass(frozen=True, slots=True)
class Configuration:
    """What one director is to do, and what the operator should know about it."""

    director: DirectorSettings
    balancer: BalancerSettings
    findings: tuple[Finding, ...] = ()


def read(text: str, path: str, setting: Setting, files: Files | None = None) -> Parsed:
    """Return a configuration, judged; its report says what is wrong with it."""
    parsed = parse(text, path, setting, files)
    judge(parsed)
    return parsed


def load(text: str, path: str, setting: Setting, files: Files | None = None) -> Configuration:
    """Return the settings of a file and what it includes; raises ConfigError with all errors."""
    return settings_of(read(text, path, setting, files))


def settings_of(parsed: Parsed) -> Configuration:
    """Return the settings of a configuration; raises ConfigError with all errors."""
    if errors := parsed.report.errors:
        raise ConfigError(*errors)
    root = parsed.root
    everywhere = compile_global.global_settings(root)
    director = DirectorSettings(
        globals=everywhere,
        instances=compile_vrrp.instances(root, everywhere),
        sync_groups=compile_vrrp.sync_groups(root),
        scripts=compile_vrrp.scripts(root),
        files=compile_vrrp.files(root),
        processes=compile_vrrp.processes(root),
        bfd=compile_vrrp.sessions(root),
        interface_delays=compile_global.interface_delays(root),
        garp_groups=compile_global.garp_groups(root),
        linkbeat_interfaces=compile_global.linkbeat_interfaces(root),
        track_groups=compile_global.track_groups(root),
        static_addresses=compile_global.static_addresses(root),
        static_routes=compile_global.static_routes(root),
        static_rules=compile_global.static_rules(root),
    )
    return Configuration(director, balancer(root), parsed.report.findings)
