"""Configuration: from file, environment and flags to checked `Settings`, and the API keys."""

from trainwave_exporter.config.declared import CONFIG_FILE, REMOVED, SECTIONS, SETTINGS, Setting
from trainwave_exporter.config.errors import ConfigError
from trainwave_exporter.config.loading import load, removed_settings, stray_variables
from trainwave_exporter.config.secrets import KeySource, Secret, key_source, redactor
from trainwave_exporter.config.settings import AccountSettings, Settings, TrainwaveSettings
from trainwave_exporter.config.values import IN_MEMORY, TimeZone
from trainwave_exporter.config.yaml_file import parse_document

__all__ = [
    "CONFIG_FILE",
    "IN_MEMORY",
    "REMOVED",
    "SECTIONS",
    "SETTINGS",
    "AccountSettings",
    "ConfigError",
    "KeySource",
    "Secret",
    "Setting",
    "Settings",
    "TimeZone",
    "TrainwaveSettings",
    "key_source",
    "load",
    "parse_document",
    "redactor",
    "removed_settings",
    "stray_variables",
]
